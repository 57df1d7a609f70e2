"""Policies are pushed to workers under load: in force in time, nothing lost, nothing mixed."""

import asyncio
import json
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

import orjson
import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient

from stream_filter.app.giving import Given, following, give
from stream_filter.app.policy_documents import PolicyDocument, read_policy
from stream_filter.cli.policy_plane import control_plane, document_of
from stream_filter.core.decision import Reason
from stream_filter.core.ledger import Block
from stream_filter.core.orders import Action
from stream_filter.kafka.connection import Connection
from stream_filter.kafka.reader import TopicReader
from stream_filter.store.arrow_block import ArrowLedgerCodec
from stream_filter.testing.brokers import KafkaBroker, kafka_home
from stream_filter.testing.worker_process import WorkerProcess

PARTITIONS = 4
EVENTS_PER_S = 1000
RULES = {"text": "{service} {level} {message}", "mode": "enforce", "holdout": 0.01}


@pytest.fixture
def own_broker(tmp_path: Path) -> Iterator[KafkaBroker]:
    """An Apache Kafka that the test may crash: its controller is a process of its own."""
    home = kafka_home()
    if home is None:
        pytest.skip("no Apache Kafka: set KAFKA_HOME")
    broker = KafkaBroker(home, tmp_path / "kafka", has_own_controller=True)
    broker.start(timeout_s=40)
    yield broker
    broker.close()


@dataclass
class Load:
    """Events sent so far, across the partitions."""

    sent: int = 0
    is_over: asyncio.Event = field(default_factory=asyncio.Event)

    async def run(self, bootstrap: str, topic: str) -> None:
        producer = AIOKafkaProducer(
            bootstrap_servers=bootstrap, enable_idempotence=True, request_timeout_ms=60_000
        )
        await producer.start()
        pending: list[asyncio.Future[Any]] = []
        try:
            while not self.is_over.is_set():
                began = time.monotonic()
                for _ in range(EVENTS_PER_S // 20):
                    value = orjson.dumps(
                        {
                            "service": "auth",
                            "level": ("INFO", "WARN", "ERROR")[self.sent % 3],
                            "message": f"request of shop {self.sent % 97} took {self.sent} ms",
                        }
                    )
                    partition = self.sent % PARTITIONS
                    pending.append(await producer.send(topic, value, partition=partition))
                    self.sent += 1
                await asyncio.sleep(max(0.0, began + 0.05 - time.monotonic()))
            await asyncio.gather(*pending)
        finally:
            await producer.stop()


@dataclass(frozen=True)
class Step:
    """An order that every live worker has put in force."""

    name: str
    given: Given
    told_ms: int

    @property
    def policy_id(self) -> str:
        return self.given.order.policy_id

    @property
    def slowest_s(self) -> float:
        return max(self.given.after_s.values())


@dataclass
class Scene:
    """Workers, load, and the orders given to them."""

    gate: Any
    steps: list[Step] = field(default_factory=list)
    workers: list[WorkerProcess] = field(default_factory=list)

    def start_worker(self) -> WorkerProcess:
        worker = WorkerProcess(
            policy=self.gate.policy_file,
            settings=self.gate.settings_file,
            log_file=self.gate.folder / f"log-{len(self.workers)}",
        )
        worker.start()
        self.workers.append(worker)
        return worker

    async def order(
        self,
        action: Action,
        *,
        name: str = "",
        document: PolicyDocument | None = None,
        paused: tuple[str, ...] = (),
        workers: int,
    ) -> Step:
        """Give an order as the commands do; every live worker must put it in force."""
        plane = control_plane(self.gate.settings_file)
        orders = await plane.orders()
        order = following(
            orders,
            action,
            document or document_of(orders[-1]),
            by="test",
            paused=paused,
            note="",
            group=plane.settings.group,
        )
        given = await give(order, plane.log, plane.board, timeout_s=30)
        assert given.reach.is_complete, given
        assert len(given.reach.in_force) >= workers, given
        step = Step(name or action.value, given, int(time.time() * 1000))
        self.steps.append(step)
        return step

    def policy(self, drop_below: float) -> PolicyDocument:
        """The gate's policy with another threshold."""
        document = orjson.loads(self.gate.policy_file.read_bytes())
        for rules in document["topics"].values():
            rules["raw"] = {"drop_below": drop_below, "keep_above": 0.9}
        return read_policy("policy", orjson.dumps(document).decode())


@asynccontextmanager
async def scene_on(gate: Any) -> AsyncIterator[Scene]:
    scene = Scene(gate)
    try:
        yield scene
    finally:
        for worker in scene.workers:
            if worker.is_running:
                worker.kill()


@pytest.mark.slow
@pytest.mark.kafka
async def test_policies_change_live_under_load(
    own_broker: KafkaBroker, make_gate_on: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    """Two workers under load: push and rollback are in force on both within 2 s, a pause within
    1 s, also while a third worker joins; after a crash of the broker the order arrives. The
    ledger then accounts for every event once, and each block was decided by the one policy in
    force."""
    gate = make_gate_on(own_broker.bootstrap)
    gate.settings_lines = ["control: true"]
    gate.prepare({"logs": RULES}, partitions=PARTITIONS)
    topic = gate.topic("logs")
    load = Load()
    async with scene_on(gate) as scene:
        for worker in (scene.start_worker(), scene.start_worker()):
            await asyncio.to_thread(worker.wait_ready)
        loading = asyncio.create_task(load.run(gate.bootstrap, topic))
        await asyncio.sleep(2)

        push = await scene.order(Action.PUSH, document=scene.policy(0.3), workers=2)
        first = (await control_plane(gate.settings_file).orders())[0]
        rollback = await scene.order(Action.ROLLBACK, document=document_of(first), workers=2)
        pause = await scene.order(Action.PAUSE, paused=(topic,), workers=2)
        await asyncio.sleep(1)
        await scene.order(Action.RESUME, workers=2)

        third = scene.start_worker()
        joining = []
        while not await is_ready(third):
            document = scene.policy(0.4 + len(joining) / 1000)
            joining.append(
                await scene.order(Action.PUSH, name="joining", document=document, workers=2)
            )
        assert joining, "an order was given before the third worker was ready"
        joining.append(
            await scene.order(Action.PUSH, name="joined", document=scene.policy(0.39), workers=3)
        )

        await asyncio.to_thread(own_broker.kill)
        await asyncio.to_thread(own_broker.start, timeout_s=40)
        after = await scene.order(
            Action.PUSH, name="broker back", document=scene.policy(0.35), workers=1
        )
        for worker in scene.workers:
            await asyncio.to_thread(worker.wait_ready)
        last = await scene.order(Action.PUSH, document=scene.policy(0.25), workers=3)
        await asyncio.sleep(1)
        load.is_over.set()
        await loading
        await drained(gate, load.sent)
        for worker in scene.workers:
            assert await asyncio.to_thread(worker.stop) == 0
    with capsys.disabled():
        for step in scene.steps:
            print(f"  {step.name}: {dict(step.given.after_s)}")
        print(f"  {load.sent} events")

    for step in (push, rollback, last, *joining):
        assert step.slowest_s < 2.0, step
    assert pause.slowest_s < 1.0
    assert after.slowest_s < 10.0
    verified = gate.verify("logs")
    assert verified.returncode == 0, verified.stdout + verified.stderr
    partitions = json.loads(verified.stdout)["partitions"].values()
    assert sum(partition["records"] for partition in partitions) == load.sent
    assert sum(partition["repeated"] for partition in partitions) == 0
    require_one_policy_at_a_time(await blocks_of(gate), scene, pause)


async def is_ready(worker: WorkerProcess) -> bool:
    """Whether it says so."""
    return (await asyncio.to_thread(worker.get, "/readyz"))[0] == 200


async def drained(gate: Any, sent: int) -> None:
    """Until the group has committed what was sent."""
    admin = AIOKafkaAdminClient(bootstrap_servers=gate.bootstrap)
    await admin.start()
    try:
        async with asyncio.timeout(60):
            while True:
                committed = await admin.list_consumer_group_offsets(gate.prefix)
                if sum(at.offset for at in committed.values()) >= sent:
                    return
                await asyncio.sleep(0.2)
    finally:
        await admin.close()


async def blocks_of(gate: Any) -> list[Block]:
    """All blocks of the ledger."""
    codec, blocks = ArrowLedgerCodec(), []
    async with TopicReader(Connection(bootstrap=gate.bootstrap)) as reader:
        bounds = await reader.bounds(reader.partitions(gate.topic("ledger")))
        async for _, records in reader.read(bounds):
            blocks += [codec.decode(record.value) for record in records]
    return blocks


def require_one_policy_at_a_time(blocks: list[Block], scene: Scene, pause: Step) -> None:
    """Blocks name the policies in the order in which they were given, none after its successor
    was reported in force everywhere."""
    given = [step.policy_id for step in scene.steps]
    assert {block.header.policy_id for block in blocks} >= {given[0], given[-1]}
    by_partition: dict[int, list[Block]] = defaultdict(list)
    for block in blocks:
        by_partition[block.header.partition].append(block)
    assert len(by_partition) == PARTITIONS
    for chain in by_partition.values():
        chain.sort(key=lambda block: block.header.first_offset)
        for before, after in pairwise(chain):
            assert after.header.first_offset == before.header.last_offset + 1
    resumed = scene.steps[scene.steps.index(pause) + 1]
    for block in blocks:
        at_ms, policy_id = block.header.decided_at_ms, block.header.policy_id
        told = [step for step in scene.steps if step.told_ms < at_ms]
        if told:
            allowed = {s.policy_id for s in scene.steps[len(told) - 1 :]}
            assert policy_id in allowed, (block.header, [s.name for s in told])
        if pause.told_ms < at_ms < resumed.given.order.at_ms:
            assert set(block.decisions.reason.tolist()) == {Reason.PAUSED}
