"""What-if against a real rerun: another policy over recorded scores, and a worker that has it."""

import asyncio
import random
import time
from collections import Counter
from pathlib import Path
from typing import Any

import orjson
import pytest
from aiokafka import AIOKafkaProducer

from stream_filter import audit
from stream_filter.app.policy_file import load_policy
from stream_filter.app.settings import load_settings
from stream_filter.audit.supposing import decide_again
from stream_filter.core.decision import Reason
from stream_filter.core.ledger import Block
from stream_filter.core.what_if import Supposed
from stream_filter.demo.generator import PlatformStream

PARTITIONS, EVENTS, BATCH = 2, 3_000, 500
POLICIES, AT_ONCE = 20, 4
TEXT = {"text": "{service} {level} {message}", "mode": "enforce"}
OLD = {**TEXT, "raw": {"drop_below": 0.2, "keep_above": 0.8}, "holdout": 0.1}
LONG = orjson.dumps({"service": "auth", "level": "INFO", "message": "session renewed " * 200})
Rows = dict[tuple[int, int], tuple[Any, ...]]


def random_rules(seed: int) -> dict[str, Any]:
    """A policy; each part of one occurs in many, and the first has all of them."""
    dice = random.Random(seed)

    def often(chance: float) -> bool:
        return seed == 0 or dice.random() < chance

    low = dice.choice([0.02, 0.06, 0.1, 0.3, 0.6])
    rules: dict[str, Any] = {
        **TEXT,
        "raw": {"drop_below": low, "keep_above": dice.choice([low, 0.7, 0.9])},
        "holdout": dice.choice([0.02, 0.1, 0.4] if seed == 0 else [0.0, 0.02, 0.1, 0.4]),
    }
    if often(0.6):
        rules["novelty"] = {"forward_first": dice.randint(1, 4)}
    if often(0.5):
        rules["fold"] = {"window": dice.choice(["10s", "60s", "5m"]), "keep": dice.randint(1, 3)}
    if often(0.5):
        limit = dice.choice([{"per_minute": 60}, {"per_hour": 500}, {"tokens_per_minute": 4_000}])
        rules["budget"] = {**limit, "overflow": dice.choice(["defer", "widen", "forward"])}
    if often(0.3):
        rules["ramp"] = {"percent": 70, "by": dice.choice(["key", "position"])}
    if often(0.4):
        rules["rules"] = [
            {
                "name": "errors",
                "when": 'level == "ERROR"',
                "then": dice.choice(["keep", "abstain"]),
            },
            {"when": 'message.contains("health")', "then": "drop", "holdout": 0.2},
        ]
    if seed and dice.random() < 0.1:
        rules["mode"] = "shadow"
    return rules


def values(began_ms: int) -> list[dict[str, Any]]:
    """Ten minutes of the demo's stream in the past, some records that hold no event, keys."""
    stream = PlatformStream(seed=5, start_ms=began_ms, duration_s=600)
    found = []
    for second in range(600):
        for event in stream.events(float(second), EVENTS // 600):
            n = len(found)
            value = {17: b"no json", 18: None, 19: LONG}.get(n % 100, event.value)
            found.append(
                {
                    "value": value,
                    "key": b"key-%d" % (n % 13) if n % 5 else None,
                    "partition": n % PARTITIONS,
                    "timestamp_ms": began_ms + second * 1_000 + n % 7 * 100,
                }
            )
    return found


async def send(bootstrap: str, topic: str, records: list[dict[str, Any]]) -> None:
    producer = AIOKafkaProducer(bootstrap_servers=bootstrap, linger_ms=20)
    await producer.start()
    try:
        await asyncio.gather(*[await producer.send(topic, **record) for record in records])
    finally:
        await producer.stop()


def rows_of(offsets: Any, partition: int, decisions: Any) -> Rows:
    columns = (decisions.verdict, decisions.route, decisions.reason, decisions.probability)
    rows = zip(offsets.tolist(), *(column.tolist() for column in columns), strict=True)
    return {(partition, offset): tuple(row) for offset, *row in rows}


def recorded(gate: Any, topic: str, *, timeout_s: float = 150.0) -> list[Block]:
    """The ledger's blocks, once they account for all events."""
    settings = load_settings(gate.settings_file, {})
    deadline = time.monotonic() + timeout_s
    while True:
        with audit.open(gate.bootstrap, settings=settings, topic=topic) as ledger:
            blocks = list(ledger.read_blocks(topic))
        if sum(block.header.rows for block in blocks) >= EVENTS:
            return blocks
        assert gate.worker.is_running, gate.worker.log()
        assert time.monotonic() < deadline, "the worker did not come to the end"
        time.sleep(0.5)


def supposed(gate: Any, policy_file: Path, topic: str) -> tuple[Rows, tuple[str, ...]]:
    """What a policy would have made of what a gate's ledger holds."""
    settings = load_settings(gate.settings_file, {})
    found: Rows = {}

    def take(block: Block, again: list[Supposed]) -> None:
        (own,) = again
        assert not own.unscored.any()
        found.update(rows_of(block.offsets, block.header.partition, own.decisions))

    with audit.open(gate.bootstrap, settings=settings, topic=topic) as ledger:
        told = decide_again(ledger, load_policy(policy_file), topic, settings=settings, take=take)
    assert told.gone == 0
    assert told.needed or told.is_text_checked
    return found, told.needed


def rerun(gate: Any, make_gate_on: Any, number: int) -> Any:
    """A worker over the same source in a group of its own, under a policy of its own."""
    again = make_gate_on(gate.bootstrap)
    again.folder = gate.folder / f"policy-{number}"
    again.folder.mkdir()
    again.__post_init__()
    again.settings_lines = [f"batch_records: {BATCH}"]
    again.prepare({"unused": OLD}, partitions=PARTITIONS, creates=False)
    rules = {"model": "demo-platform", "forward_to": again.topic("analysis")}
    topics = {gate.topic("logs"): {**rules, **random_rules(number)}}
    again.policy_file.write_bytes(orjson.dumps({"version": 1, "topics": topics}))
    made = again.invoke("topics", "create", "--policy", again.policy_file, "--partitions", 2)
    assert made.exit_code == 0, made.output
    return again


@pytest.mark.slow
@pytest.mark.timeout(1800)
async def test_routes_are_those_of_a_rerun(kafka_gate: Any, make_gate_on: Any) -> None:
    """Twenty random policies over one run's scores, each against a worker that has it and reads the
    same source: verdict, route, reason and probability of every event are the same, with novelty,
    folds, budget, ramp, rules and holdout. What a budget refuses depends on where the batches end:
    where the rerun cut them otherwise, the policy is supposed over the rerun's own ledger."""
    gate = kafka_gate
    gate.settings_lines = [f"batch_records: {BATCH}"]
    gate.prepare({"logs": OLD}, partitions=PARTITIONS)
    topic = gate.topic("logs")
    await send(gate.bootstrap, topic, values(int(time.time() * 1000) - 700_000))
    gate.worker.start()
    cuts = {block.header.block_id for block in await asyncio.to_thread(recorded, gate, topic)}
    assert gate.worker.stop() == 0

    reasons: Counter[Reason] = Counter()
    read_back = 0
    for first in range(0, POLICIES, AT_ONCE):
        runs = [
            rerun(gate, make_gate_on, number)
            for number in range(first, min(first + AT_ONCE, POLICIES))
        ]
        try:
            for run in runs:
                run.worker.start()
            ledgers = [await asyncio.to_thread(recorded, run, topic) for run in runs]
        finally:
            for run in runs:
                run.worker.kill()
        for run, blocks in zip(runs, ledgers, strict=True):
            expected: Rows = {}
            for block in blocks:
                expected |= rows_of(block.offsets, block.header.partition, block.decisions)
                reasons.update(map(Reason, block.decisions.reason.tolist()))
            rules = orjson.loads(run.policy_file.read_bytes())["topics"][topic]
            same_cuts = {block.header.block_id for block in blocks} == cuts
            asked = run if "budget" in rules and not same_cuts else gate
            found, needed = await asyncio.to_thread(supposed, asked, run.policy_file, topic)
            read_back += bool(needed)
            different = {
                at: (row, expected[at]) for at, row in found.items() if row != expected[at]
            }
            assert len(found) == len(expected) == EVENTS
            assert not different, (rules, len(different), list(different.items())[:5])
    assert 0 < read_back < POLICIES, "both ways of answering were tried"
    assert set(reasons) >= {
        *(Reason.IMPORTANT, Reason.AMBIGUOUS, Reason.RULE, Reason.NOVEL, Reason.HOLDOUT),
        *(Reason.SHADOW, Reason.BELOW_THRESHOLD, Reason.DUPLICATE, Reason.OVER_BUDGET),
        *(Reason.UNDECODABLE, Reason.UNREADABLE),
    }


async def test_a_sweep_through_the_gate(gate: Any, tmp_path: Path) -> None:
    """On the command line, with folds and rules: each threshold of a sweep forwards as many as the
    policy with that threshold alone. A policy that reads other fields finds no scores, and a topic
    that was never decided is refused with one line."""
    gate.prepare({"logs": OLD})
    topic = gate.topic("logs")
    sent = values(int(time.time() * 1000) - 700_000)[:400]
    await send(gate.bootstrap, topic, [{**record, "partition": 0} for record in sent])
    gate.worker.start()
    await gate.settled("logs", 400)
    gate.worker.kill()
    file = tmp_path / "new.yaml"
    rules = {
        **TEXT,
        "model": "demo-platform",
        "holdout": 0.1,
        "novelty": {"forward_first": 1},
        "fold": {"window": "60s", "keep": 1},
        "rules": [{"when": 'service == "auth"', "then": "drop"}],
    }

    def asked(low: float, *options: object, **changes: Any) -> Any:
        raw = {"drop_below": low, "keep_above": max(low, 0.9)}
        own = {**rules, "raw": raw, **changes}
        file.write_bytes(orjson.dumps({"version": 1, "topics": {topic: own}}))
        return gate.invoke("what-if", "--policy", file, "--json", *options)

    done = asked(0.0, "--sweep")  # at which most is forwarded, and much of it repeats
    assert done.exit_code == 0, done.output
    found = orjson.loads(done.stdout)
    assert (found["records"], found["gone"], found["unscored"]) == (400, 0, 0)
    assert found["read_back_because_of"] == ["rules", "fold"]
    assert found["supposed"]["folded"] > 20
    at = {point["drop_below"]: point["forwarded"] for point in found["sweep"]}
    for low in (0.0, 0.06, 0.3, 1.0):
        alone = orjson.loads(asked(low).stdout)
        assert alone["supposed"]["forwarded"] == at[low], low
    other = orjson.loads(asked(0.3, text="{message}", rules=[], fold=None).stdout)
    assert other["read_back_because_of"] == ["text"]
    assert other["unscored"] > 350
    same = orjson.loads(asked(0.3, rules=[], fold=None).stdout)
    assert (same["read_back_because_of"], same["is_text_checked"]) == ([], True)
    refused = asked(0.3, "--topic", f"{topic}x")
    assert (refused.exit_code, refused.stderr.count("\n")) == (2, 1)
