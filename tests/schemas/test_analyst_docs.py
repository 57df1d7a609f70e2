"""docs/analyst.md is about this code."""

import os
import re
from pathlib import Path

import pytest
import yaml
from jsonschema import Draft202012Validator

from stream_filter.analyst.config import load_analyst
from stream_filter.analyst.outcome import Cause
from stream_filter.app.schemas import documents
from stream_filter.telemetry.analyst_metrics import AnalystMetrics

REPO = Path(__file__).parents[2]
PAGE = (REPO / "docs/analyst.md").read_text(encoding="utf-8")


def rows(columns: int) -> list[list[str]]:
    """The rows of the page's tables that have so many columns."""
    cells = [
        [cell.strip() for cell in line.split("|")[1:-1]]
        for line in PAGE.splitlines()
        if line.startswith("|")
    ]
    return [row for row in cells if len(row) == columns]


def test_the_example_loads_and_fits_the_schema(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the page shows as a config is one, for the program and for editors."""
    monkeypatch.setitem(os.environ, "OPENAI_API_KEY", "sk-none")
    (example,) = re.findall(r"```yaml\n(.*?)```", PAGE, re.S)
    path = tmp_path / "analyst.yaml"
    path.write_text(example)
    assert load_analyst(path).prompts.keys() == {"llm.analysis"}
    schema = documents()["analyst.schema.json"]
    Draft202012Validator(schema).validate(yaml.safe_load(example))


def test_every_cause_is_explained() -> None:
    """The table of causes is the closed list."""
    table = PAGE.partition("<!-- causes")[2].partition("\n\n")[0]
    assert sorted(re.findall(r"`(\w+)`", re.sub(r"\|[^|]*\|\n", "|\n", table))) == sorted(Cause)


def test_every_metric_is_explained() -> None:
    """The table of metrics is the closed list, with types and labels."""
    documented = {
        row[0].strip("`"): (row[1], re.findall(r"`(\w+)`", row[2]))
        for row in rows(4)
        if row[0].startswith("`stream_filter_")
    }
    metrics = AnalystMetrics()
    labels = {m._name: list(m._labelnames) for m in vars(metrics).values() if hasattr(m, "_name")}
    expected = {
        family.name + ("_total" if family.type == "counter" else ""): (
            family.type,
            labels[family.name],
        )
        for family in metrics.registry.collect()
    }
    assert documented == expected
