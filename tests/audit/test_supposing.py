"""What another policy would have made of recorded events, against a gate that has that policy."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pytest
from click.testing import CliRunner

from stream_filter import audit
from stream_filter.app.gate_assembly import assemble_gate
from stream_filter.app.rehearsal import RehearsedRecord, UnwrittenLedger
from stream_filter.app.settings import load_settings
from stream_filter.audit.from_source import joined
from stream_filter.audit.supposing import decide_again
from stream_filter.cli.main import main
from stream_filter.core.canonical import canonicalize
from stream_filter.core.chain import ChainEnd
from stream_filter.core.decision import Reason, Route
from stream_filter.core.ledger import Block
from stream_filter.core.policy import (
    Format,
    Mode,
    Novelty,
    Policy,
    Rule,
    Thresholds,
    TopicPolicy,
)
from stream_filter.core.position import Position
from stream_filter.core.what_if import Supposed
from stream_filter.gate.batch import RecordBatch
from stream_filter.models.fixed_scorer import FixedScorer
from tests.audit.conftest import NOW_MS, write_store
from tests.audit.test_labels_and_stories import judge
from tests.audit.test_questions import HOSTILE

TOPIC = "payments.logs"
SETTINGS = load_settings(None, {"key": "test"})
OFFLINE: dict[str, Any] = {"settings": SETTINGS, "asks_source": False}
TEXTS = [f"event of kind {'abcdefghijklmnopqrst'[n]}" for n in range(20)]
TEXTS[::3] = [text + " and so on" * 300 for text in TEXTS[::3]]
"""Some are too long to be read whole."""
SCORES = {canonicalize(text): n / 19 for n, text in enumerate(TEXTS)}
RULES = TopicPolicy(
    topic=TOPIC,
    format=Format.TEXT,
    text=None,
    model="pack",
    model_id=None,
    thresholds=Thresholds(drop_below=0.5, keep_above=0.9),
    mode=Mode.ENFORCE,
    holdout=0.1,
    forward_to="llm.analysis",
)
NEW = replace(
    RULES,
    thresholds=Thresholds(drop_below=0.7, keep_above=0.95),
    holdout=0.3,
    novelty=Novelty(forward_first=3),
    ramp=80.0,
)


def policy_of(rules: TopicPolicy) -> Policy:
    return Policy(topics=(rules,))


def decided(
    rules: TopicPolicy, *, sizes: tuple[int, ...] = (7, 120, 33, 240), partitions: int = 2
) -> list[Block]:
    """What a gate decides of the same records, in batches of these sizes."""
    gate = assemble_gate(
        policy_of(rules),
        SETTINGS,
        scorers={"pack": FixedScorer(SCORES, 0.5, model_id="0123456789abcdef")},
        delivery="exactly_once",
        codec=UnwrittenLedger(),
        clock_ms=lambda: NOW_MS,
    )
    random = np.random.default_rng(7)
    blocks = []
    for partition in range(partitions):
        memory, _ = gate.recall(TOPIC, partition, {}, up_to=0)
        first, end = 0, ChainEnd()
        chosen = random.choice(len(TEXTS), sum(sizes), p=np.arange(20, 0, -1) / 210).tolist()
        records = [
            RehearsedRecord(
                offset=n, timestamp=NOW_MS, value=TEXTS[each].encode() if n % 31 else None
            )
            for n, each in enumerate(chosen)
        ]
        for size in sizes:
            batch = RecordBatch(
                topic=TOPIC,
                partition=partition,
                first_offset=first,
                next_offset=first + size,
                records=records[first : first + size],
            )
            blocks.append(end.add(gate.process(batch, {}, memory).block))
            first += size
    return blocks


def fates(decisions: Any, offsets: Any, partition: int) -> dict[tuple[int, int], tuple[int, ...]]:
    columns = (decisions.verdict, decisions.route, decisions.reason, decisions.probability)
    rows = zip(*(column.tolist() for column in columns), strict=True)
    return {(partition, o): row for o, row in zip(offsets.tolist(), rows, strict=True)}


@pytest.fixture
def store(tmp_path: Path) -> Path:
    write_store(tmp_path / "store", decided(RULES))
    return tmp_path / "store"


def test_routes_are_those_of_a_gate_with_that_policy(store: Path) -> None:
    """Event by event, novelty, holdout and ramp included, however the gate's batches are cut."""
    expected: dict[Any, Any] = {}
    for block in decided(NEW, sizes=(50, 50, 300)):
        expected |= fates(block.decisions, block.offsets, block.header.partition)
    found: dict[Any, Any] = {}

    def take(block: Block, supposed: list[Supposed]) -> None:
        (own,) = supposed
        assert not own.unscored.any()
        found.update(fates(own.decisions, block.offsets, block.header.partition))

    with audit.open(store) as ledger:
        decide_again(ledger, policy_of(NEW), TOPIC, take=take, **OFFLINE)
    assert found == expected
    reasons = {Reason(fate[2]) for fate in found.values()}
    assert {Reason.NOVEL, Reason.HOLDOUT, Reason.SHADOW, Reason.UNREADABLE} <= reasons


def test_counts_are_of_the_events(store: Path) -> None:
    """The same policy changes nothing; --where selects what is counted, not what is decided."""
    with audit.open(store) as ledger:
        same = audit.what_if(ledger, policy_of(RULES), TOPIC, **OFFLINE)
        new = audit.what_if(ledger, policy_of(NEW), TOPIC, **OFFLINE, price=2.0)
        some = audit.what_if(ledger, policy_of(NEW), TOPIC, **OFFLINE, where="score < 0.2")
    assert all(old == new for old, new, _ in same.moves)
    assert same.records == new.records == 800
    assert not same.is_other_key
    assert new.supposed(Route.FORWARD) + new.supposed(Route.DISCARD) == 800
    assert new.cost == 2.0 * new.supposed(Route.FORWARD)
    low = sum(n for (_, reason), _, n in new.moves if reason is Reason.BELOW_THRESHOLD)
    assert 0 < some.records < low
    assert some.supposed(Route.FORWARD) > 0, "the first of each text are novel"


def test_a_sweep_is_many_answers(store: Path) -> None:
    """Each threshold of a sweep forwards as many as the policy with that threshold."""
    with audit.open(store) as ledger:
        swept = audit.what_if(ledger, policy_of(NEW), TOPIC, **OFFLINE, sweep=True)
        for point in swept.sweep[::9]:
            rules = replace(NEW, thresholds=Thresholds(drop_below=point.drop_below, keep_above=1.0))
            alone = audit.what_if(ledger, policy_of(rules), TOPIC, **OFFLINE)
            assert alone.supposed(Route.FORWARD) == point.forwarded, point.drop_below
            assert alone.supported == point.supported
    forwarded = [point.forwarded for point in swept.sweep]
    assert forwarded[0] == 800
    assert forwarded == sorted(forwarded, reverse=True)


def test_scores_are_never_invented(tmp_path: Path) -> None:
    """Of another pack's scores, and of what a rule decided unread, nothing is said but what the
    same text scored elsewhere."""
    ruled = replace(RULES, rules=(Rule(when='line == "event of kind b"', then="drop"),))
    blocks = decided(ruled)
    write_store(tmp_path / "store", blocks)
    with audit.open(tmp_path / "store") as ledger:
        found = audit.what_if(ledger, policy_of(RULES), TOPIC, **OFFLINE)
        pinned = replace(RULES, model_id="f" * 16)
        other = audit.what_if(ledger, policy_of(pinned), TOPIC, **OFFLINE)
    ruled_rows = sum(int((b.decisions.rule == 0).sum()) for b in blocks)
    assert found.unscored == ruled_rows > 0
    assert other.unscored == sum(int((b.text_digests != 0).sum()) for b in blocks)


async def test_records_that_are_gone_are_not_decided() -> None:
    """Each block gets those of its own records that the source still holds, whatever stands between
    blocks and however they are polled."""
    blocks = decided(RULES, sizes=(5, 5, 5), partitions=1)
    offsets = [3, 4, 6, 7, 8, 14, 15, 99]

    async def polled() -> Any:
        for cut in (offsets[:1], offsets[1:3], offsets[3:]):
            yield [RehearsedRecord(offset=offset) for offset in cut]

    found = [
        [record.offset for record in records] async for _, records in joined(iter(blocks), polled())
    ]
    assert found == [[3, 4], [6, 7, 8], [14]]


def test_a_policy_that_needs_a_broker(store: Path, policy_file: Path) -> None:
    """Rules need the payload: without a broker that has it, one line says so."""
    document = orjson.loads(policy_file.read_bytes())
    document["topics"][TOPIC]["rules"] = [{"when": 'line == "x"', "then": "drop"}]
    policy_file.write_bytes(orjson.dumps(document))
    done = ask(
        *("--policy", policy_file, "--store", store, "--no-newest"),
        *("--bootstrap", "localhost:1", "--json"),
    )
    assert done.exit_code in (1, 2), done.output
    assert done.stderr.startswith("error: ")
    assert done.stderr.count("\n") == 1


def is_important(position: Position) -> bool:
    return position.offset % 7 == 0


def true_recall(blocks: list[Block]) -> float:
    """Of would-be drops before the holdout."""
    kept = missed = 0
    for block in blocks:
        dropped = (block.decisions.route == Route.DISCARD) | (
            block.decisions.reason == Reason.HOLDOUT
        )
        important = block.offsets % 7 == 0
        kept += int((important & ~dropped).sum())
        missed += int((important & dropped).sum())
    return kept / (kept + missed)


def test_recall_is_what_the_labels_support(tmp_path: Path) -> None:
    """From the old policy's holdout alone the interval holds the recall that the new one would have
    had; dropped outside a holdout there is no support, and it is said of how many."""
    new = replace(NEW, ramp=100.0, novelty=None)
    sizes = (400, 400, 400, 400)
    for holdout in (0.4, 0.0):
        blocks = decided(replace(RULES, holdout=holdout), sizes=sizes)
        store = tmp_path / f"store-{holdout}"
        write_store(store, blocks)
        shown = [
            Position(TOPIC, block.header.partition, offset)
            for block in blocks
            for offset in block.offsets[block.decisions.route == Route.FORWARD].tolist()
        ]
        with audit.open(store) as ledger:
            unjudged = audit.what_if(ledger, policy_of(new), TOPIC, **OFFLINE)
        assert unjudged.supported.finding is None
        judge(store, *((p, is_important(p), "llm") for p in shown), key=b"test")
        with audit.open(store) as ledger:
            found = audit.what_if(ledger, policy_of(new), TOPIC, **OFFLINE, sweep=True)
        finding = found.supported.finding
        assert finding is not None
        dropped = sum(int((b.decisions.route == Route.DISCARD).sum()) for b in blocks)
        if holdout:
            truth = true_recall(decided(new, sizes=sizes))
            assert 0 < finding.recall.lower <= truth <= finding.recall.upper < 1
            assert found.supported.unsupported == 0
            assert found.supported.judged == len(shown)
            lows = [p.supported.finding.recall.lower for p in found.sweep if p.supported.finding]
            assert len(lows) == len(found.sweep)
            assert lows[0] == 1.0, "nothing is dropped"
        else:
            assert found.supported.unsupported == dropped > 0
            assert found.supported.events == 3_200 - dropped


def ask(*arguments: object) -> Any:
    return CliRunner().invoke(main, ["what-if", *map(str, arguments)])


@pytest.fixture
def policy_file(tmp_path: Path) -> Path:
    rules = {
        "format": "text",
        "model": "pack",
        "raw": {"drop_below": 0.7, "keep_above": 0.95},
        "mode": "enforce",
        "holdout": 0.1,
    }
    path = tmp_path / "policy.yaml"
    path.write_bytes(orjson.dumps({"version": 1, "topics": {TOPIC: rules}}))
    return path


def test_on_the_command_line(store: Path, policy_file: Path, tmp_path: Path) -> None:
    """JSON has the counts and the sweep; the page stands alone; people get a table."""
    page = tmp_path / "page.html"
    asked = ("--policy", policy_file, "--store", store, "--no-newest", "--price", 2, "--sweep")
    done = ask(*asked, "--html", page, "--json")
    assert done.exit_code == 0, done.output
    found = orjson.loads(done.stdout)
    assert found["records"] == sum(found["supposed"].values()) == 800
    assert found["newly"]["dropped"] > 0
    assert 1 <= len(found["examples"]["newly_dropped"]) <= 5
    assert all(each["score"] < 0.7 for each in found["examples"]["newly_dropped"])
    assert len(found["sweep"]) == 101
    at = {point["drop_below"]: point["forwarded"] for point in found["sweep"]}
    assert at[0.7] == found["supposed"]["forwarded"]
    assert found["cost"] == 2 * at[0.7]
    assert found["recall"]["low"] is None
    html = page.read_text()
    assert "<svg" in html
    assert "http" not in html
    assert found["is_other_key"], "the store's is named in no settings here"
    shown = ask(*asked)
    assert shown.exit_code == 0, shown.output
    assert "no support" in shown.stdout
    assert "another key" in shown.stderr


@pytest.mark.parametrize("where", HOSTILE)
def test_hostile_conditions(where: str, store: Path, policy_file: Path, tmp_path: Path) -> None:
    """Refused with one line; nothing is read outside the views, nothing is written."""
    before = sorted(tmp_path.rglob("*"))
    where = where.replace("{out}", str(tmp_path / "out")).replace("{store}", str(store))
    done = ask("--policy", policy_file, "--store", store, "--no-newest", "--where", where)
    assert done.exit_code == 2, done.output
    assert done.stderr.startswith("error: --where")
    assert done.stderr.count("\n") == 1
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize(
    "change",
    [
        {"--policy": "/nonexistent/policy.yaml"},
        {"--topic": "../../etc"},
        {"--topic": "another"},
        {"--topic": "x' OR 1=1 --"},
        {"--store": "/nonexistent/store"},
        {"--from": "1h"},
        {"--html": "/nonexistent/page.html"},
    ],
)
def test_asked_wrongly(change: dict[str, str], store: Path, policy_file: Path) -> None:
    """What cannot be is refused with one line, the way out, and no traceback."""
    options = {"--policy": str(policy_file), "--store": str(store), **change}
    done = ask("--no-newest", *(word for option in options.items() for word in option))
    assert done.exit_code == 2, done.output
    assert done.stderr.count("\n") == 1
    assert done.stderr.startswith("error: ")


def test_a_policy_that_is_none(store: Path, tmp_path: Path) -> None:
    """Garbage is refused with its problem, one line each."""
    bad = tmp_path / "bad.yaml"
    for text in ("\x00", "version: 1\ntopics: [1]", "a: &a [*a]", "[" * 5_000):
        bad.write_text(text)
        done = ask("--policy", bad, "--store", store, "--no-newest")
        assert done.exit_code == 2, done.output
        assert "Traceback" not in done.output
        assert done.stderr.startswith("error: ")
