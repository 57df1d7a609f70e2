"""What partitions remember survives restarts, rebalances and kill -9, and the counts add up."""

import asyncio
import time
from collections import Counter
from collections.abc import Callable
from typing import Any

import numpy as np
import orjson
import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from stream_filter.core.position import parse_position
from stream_filter.gate.fold_summary import FoldSummary, parse_summary
from stream_filter.testing.worker_process import WorkerProcess

pytestmark = pytest.mark.slow

TEXT = {"text": "{service} {level} {message}", "mode": "enforce", "holdout": 0.0}
KEEP_ALL = {**TEXT, "raw": {"drop_below": 0.0, "keep_above": 0.0}}
DROP_ALL = {**TEXT, "raw": {"drop_below": 1.0, "keep_above": 1.0}}
WINDOW_MS = 10_000
KEEP = 3


def event(message: str) -> bytes:
    return orjson.dumps({"service": "pay", "level": "ERROR", "message": message})


async def send(
    gate: Any,
    name: str,
    values: list[tuple[int, bytes, int]],
    *,
    pause_s: Callable[[float], float] = lambda sent: 0.0,
) -> None:
    """Send values to partitions with timestamps: a hundred portions, or fewer of fifty, with a
    pause after each, of which is asked with the share that was sent."""
    producer = AIOKafkaProducer(bootstrap_servers=gate.bootstrap, linger_ms=20)
    await producer.start()
    try:
        portion = max(50, len(values) // 100)
        for first in range(0, len(values), portion):
            futures = [
                await producer.send(
                    gate.topic(name), value, partition=partition, timestamp_ms=at_ms
                )
                for partition, value, at_ms in values[first : first + portion]
            ]
            await asyncio.gather(*futures)
            await asyncio.sleep(pause_s(first / len(values)))
    finally:
        await producer.stop()


def summaries_of(records: list[Any]) -> list[FoldSummary]:
    return [parse_summary(r.value) for r in records if "sf-fold" in dict(r.headers)]


def verified(gate: Any, name: str) -> dict[str, int]:
    """What `ledger verify` says, summed over the partitions; it must hold."""
    done = gate.verify(name)
    assert done.returncode == 0, done.stdout + done.stderr
    total: Counter[str] = Counter()
    for finding in orjson.loads(done.stdout)["partitions"].values():
        total.update({k: v for k, v in finding.items() if isinstance(v, int)})
    return dict(total)


async def all_summarized(gate: Any, name: str, *, timeout_s: float = 60.0) -> dict[str, int]:
    """Until every folded record stands in a summary."""
    async with asyncio.timeout(timeout_s):
        while True:
            total = verified(gate, name)
            if total["folded"] == total["summarized"]:
                return total
            await asyncio.sleep(0.5)


@pytest.mark.parametrize(
    ("events", "per_minute"),
    [
        (30_000, None),
        (30_000, 30),
        pytest.param(1_000_000, 30, marks=[pytest.mark.chaos, pytest.mark.timeout(1800)]),
    ],
)
async def test_a_storm_across_kill_9(kafka_gate: Any, events: int, per_minute: int | None) -> None:
    """A storm of equal events over six windows and two partitions, the worker killed in the
    middle: of each window and partition three are forwarded, each other one is counted by exactly
    one summary, and summaries, ledger and source agree to the record. With a budget, what does not
    fit waits, and no minute of the analysis topic holds more."""
    gate = kafka_gate
    gate.settings_lines = [f"batch_records: {events // 60}"]
    gate.prepare(
        {
            "storm": {
                **KEEP_ALL,
                "fold": {"window": f"{WINDOW_MS // 1000}s", "keep": KEEP},
                "budget": per_minute and {"per_minute": per_minute},
            }
        },
        partitions=2,
    )
    began_ms = (int(time.time() * 1000) // WINDOW_MS - 10) * WINDOW_MS
    span_ms = 6 * WINDOW_MS
    value = event("card declined")
    storm = [(i % 2, value, began_ms + i * span_ms // events) for i in range(events)]
    gate.worker.start()
    gate.worker.wait_ready()
    kills = 0

    def pause_s(sent: float) -> float:
        """Where a worker takes long to come back, the storm waits for the next kill, but not for
        so long that a window ends."""
        return 0.15 if kills == 2 or sent < 0.6 else 1.5

    sending = asyncio.create_task(send(gate, "storm", storm, pause_s=pause_s))
    for share in (0.1, 0.4):
        await gate.settled("storm", int(events * share), timeout_s=300)
        gate.worker.kill()
        assert not sending.done(), "killed in the middle"
        gate.worker.start()
        kills += 1
    await sending
    await gate.settled("storm", events, timeout_s=600)
    total = await all_summarized(gate, "storm")

    windows = 6 * 2
    assert total["records"] == events
    assert total["forwarded"] + total["deferred"] == KEEP * windows
    assert (total["deferred"] > 0) == (per_minute is not None)
    assert total["folded"] == events - KEEP * windows
    records = await gate.read_all("analysis", partitions=2)
    summaries = summaries_of(records)
    assert len(records) == total["forwarded"] + len(summaries)
    if per_minute is not None:
        times = np.array([record.timestamp for record in records])
        assert max(np.sum((times >= t) & (times < t + 60_000)) for t in times) <= per_minute
    places = [(s.first.rsplit("/", 1)[0], s.window_start_ms) for s in summaries]
    assert len(set(places)) == len(places) == windows, "one summary for each window"
    assert sum(s.folded for s in summaries) == total["folded"]
    for summary in summaries:
        first, last = parse_position(summary.first), parse_position(summary.last)
        assert summary.folded == last.offset - first.offset + 1, "the storm was without a gap"
        assert summary.text == "pay ERROR card declined"
    assert gate.worker.stop() == 0


async def test_texts_seen_before_are_not_novel_again(kafka_gate: Any) -> None:
    """Not after a restart, not after a rebalance to a new worker and not after its death."""
    gate = kafka_gate
    gate.prepare({"logs": {**DROP_ALL, "novelty": {"forward_first": 2}}}, partitions=2)
    letters = "abcdefghijklmnopqrst"
    now_ms = int(time.time() * 1000)
    texts = [(p, event(f"odd {c}"), now_ms) for c in letters for p in (0, 1) for _ in range(5)]
    sent = 0

    async def novel(*more: tuple[int, bytes, int]) -> int:
        """How many records were forwarded as novel after all texts were sent once more."""
        nonlocal sent
        batch = [*texts, *more]
        await send(gate, "logs", batch)
        sent += len(batch)
        await gate.settled("logs", sent)
        found = Counter(d["reason"] for d in gate.decisions("logs"))
        assert found["novel"] + found["below_threshold"] == sent
        return found["novel"]

    gate.worker.start()
    gate.worker.wait_ready()
    expected = len(letters) * 2 * 2
    assert await novel() == expected
    assert gate.worker.stop() == 0
    gate.worker.start()
    gate.worker.wait_ready()
    assert await novel() == expected, "after a restart"
    other = WorkerProcess(
        policy=gate.policy_file, settings=gate.settings_file, log_file=gate.folder / "other"
    )
    other.start()
    try:
        other.wait_ready()
        assert await novel() == expected, "after a rebalance"
        other.kill()
        assert await novel((0, event("quite new"), now_ms)) == expected + 1, "after a death"
    finally:
        if other.is_running:
            other.kill()
    assert gate.worker.stop() == 0


async def test_a_damaged_memory_forwards(kafka_gate: Any) -> None:
    """Garbage in the memory topic is an alarm; texts are novel once more, and all goes on."""
    gate = kafka_gate
    gate.prepare({"logs": {**DROP_ALL, "novelty": {"forward_first": 1}}})
    gate.worker.start()
    gate.worker.wait_ready()
    now_ms = int(time.time() * 1000)
    await send(gate, "logs", [(0, event("odd"), now_ms)] * 3)
    await gate.settled("logs", 3)
    assert gate.worker.stop() == 0
    key = f"{gate.topic('logs')}/0/snapshot/0/0".encode()
    await gate.send("memory", {"key": key, "value": b"\xffgarbage"})
    gate.worker.start()
    gate.worker.wait_ready()
    await send(gate, "logs", [(0, event("odd"), now_ms)] * 3)
    await gate.settled("logs", 6)
    reasons = [d["reason"] for d in gate.decisions("logs")]
    assert reasons == ["novel", "below_threshold", "below_threshold"] * 2
    (alarm,) = [line for line in gate.worker.log_lines() if line["event"] == "memory.damaged"]
    assert "snapshot/0/0" in str(alarm["problems"])
    assert b"stream_filter_memory_damaged_total" in gate.worker.get("/metrics")[1]


async def test_an_idle_partition_ends_its_windows(gate: Any) -> None:
    """A storm after which nothing comes gets its summary once the partition was idle for a
    window, also where the worker that folded it is gone."""
    gate.prepare({"storm": {**KEEP_ALL, "fold": {"window": "3s", "keep": 1}}})
    gate.worker.start()
    gate.worker.wait_ready()
    value = event("card declined")
    await send(gate, "storm", [(0, value, int(time.time() * 1000))] * 50)
    await gate.settled("storm", 50)
    gate.worker.kill()
    gate.worker.start()
    total = await all_summarized(gate, "storm")
    assert (total["forwarded"], total["folded"]) == (1, 49)
    assert [s.folded for s in summaries_of(await gate.read_all("analysis", partitions=1))] == [49]
    assert gate.worker.stop() == 0


async def test_a_ramp_grows_around_what_it_holds(kafka_gate: Any) -> None:
    """The same records under ramps of 10, 50 and 100: what is dropped at one is dropped at the
    next, and the ledger's share is as asked. By key, all records of a key are on one side, in
    whichever partition they stand."""
    gate = kafka_gate
    now_ms = int(time.time() * 1000)
    gate.prepare({"logs": DROP_ALL, "keyed": DROP_ALL}, partitions=2)
    await send(gate, "logs", [(0, event("cache hit"), now_ms)] * 2_000)
    keys = [b"user %d" % n for n in range(100)]
    keyed = [{"key": k, "value": event("cache hit"), "partition": p} for p in (0, 1) for k in keys]
    await gate.send("keyed", *keyed)
    own = gate.settings_file.read_text()
    dropped: set[str] = set()
    dropped_keys: set[int] = set()
    for percent in (10, 50, 100):
        policy = orjson.loads(gate.policy_file.read_bytes())
        policy["topics"][gate.topic("logs")]["ramp"] = percent
        policy["topics"][gate.topic("keyed")]["ramp"] = {"percent": percent, "by": "key"}
        gate.policy_file.write_bytes(orjson.dumps(policy))
        # Each ramp in a group of its own, with its own ledger: from the beginning.
        ledger = gate.topic("ledger")
        gate.settings_file.write_text(
            own.replace(ledger, f"{ledger}{percent}").replace(
                f"group: {gate.prefix}", f"group: {gate.prefix}{percent}"
            )
        )
        made = gate.run("topics", "create", "--policy", gate.policy_file)
        assert made.returncode == 0, made.stderr
        gate.worker.start()
        decided = tapped(gate, "logs", 2_000)
        by_key = tapped(gate, "keyed", len(keyed))
        assert gate.worker.stop() == 0
        found = {d["position"] for d in decided if d["route"] == "discard"}
        assert dropped <= found
        assert abs(len(found) - 20 * percent) <= 150
        assert {d["reason"] for d in decided if d["route"] == "forward"} <= {"shadow"}
        dropped = found
        # The n-th record of either partition has the n-th key.
        places = [parse_position(d["position"]) for d in by_key if d["route"] == "discard"]
        sides = [{p.offset for p in places if p.partition == side} for side in (0, 1)]
        assert sides[0] == sides[1] >= dropped_keys
        assert abs(len(sides[0]) - percent) <= 25
        dropped_keys = sides[0]


def tapped(gate: Any, name: str, limit: int) -> list[dict[str, Any]]:
    done = gate.run("tap", gate.topic(name), "--from-beginning", "--limit", limit, "--json")
    return [orjson.loads(line) for line in done.stdout.splitlines()]


async def test_check_warns_of_a_memory_that_is_not_compacted(kafka_gate: Any) -> None:
    """`topics create` makes the memory topic compacted; `check` warns where somebody made it
    otherwise."""
    gate = kafka_gate
    gate.prepare({"logs": DROP_ALL})
    checked = gate.run("check", gate.policy_file, "--json")
    assert orjson.loads(checked.stdout)["warnings"] == []
    admin = AIOKafkaAdminClient(bootstrap_servers=gate.bootstrap)
    await admin.start()
    await admin.create_topics([NewTopic(gate.topic("plain"), 1, 1)])
    await admin.close()
    text = gate.settings_file.read_text()
    gate.settings_file.write_text(text.replace(gate.topic("memory"), gate.topic("plain")))
    checked = gate.run("check", gate.policy_file, "--json")
    (warning,) = orjson.loads(checked.stdout)["warnings"]
    assert f"'{gate.topic('plain')}' is not compacted" in warning
