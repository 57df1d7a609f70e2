"""Conditions as docs/policy.md shows them: every example is run."""

import re
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
import yaml

from stream_filter.core.policy import Format, Mode, Rule, Thresholds, TopicPolicy
from stream_filter.core.template import parse_template
from stream_filter.formats.text_reader import text_reader
from stream_filter.rules import operands
from stream_filter.rules.cel_rules import CelRules

PAGE = Path(__file__).parents[2] / "docs/policy.md"
EXAMPLE = TopicPolicy(
    topic="logs",
    format=Format.JSON,
    text=parse_template("{m}"),
    model="m",
    model_id=None,
    thresholds=Thresholds(drop_below=0.2, keep_above=0.8),
    mode=Mode.ENFORCE,
    holdout=0.0,
    forward_to="llm.analysis",
)


@dataclass(frozen=True, kw_only=True)
class Shown:
    """A record as an example of a condition shows it."""

    value: bytes = b"{}"
    key: bytes | None = None
    headers: tuple[tuple[str, bytes], ...] = ()
    timestamp: int = -1
    offset: int = 0


def shown(cell: str) -> Shown:
    """The record in a cell: an event as JSON, or what the record has besides, as YAML."""
    if '"' in cell[:3] or cell == "{}":
        return Shown(value=cell.encode())
    record = yaml.safe_load(cell)
    time = record.get("timestamp")
    return Shown(
        key=record["key"].encode() if "key" in record else None,
        headers=tuple((name, text.encode()) for name, text in record.get("headers", {}).items()),
        timestamp=int(time.timestamp() * 1000) if time else -1,
    )


def holds(condition: str, record: Shown) -> bool:
    """Whether a rule with this condition decides the record."""
    policy = replace(EXAMPLE, rules=(Rule(when=condition, then="drop"),))
    rules = CelRules(policy)
    columns = text_reader(policy, rules.reads).read([record.value]).columns
    return bool(rules.first_match([record], columns)[0] == 0)


def condition_examples() -> list[tuple[str, str, str]]:
    """Condition, a record for which it holds, and one for which it does not, as shown."""
    section = PAGE.read_text(encoding="utf-8").partition("### Conditions")[2].partition("\n## ")[0]
    table = re.findall(r"^\| [^|]+ \| `(.+)` \| `(.+)` \| (.+) \|$", section, re.M)
    return [(c.replace("\\|", "|"), yes, no.strip("`")) for c, yes, no in table]


@pytest.mark.parametrize(("condition", "yes", "no"), condition_examples())
def test_every_condition_holds_where_the_page_says(condition: str, yes: str, no: str) -> None:
    """docs/policy.md: each form of a condition holds for its first record, not for its second."""
    assert holds(condition, shown(yes))
    assert no == "–" or not holds(condition, shown(no))


def test_every_form_of_a_condition_has_an_example() -> None:
    """The examples use every function and operator that is covered."""
    conditions = " ".join(condition for condition, _, _ in condition_examples())
    signs = ["==", ">=", "<", ">", "&&", "||", "!", "?", " in ", "[0]", "has(", "headers", "key"]
    named = [f"{name}(" for name in operands.FUNCTIONS]
    assert [sign for sign in [*signs, *named] if sign not in conditions] == []
