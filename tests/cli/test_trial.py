"""`stream-filter try`: what a policy would do with a file of events."""

import gzip
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result

from stream_filter.demo.generator import PlatformStream

Invoke = Callable[..., Result]
EVENTS = 400


@pytest.fixture
def events(tmp_path: Path) -> Path:
    """Logs of the demo's platform, a broken line and a line that would steer a terminal."""
    stream = PlatformStream(seed=3, start_ms=0, duration_s=60)
    lines = [event.value for event in stream.events(30.0, EVENTS)]
    path = tmp_path / "events.jsonl.gz"
    path.write_bytes(gzip.compress(b"\n".join([*lines, b"broken", b'"\x1b[31m', b""])))
    return path


@pytest.fixture
def enforced(policy: Path) -> Path:
    """The sound policy, in force."""
    policy.write_text(policy.read_text() + "    mode: enforce\n    holdout: 0.2\n")
    return policy


def tried(invoke: Invoke, *arguments: object) -> dict[str, Any]:
    """The document of a trial."""
    result = invoke("try", *arguments, "--json")
    assert (result.exit_code, result.stderr) == (0, "")
    document: dict[str, Any] = json.loads(result.stdout)
    return document


def test_document(invoke: Invoke, enforced: Path, models: Path, events: Path) -> None:
    """The document's counts add up, and a price turns tokens into money."""
    found = tried(invoke, enforced, events, "--model-dir", models, "--price", 2.5)
    routes = {(r["route"], r["reason"]): r["events"] for r in found["routes"]}
    assert found["events"] == sum(routes.values()) == EVENTS + 2
    assert found["events"] == sum(found["verdicts"].values())
    assert found["events"] == sum(found["scores"]["bins"]) + found["scores"]["none"]
    assert routes["dead_letter", "undecodable"] == found["scores"]["none"] == 2
    assert routes["discard", "below_threshold"] > routes["forward", "holdout"] > 0
    assert found["forwarded"] == sum(n for (route, _), n in routes.items() if route == "forward")
    assert found["forwarded_share"] == found["forwarded"] / found["events"]
    assert 0 < found["tokens"]["forwarded"] < found["tokens"]["all"]
    assert found["cost"]["forwarded"] == pytest.approx(found["tokens"]["forwarded"] * 2.5e-6)
    assert 0 < found["distinct_texts"] <= EVENTS
    places = [e["place"] for e in found["examples"] if e["reason"] == "undecodable"]
    assert places == [f"{events}:{EVENTS + 1}", f"{events}:{EVENTS + 2}"]


def test_deterministic(invoke: Invoke, enforced: Path, models: Path, events: Path) -> None:
    """Two trials of the same events differ in the time they took, and in nothing else."""
    first, second = (tried(invoke, enforced, events, "--model-dir", models) for _ in range(2))
    assert first.pop("seconds") > 0
    assert second.pop("seconds") > 0
    assert first == second


def test_table(invoke: Invoke, enforced: Path, models: Path, events: Path) -> None:
    """A person sees the same counts, and nothing that an event holds steers the terminal."""
    result = invoke("try", enforced, events, "--model-dir", models, "--price", "2.50")
    assert (result.exit_code, result.stderr) == (0, "")
    found = tried(invoke, enforced, events, "--model-dir", models, "--price", "2.50")
    for row in found["routes"]:
        counted = rf"{row['route']} +{row['reason']} +{row['events']:,} "
        assert re.search(f"^{counted}", result.stdout, re.M)
    assert f"\nforwarded: {found['forwarded']:,}, " in result.stdout
    assert f"= {found['cost']['all']:,.4f} at 2.5 a million" in result.stdout
    assert "(an estimate: 3 bytes of a value are taken for a token)" in result.stdout
    assert f'{events}:{EVENTS + 2}  "\\x1b[31m' in result.stdout
    assert "\x1b" not in result.stdout
    assert result.stdout.splitlines()[-1].endswith("; nothing was sent")


def test_shadow_forwards_all(invoke: Invoke, policy: Path, models: Path, events: Path) -> None:
    """In shadow mode every decodable event is forwarded: that is what this policy would do."""
    found = tried(invoke, policy, events, "--model-dir", models, "--examples", 1)
    routes = {(r["route"], r["reason"]): r["events"] for r in found["routes"]}
    assert found["forwarded"] == EVENTS
    assert routes["forward", "shadow"] == found["verdicts"]["drop"]
    assert len(found["examples"]) == len(routes)
    assert found["cost"] is None


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["f", "--source-topic", "t"],
        ["f", "--last", "5"],
        ["f", "--partition", "0"],
        ["--source-topic", "t", "--topic", "t"],
        ["--source-topic", "t", "--last", "0"],
        ["f", "--price", "-1"],
        ["f", "--examples", "-1"],
    ],
    ids=" ".join,
)
def test_wrong_usage(invoke: Invoke, policy: Path, arguments: list[str]) -> None:
    """Options that do not go together are refused, exit 2."""
    result = invoke("try", policy, *arguments)
    assert result.exit_code == 2
    assert "Error: " in result.stderr
    assert result.stdout == ""


def problem(invoke: Invoke, *arguments: object) -> str:
    """The one line that is said, on exit 2."""
    result = invoke("try", *arguments)
    assert result.exit_code == 2
    (said,) = result.stderr.splitlines()
    return said.removeprefix("error: ")


def test_clear_refusals(invoke: Invoke, policy: Path, models: Path, tmp_path: Path) -> None:
    """What cannot be tried is one line: no topic, an unknown one, no file, no events, no pack."""
    empty = tmp_path / "empty"
    empty.write_bytes(b"\n\n")
    assert problem(invoke, policy, empty, "--topic", "t").startswith("no rules for topic 't': the")
    at_models = ["--model-dir", models]
    assert problem(invoke, policy, "nowhere", *at_models).startswith("nowhere: cannot be read: ")
    assert problem(invoke, policy, empty, *at_models) == f"{empty}: holds no events"
    said = problem(invoke, policy, empty, "--model-dir", "nowhere")
    assert said.startswith("model pack 'demo-platform'")
    policy.write_text(policy.read_text().replace("payments.logs", '"*.logs"'))
    assert problem(invoke, policy, empty).endswith("give --topic: the policy has *.logs")


def test_topic_of_a_glob(invoke: Invoke, policy: Path, models: Path, events: Path) -> None:
    """--topic says which topic's rules a file is decided by."""
    policy.write_text(policy.read_text().replace("payments.logs", '"*.logs"'))
    found = tried(invoke, policy, events, "--topic", "a.logs", "--model-dir", models)
    assert found["topic"] == "a.logs"


def test_a_files_lines_have_no_budget(
    invoke: Invoke, enforced: Path, models: Path, events: Path
) -> None:
    """Lines without times fall under no budget: it is left out, and said; its price counts, and a
    policy that is overloaded is not so here."""
    without = tried(invoke, enforced, events, "--model-dir", models)
    enforced.write_text(
        enforced.read_text()
        + "    budget: {per_minute: 1, price: 2.5}\n    overload: {max_lag: 1s, then: forward}\n"
    )
    found = tried(invoke, enforced, events, "--model-dir", models)
    assert found["routes"] == without["routes"]
    assert found["cost"]["price_per_million_tokens"] == 2.5
    shown = invoke("try", enforced, events, "--model-dir", models)
    assert "the budget was left out" in shown.stdout
