"""Every decision of a real run comes out again."""

from collections import Counter
from typing import Any

import orjson
import pytest
from aiokafka import AIOKafkaProducer

from stream_filter import audit
from stream_filter.app.policy_file import load_policy
from stream_filter.app.recomputing import Recomputer, obstacle
from stream_filter.app.settings import load_settings
from stream_filter.demo.generator import PlatformStream

EVENTS, PARTITIONS = 10_000, 2
FIRST = {
    "text": "{service} {level} {message}",
    "model": "demo-platform",
    "mode": "enforce",
    "holdout": 0.05,
    "raw": {"drop_below": 0.06, "keep_above": 0.5},
    "rules": [{"name": "fatal", "when": 'level == "FATAL"', "then": "keep"}],
    "fold": {"window": "60s", "keep": 3},
}
SECOND = {
    **FIRST,
    "text": "{service} {message}",
    "model": "triage-starter",
    "raw": {"drop_below": 0.4, "keep_above": 0.8},
    "novelty": {"forward_first": 2},
    "ramp": 80,
}


async def send(gate: Any, values: list[bytes]) -> None:
    producer = AIOKafkaProducer(bootstrap_servers=gate.bootstrap, linger_ms=20)
    await producer.start()
    try:
        for n, value in enumerate(values):
            await producer.send(gate.topic("logs"), value, partition=n % PARTITIONS)
        await producer.flush()
    finally:
        await producer.stop()


@pytest.mark.slow
async def test_recomputed_is_recorded(gate: Any) -> None:
    """10,000 events through two policies with two packs, one after the other: each decision that
    is made again from its record, by `explain`'s own means, is the recorded one."""
    stream = PlatformStream(seed=7, start_ms=0, duration_s=60)
    values = [event.value for event in stream.events(30.0, EVENTS - 20)]
    values += [b"no json", orjson.dumps({"service": "pay"})] * 10
    policies = {}
    for part, rules in enumerate((FIRST, SECOND)):
        gate.prepare({"logs": rules}, partitions=PARTITIONS)
        policy = load_policy(gate.policy_file)
        policies[policy.policy_id] = policy
        gate.worker.start()
        gate.worker.wait_ready()
        await send(gate, values[part::2])
        await gate.settled("logs", EVENTS // 2 * (part + 1), timeout_s=180)
        assert gate.worker.stop() == 0

    settings = load_settings(gate.settings_file, {})
    records = await gate.read_all("logs", partitions=PARTITIONS)
    at = {(record.partition, record.offset): record for record in records}
    recomputers = {name: Recomputer(policy, settings) for name, policy in policies.items()}
    compared: Counter[tuple[str, str]] = Counter()
    reasons: Counter[str] = Counter()
    with audit.open(gate.bootstrap, settings=settings) as ledger:
        for block in ledger.read_blocks(gate.topic("logs")):
            header = block.header
            assert obstacle(policies[header.policy_id], block) is None
            of_block = [at[header.partition, offset] for offset in block.offsets.tolist()]
            again = recomputers[header.policy_id].recompute(block, range(header.rows), of_block)
            wrong = [each for each in again if each.differences]
            assert not wrong, wrong[:3]
            compared[header.policy_id, header.model_id] += len(again)
            reasons.update(each.decision.reason for each in again)
    assert sum(compared.values()) == EVENTS
    assert len({policy for policy, _ in compared}) == len({pack for _, pack in compared}) == 2
    assert {"holdout", "rule", "below_threshold", "undecodable", "important"} <= reasons.keys()
