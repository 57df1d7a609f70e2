"""A replay that is killed and asked for again, while the gate works."""

import asyncio
import signal
from typing import Any

import orjson
import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient

from tests.e2e.test_replay import (
    command,
    event,
    prepare,
    replayed,
    source_of,
    started,
    until_replayed,
)


class Group:
    """What a consumer group has committed."""

    def __init__(self, gate: Any, partitions: int) -> None:
        self._gate = gate
        self._sources = [TopicPartition(gate.topic("logs"), p) for p in range(partitions)]

    async def committed(self) -> dict[str, dict[int, int]]:
        """By group, by partition."""
        admin = AIOKafkaAdminClient(bootstrap_servers=self._gate.bootstrap)
        await admin.start()
        try:
            groups = {name for name, _ in await admin.list_consumer_groups()}
            mine = sorted(name for name in groups if name.startswith(self._gate.prefix))
            return {
                name: {
                    source.partition: at.offset
                    for source, at in (await admin.list_consumer_group_offsets(name)).items()
                    if source in self._sources
                }
                for name in mine
            }
        finally:
            await admin.close()

    async def ends(self) -> dict[int, int]:
        consumer = AIOKafkaConsumer(bootstrap_servers=self._gate.bootstrap)
        await consumer.start()
        try:
            ends = await consumer.end_offsets(self._sources)
            return {source.partition: end for source, end in ends.items()}
        finally:
            await consumer.stop()


@pytest.mark.slow
async def test_killed_and_asked_again_under_load(kafka_gate: Any) -> None:
    """A replay under load that is killed with -9 twice, overtaken once, and asked for again:
    exactly the asked events arrive, each once; the live group and its lag know nothing of it."""
    gate, partitions, before = kafka_gate, 3, 6_000
    # A killed replay's open transaction holds back who reads committed records only.
    gate.settings_lines.append("transaction_timeout_ms: 10000")
    prepare(gate, partitions=partitions)
    group = Group(gate, partitions)
    gate.worker.start()
    gate.worker.wait_ready()
    producer = AIOKafkaProducer(bootstrap_servers=gate.bootstrap, linger_ms=20)
    await producer.start()
    stops = asyncio.Event()
    sent = 0

    async def send(count: int) -> None:
        nonlocal sent
        pending = []
        for _ in range(count):
            record = event(sent, partition=sent % partitions)
            pending.append(await producer.send(gate.topic("logs"), **record))
            sent += 1
        await asyncio.gather(*pending)

    async def load() -> None:
        while not stops.is_set():
            await send(100)
            await asyncio.sleep(0.2)

    try:
        await send(before)
        await gate.settled("logs", before, timeout_s=120)
        loading = asyncio.create_task(load())
        asked = command(
            gate,
            *("--where", f"reason = 'below_threshold' AND \"offset\" < {before // partitions}"),
        )
        groups = set(await group.committed())
        for count in (300, 700):
            child = started(gate, *asked, "--rate", "100/s")
            await until_replayed(gate, count, child)
            child.send_signal(signal.SIGKILL)
            child.communicate()
        # Of two at once the later takes over, and the earlier says so.
        overtaken = started(gate, *asked, "--rate", "20/s")
        await until_replayed(gate, await replayed(gate) + 20, overtaken)
        last = await asyncio.to_thread(started(gate, *asked).communicate)
        _, problem = await asyncio.to_thread(overtaken.communicate)
        assert overtaken.returncode == 1, problem
        assert "another replay" in problem
        found = orjson.loads(last[0])
        assert set(await group.committed()) == groups, "a replay is in no group"
        stops.set()
        await loading
    finally:
        stops.set()
        await producer.stop()
    expected = {
        f"{gate.topic('logs')}/{n % partitions}/{n // partitions}" for n in range(before) if n % 10
    }
    assert found["chosen"] == len(expected) == found["replayed_before"] + found["sent"]
    await gate.settled("logs", sent, timeout_s=120)
    async with asyncio.timeout(60):  # the live group reads all: its lag becomes nothing
        while True:
            if (await group.committed())[gate.prefix] == await group.ends():
                break
            await asyncio.sleep(0.2)
    records = await gate.read_all("analysis", partitions=partitions)
    arrived = [source_of(record) for record in records if "sf-replay-at" in dict(record.headers)]
    assert sorted(arrived) == sorted(expected)
    verified = gate.verify("logs")
    assert verified.returncode == 0, verified.stdout + verified.stderr
