"""Nothing lost, nothing unledgered, nothing doubled: while workers and brokers are killed."""

import asyncio
import itertools
import json
import os
import random
import subprocess
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError

from stream_filter.core.ledger import Span, effective_chain
from stream_filter.testing.brokers import KafkaBroker, kafka_home
from stream_filter.testing.worker_process import WorkerProcess

REPO = Path(__file__).parents[2]
PARTITIONS = 4
RATE_PER_S = 2500

POLICY = """
version: 1
topics:
  chaos.logs:
    text: "{source} {component} {message}"
    model: demo-platform
    raw: {drop_below: 0.5, keep_above: 0.9}
    mode: enforce
    holdout: 0.05
    novelty: {forward_first: 5}
    fold: {window: 10s, keep: 3}
"""
WINDOW_S = 10


class Load:
    """A producer that keeps sending real log lines, also across broker crashes."""

    def __init__(self, bootstrap: str, lines: list[bytes]) -> None:
        self._bootstrap = bootstrap
        self._lines = itertools.cycle(lines)
        self._stopping = asyncio.Event()
        self.sent = 0

    async def run(self) -> None:
        while not self._stopping.is_set():
            producer = AIOKafkaProducer(
                bootstrap_servers=self._bootstrap, enable_idempotence=True, linger_ms=20
            )
            try:
                await producer.start()
                while not self._stopping.is_set():
                    began = time.monotonic()
                    batch = itertools.islice(self._lines, RATE_PER_S // 10)
                    futures = [
                        await producer.send(
                            "chaos.logs", line, partition=random.randrange(PARTITIONS)
                        )
                        for line in batch
                    ]
                    await asyncio.gather(*futures)
                    self.sent += len(futures)
                    await asyncio.sleep(max(0.0, 0.1 - (time.monotonic() - began)))
            except (KafkaError, OSError):
                await asyncio.sleep(0.5)
            finally:
                await producer.stop()

    def stop(self) -> None:
        self._stopping.set()


async def command(*arguments: object) -> "subprocess.CompletedProcess[str]":
    """Run a command of stream-filter."""
    return await asyncio.to_thread(
        subprocess.run,
        [sys.executable, "-m", "stream_filter", *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
    )


async def committed(bootstrap: str) -> dict[int, int] | None:
    """The group's committed offset of each partition; None while the broker does not answer."""
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap, request_timeout_ms=3000)
    try:
        await admin.start()
        partitions = [TopicPartition("chaos.logs", p) for p in range(PARTITIONS)]
        offsets = await admin.list_consumer_group_offsets("stream-filter", partitions=partitions)
        return {source.partition: max(0, at.offset) for source, at in offsets.items()}
    except (KafkaError, OSError, asyncio.TimeoutError):
        return None
    finally:
        await admin.close()


async def progress(bootstrap: str, timeout_s: float = 60.0) -> None:
    """Until the group has committed something more. Fails if it does not."""
    deadline, before = time.monotonic() + timeout_s, None
    while time.monotonic() < deadline:
        now = await committed(bootstrap)
        if before is not None and now is not None and sum(now.values()) > sum(before.values()):
            return
        before = now if before is None else before
        await asyncio.sleep(0.2)
    pytest.fail(f"no progress within {timeout_s} s: committed {before}")


async def read_all(bootstrap: str, topic: str) -> dict[TopicPartition, list[object]]:
    """Every committed record of a topic, by an independent consumer."""
    consumer = AIOKafkaConsumer(
        bootstrap_servers=bootstrap, isolation_level="read_committed", auto_offset_reset="earliest"
    )
    await consumer.start()
    sources = [TopicPartition(topic, p) for p in range(PARTITIONS)]
    consumer.assign(sources)
    ends = await consumer.end_offsets(sources)
    await consumer.seek_to_beginning(*sources)
    records: dict[TopicPartition, list[object]] = defaultdict(list)
    moved_s = time.monotonic()
    while True:
        polled = await consumer.getmany(timeout_ms=2000)
        for source, batch in polled.items():
            records[source] += batch
        if all([await consumer.position(s) >= ends[s] for s in sources]):
            break
        if polled:
            moved_s = time.monotonic()
        assert time.monotonic() < moved_s + 30, "an open transaction holds the topic's end back"
    await consumer.stop()
    return records


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[KafkaBroker]:
    home = kafka_home()
    if home is None:
        pytest.skip("kills its own broker: set KAFKA_HOME")
    # A combined node may forget a committed transaction's markers when it is killed.
    broker = KafkaBroker(
        home,
        tmp_path / "kafka",
        {"group.min.session.timeout.ms": "1000"},
        has_own_controller=True,
    )
    broker.start()
    yield broker
    broker.stop()


def write_files(folder: Path, bootstrap: str, delivery: str) -> tuple[Path, Path]:
    policy, settings = folder / "policy.yaml", folder / "settings.yaml"
    policy.write_text(POLICY)
    settings.write_text(
        f"bootstrap: {bootstrap}\ndelivery: {delivery}\nmodel_dir: {REPO / 'models'}\n"
        "key: chaos\nsession_timeout_ms: 2000\ntransaction_timeout_ms: 10000\n"
        "stop_timeout_s: 10\nmodel_threads: 1\nlog: {format: json}\n"
    )
    return policy, settings


@pytest.mark.chaos
@pytest.mark.kafka
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("delivery", ["exactly_once", "at_least_once"])
async def test_nothing_is_lost_whatever_is_killed(
    delivery: str, broker: KafkaBroker, tmp_path: Path, log_lines: list[bytes]
) -> None:
    """Worker kills, a third worker coming and going and broker crashes lose, hide and (exactly
    once) double nothing."""
    seed = int(os.environ.get("CHAOS_SEED", random.SystemRandom().randrange(2**32)))
    scale = float(os.environ.get("CHAOS_SCALE", "1"))
    print(f"\nchaos {delivery}: CHAOS_SEED={seed} CHAOS_SCALE={scale}", flush=True)
    chance = random.Random(seed)
    policy, settings = write_files(tmp_path, broker.bootstrap, delivery)
    created = await command(
        "topics",
        "create",
        "--policy",
        policy,
        "--settings",
        settings,
        "--with-sources",
        "--partitions",
        PARTITIONS,
    )
    assert created.returncode == 0, created.stderr
    workers = [
        WorkerProcess(policy=policy, settings=settings, log_file=tmp_path / f"worker-{n}.log")
        for n in range(3)
    ]
    load = Load(broker.bootstrap, log_lines)
    loading = asyncio.create_task(load.run())
    try:
        for worker in workers[:2]:
            worker.start()
        for worker in workers[:2]:
            await asyncio.to_thread(worker.wait_ready)
        await progress(broker.bootstrap)

        for turn in range(round(30 * scale)):
            await asyncio.sleep(chance.uniform(0.0, 2.0))
            victim = chance.choice(workers[:2])
            victim.kill()
            victim.start()
            await progress(broker.bootstrap)
            print(f"kill {turn + 1}: sent {load.sent}", flush=True)

        for turn in range(round(10 * scale)):
            workers[2].start()
            await asyncio.to_thread(workers[2].wait_ready)
            await progress(broker.bootstrap)
            await asyncio.sleep(chance.uniform(0.0, 1.0))
            assert await asyncio.to_thread(workers[2].stop) == 0
            await progress(broker.bootstrap)
            print(f"join {turn + 1}: sent {load.sent}", flush=True)

        for turn in range(round(5 * scale)):
            await asyncio.sleep(chance.uniform(0.0, 2.0))
            broker.kill()
            await asyncio.sleep(chance.uniform(0.0, 3.0))
            await asyncio.to_thread(broker.start, timeout_s=60)
            await progress(broker.bootstrap, timeout_s=120)
            print(f"crash {turn + 1}: sent {load.sent}", flush=True)

        load.stop()
        await loading
        await drained(broker.bootstrap, workers[:2])
        await asyncio.sleep(4 * WINDOW_S)  # idle partitions end their windows, also moved ones
        for worker in workers[:2]:
            assert await asyncio.to_thread(worker.stop) == 0, worker.log()
    finally:
        load.stop()
        for worker in workers:
            if worker.is_running:
                worker.kill()
    await assert_conserved(broker.bootstrap, delivery)
    verified = await command(
        "ledger", "verify", "--topic", "chaos.logs", "--settings", settings, "--json"
    )
    assert verified.returncode == 0, verified.stdout + verified.stderr


async def drained(bootstrap: str, workers: list[WorkerProcess], timeout_s: float = 240.0) -> None:
    """Until every source record is committed."""
    sources = [TopicPartition("chaos.logs", p) for p in range(PARTITIONS)]
    consumer = AIOKafkaConsumer(bootstrap_servers=bootstrap)
    await consumer.start()
    ends = {s.partition: at for s, at in (await consumer.end_offsets(sources)).items()}
    await consumer.stop()
    deadline = time.monotonic() + timeout_s
    while (now := await committed(bootstrap)) != ends:
        if time.monotonic() > deadline:
            logs = "\n\n".join(worker.log(6000) for worker in workers)
            pytest.fail(f"not caught up within {timeout_s} s: {now} of {ends}\n{logs}")
        await asyncio.sleep(0.5)


async def assert_conserved(bootstrap: str, delivery: str) -> None:
    """Judge by the topics alone, with none of the code under test but the effective chain."""
    source = {
        s.partition: [r.offset for r in records]
        for s, records in (await read_all(bootstrap, "chaos.logs")).items()
    }
    blocks: dict[int, list[tuple[int, int, list[int], list[str]]]] = defaultdict(list)
    for records in (await read_all(bootstrap, "stream-filter.ledger")).values():
        for record in records:
            table = pa.ipc.open_stream(record.value).read_all()
            facts = {k.decode(): v.decode() for k, v in table.schema.metadata.items()}
            first, last = int(facts["first_offset"]), int(facts["last_offset"])
            steps = table["offset_step"].to_pylist()
            offsets = list(itertools.accumulate(steps, initial=first))[1:]
            blocks[int(facts["partition"])].append(
                (first, last + 1, offsets, table["route"].to_pylist())
            )
    forwarded: Counter[tuple[int, int]] = Counter()
    ids: dict[bytes, set[bytes]] = defaultdict(set)
    id_count: Counter[bytes] = Counter()
    folds: dict[bytes, int] = {}
    for records in (await read_all(bootstrap, "llm.analysis")).values():
        for record in records:
            headers = dict(record.headers)
            id_count[headers["sf-id"]] += 1
            if "sf-fold" in headers:
                folds[headers["sf-id"]] = json.loads(record.value)["folded"]
                continue
            _, partition, offset = headers["sf-source"].split(b"/")
            forwarded[int(partition), int(offset)] += 1
            ids[headers["sf-source"]].add(headers["sf-id"])

    expected: set[tuple[int, int]] = set()
    folded = 0
    for partition, offsets in source.items():
        spans = [Span(b[0], b[1], n) for n, b in enumerate(blocks[partition])]
        chain = effective_chain(spans)
        if delivery == "exactly_once":
            assert len(chain) == len(spans), "exactly once, every block counts"
        for before, after in itertools.pairwise(chain):
            assert before.next == after.first, "blocks join without gap or overlap"
        rows = [o for span in chain for o in blocks[partition][span.sequence][2]]
        assert rows == offsets, "every source offset stands in exactly one effective block"
        folded += sum(blocks[partition][span.sequence][3].count("fold") for span in chain)
        expected |= {
            (partition, offset)
            for span in chain
            for offset, route in zip(*blocks[partition][span.sequence][2:], strict=True)
            if route == "forward"
        }
    assert len(expected) > 100, "the run forwarded something"
    assert expected <= set(forwarded), "everything that the ledger forwards was forwarded"
    assert all(len(of_source) == 1 for of_source in ids.values()), "a repeat has its sf-id"
    assert len(id_count) == len(ids) + len(folds), "an sf-id belongs to one event or summary"
    assert folded > 100, "the run folded something"
    assert sum(folds.values()) == folded, "every folded record stands in one summary"
    if delivery == "exactly_once":
        assert set(forwarded) == expected
        assert max(id_count.values()) == 1, "no sf-id twice"
    total = sum(map(len, source.values()))
    repeated = sum(id_count.values()) - len(id_count)
    print(f"{delivery}: {total} read, {len(expected)} forwarded, {repeated} repeated", flush=True)
