"""Judged events, and the story of one, from a store."""

from pathlib import Path

import orjson
import pytest
from click.testing import CliRunner

from stream_filter import audit
from stream_filter.app.labels import read_labels
from stream_filter.cli.main import main
from stream_filter.core.oracle import Judge, OracleVerdict
from stream_filter.core.position import Position, event_id
from stream_filter.store.folder import Folder
from stream_filter.store.judgement_rows import encode_rows, verdict_row
from stream_filter.store.stretches import Stretch
from tests.audit.conftest import NOW_MS, TOPIC

KEY = b"secret"


def judge(store: Path, *verdicts: tuple[Position, bool, str], key: bytes = KEY) -> None:
    """Put verdicts into the store: of which event, important, by a model or a person."""
    rows = [
        verdict_row(
            OracleVerdict(
                event_id=bytes.fromhex(event_id(str(position), key=key)),
                important=important,
                judge=Judge(who, who == "person"),
                offset=offset,
                at_ms=NOW_MS,
            ),
            (0, offset, NOW_MS),
        )
        for offset, (position, important, who) in enumerate(verdicts)
    ]
    stretch = Stretch(
        kind="verdicts", topic="v", day="2025-11-24", partition=0, first=0, next=len(rows)
    )
    Folder(str(store)).put(stretch.name, encode_rows("verdicts", rows))


def test_what_was_judged_is_exported(store: Path) -> None:
    """Events that were shown and judged, with the chance of that; people override models, of two
    alike the first counts, and a verdict on what was not shown, or a forged one, counts nothing."""
    important, held_out, dropped = (Position(TOPIC, 0, 10 + n) for n in (0, 2, 5))
    overruled, twice = Position(TOPIC, 1, 2), Position(TOPIC, 1, 12)
    judge(
        store,
        (important, True, "model"),
        (held_out, False, "model"),
        (dropped, True, "model"),
        (overruled, False, "model"),
        (overruled, True, "person"),
        (twice, True, "model"),
        (twice, False, "model"),
        (Position("another", 0, 10), True, "model"),
    )
    with audit.open(store) as ledger:
        found = {each.position: each for each in audit.labelled(ledger, TOPIC, key=KEY)}
        assert list(audit.labelled(ledger, TOPIC, key=b"another")) == []
        windowed = list(audit.labelled(ledger, TOPIC, (None, NOW_MS + 1), key=KEY))
        chosen = list(audit.labelled(ledger, TOPIC, key=KEY, where="reason = 'important'"))
    assert {p: e.important for p, e in found.items()} == {
        important: True,
        held_out: False,
        overruled: True,
        twice: True,
    }
    assert found[important].probability == 1.0
    assert found[held_out].probability == pytest.approx(0.01)
    assert found[held_out].reason == "holdout"
    assert [each.position for each in windowed] == [overruled]
    assert [each.position for each in chosen] == [important]


def test_an_export_calibrates(store: Path, tmp_path: Path) -> None:
    """Without payloads no broker is needed, and `calibrate` reads the lines."""
    judge(store, *((Position(TOPIC, 0, 10 * n + 2), n % 2 == 0, "model") for n in range(12)))
    out = tmp_path / "labels.jsonl"
    words = ["audit", "export", "--store", str(store), "--no-newest", "--topic", TOPIC]
    done = CliRunner().invoke(
        main,
        [*words, "--no-payload", "--out", str(out), "--json"],
        env={"STREAM_FILTER_KEY": KEY.decode()},
    )
    assert done.exit_code == 0, done.output
    assert orjson.loads(done.stdout)["events"] == 12
    labels = read_labels(out)
    assert labels.important.sum() == 6
    assert labels.probabilities is not None
    assert labels.probabilities == pytest.approx([0.01] * 12)
    assert labels.model_id == "fedcba9876543210"
    refused = CliRunner().invoke(main, [*words, "--out", str(out)])
    assert (refused.exit_code, refused.stderr.count("\n")) == (2, 1)


def test_the_story_of_an_event(store: Path) -> None:
    """What was decided, by which block, what the same text got around it, and what was said."""
    held_out = Position(TOPIC, 0, 52)
    judge(store, (held_out, True, "model"))
    with audit.open(store) as ledger:
        story = audit.explain(ledger, held_out, key=KEY)
        assert story is not None
        assert audit.explain(ledger, Position(TOPIC, 0, 10_000), key=KEY) is None
        ruled = audit.explain(ledger, Position(TOPIC, 1, 3), key=KEY)
    assert (story.decision.route, story.decision.reason) == ("forward", "holdout")
    assert story.block.header.block_id == f"{TOPIC}/0/50-59"
    assert [said.important for said in story.verdicts] == [True]
    # Of this text: row 2 of each odd block, row 3 of each even one, in both partitions.
    assert story.alike == {("forward", "holdout"): 12, ("discard", "rule"): 12}
    assert [str(each.position) for each in story.before] == [
        f"{TOPIC}/0/43",
        f"{TOPIC}/1/43",
        f"{TOPIC}/0/32",
    ]
    assert len(story.after) == 3
    assert ruled is not None
    assert (ruled.decision.rule, ruled.decision.score) == ("health checks", None)


@pytest.mark.parametrize(
    "position",
    ["", "a", "a/b", "a/b/c", "a/0/-1", "../../x/0/1", "a/0/1; DROP", "a/0/9" + "9" * 30],
)
def test_hostile_positions(position: str, store: Path) -> None:
    """What is no position is refused in one line."""
    done = CliRunner().invoke(
        main, ["audit", "explain", position, "--store", str(store), "--no-newest"]
    )
    assert done.exit_code == 2, done.output
    assert "Traceback" not in done.output


def test_explain_on_the_command_line(store: Path) -> None:
    """Without a policy it says what was recorded, and why nothing was recomputed."""
    words = ["audit", "explain", f"{TOPIC}/0/55", "--store", str(store), "--no-newest"]
    told = CliRunner().invoke(main, words)
    assert told.exit_code == 0, told.output
    assert "discard, because below_threshold" in told.stdout
    document = orjson.loads(CliRunner().invoke(main, [*words, "--json"]).stdout)
    assert document["agrees"] is None
    assert document["decision"]["reason"] == "below_threshold"
