"""The archive on a real broker: killed at random, beside a worker, and asked for wrongly."""

import asyncio
import multiprocessing
import random
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pytest
from aiokafka import AIOKafkaProducer

from stream_filter.app.archive_worker import keep_archived
from stream_filter.app.settings import load_settings
from stream_filter.core.ledger import Block
from stream_filter.kafka.fetched_records import install_record_reading
from stream_filter.store.arrow_block import ArrowLedgerCodec
from stream_filter.store.decision_file import DecisionFile
from stream_filter.store.folder import Folder
from stream_filter.store.stretches import that_count
from tests.store.test_arrow_block import SMALL

KILLS = 30
DAY_MS = 24 * 3600 * 1000


def block(topic: str, partition: int, number: int) -> Block:
    header = replace(
        SMALL.header,
        topic=topic,
        partition=partition,
        first_offset=10 * number,
        last_offset=10 * number + 9,
        decided_at_ms=SMALL.header.decided_at_ms + (number // 150) * DAY_MS,
    )
    offsets = np.array([10 * number, 10 * number + 2, 10 * number + 3])
    return replace(SMALL, header=header, offsets=offsets)


def stored_blocks(folder: Folder) -> list[tuple[str, int, int]]:
    """Block ids and places, in no order, of what counts."""
    found = []
    for stretch in that_count(folder.files("decisions"))[0]:
        for facts, _ in DecisionFile(folder.filesystem, folder.path(stretch.name)).blocks():
            found.append((facts.header.block_id, *facts.place))
    return found


def follow(settings_file: str, store: str) -> None:
    """What `archive --follow` does, in a process that was forked: it begins at once."""
    install_record_reading()
    settings = load_settings(Path(settings_file), {})
    asyncio.run(keep_archived(settings, Folder(store), told=lambda done: None))


@pytest.mark.kafka
@pytest.mark.slow
async def test_killed_thirty_times(kafka_gate: Any, tmp_path: Path) -> None:
    """While blocks come, the archiver is killed 30 times at random moments of its work; at the end
    the store holds every block of the topic, in its place, once."""
    gate = kafka_gate
    gate.settings_lines.append("archive: {every_s: 0.02}")
    gate.prepare({"logs": {"text": "{message}"}}, partitions=3)
    store, codec, draw = tmp_path / "store", ArrowLedgerCodec(), random.Random(11)
    forks = multiprocessing.get_context("forkserver")
    forks.set_forkserver_preload(["stream_filter.app.archive_worker"])
    producer = AIOKafkaProducer(bootstrap_servers=gate.bootstrap, transactional_id=gate.prefix)
    await producer.start()
    sent: list[tuple[str, int, int]] = []
    number = 0

    async def produce(blocks: int) -> None:
        nonlocal number
        async with producer.transaction():
            for _ in range(blocks):
                topic, partition = f"source.{number % 2}", number % 3
                value = codec.encode(block(topic, partition, number))
                record = await producer.send_and_wait(
                    gate.topic("ledger"), value, partition=partition
                )
                sent.append(
                    (
                        f"{topic}/{partition}/{10 * number}-{10 * number + 9}",
                        partition,
                        record.offset,
                    )
                )
                number += 1

    for _ in range(KILLS):
        await produce(10)
        before = set(store.rglob("*"))
        child = forks.Process(target=follow, args=(str(gate.settings_file), str(store)))
        child.start()
        deadline = time.monotonic() + 30
        while set(store.rglob("*")) == before and time.monotonic() < deadline:
            assert child.is_alive()
            await asyncio.sleep(0.002)
        # Now it is in the middle of a pass, or between two.
        if draw.random() < 0.5:
            await produce(5)
        await asyncio.sleep(draw.random() * 0.15)
        child.kill()
        child.join()
    await producer.stop()
    done = gate.run("archive", "--store", store, "--json")
    assert done.returncode == 0, done.stderr
    assert sorted(stored_blocks(Folder(str(store)))) == sorted(sent)
    assert len(sent) >= 10 * KILLS


async def test_a_worker_archives_by_itself(gate: Any, tmp_path: Path) -> None:
    """With `archive.store` a worker fills the store; a command by hand is told that somebody does,
    or finds nothing left to do."""
    store = tmp_path / "store"
    gate.settings_lines.append(f"archive: {{store: {store}, every_s: 0.2}}")
    gate.prepare({"logs": {"text": "{message}", "mode": "enforce"}})
    gate.worker.start()
    gate.worker.wait_ready()
    await gate.send("logs", *({"value": orjson.dumps({"message": f"no {n}"})} for n in range(50)))
    await gate.settled("logs", 50)
    deadline = time.monotonic() + 60
    rows = 0
    while rows < 50 and time.monotonic() < deadline:
        await asyncio.sleep(0.2)
        rows = sum(facts.header.rows for facts in all_facts(Folder(str(store))))
    assert rows == 50
    assert gate.worker.stop() == 0
    done = gate.run("archive", "--json")
    assert (done.returncode, orjson.loads(done.stdout)["events"]) == (0, 0)


def all_facts(folder: Folder) -> list[Any]:
    return [
        facts
        for stretch in that_count(folder.files("decisions"))[0]
        for facts in DecisionFile(folder.filesystem, folder.path(stretch.name)).facts
    ]
