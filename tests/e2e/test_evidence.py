"""Verdicts of a scripted analyst, two workers, a real broker: the evidence is the analyst's own
account, to the last count."""

import asyncio
import random
import uuid
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import orjson
import pytest
from aiokafka import AIOKafkaProducer, ConsumerRecord

from stream_filter.app.evidence_view import read_evidence
from stream_filter.app.settings import load_settings
from stream_filter.core.evidence import EpochEvidence
from stream_filter.core.evidence_book import EvidenceBook
from stream_filter.core.oracle import Flaw
from stream_filter.testing.analyst import Analyst, truthful
from stream_filter.testing.worker_process import WorkerProcess

pytestmark = pytest.mark.slow

PARTITIONS = 4
KEPT = {"level": "ERROR", "message": "gateway failure: connection refused, payment lost"}
DROPPED = {"level": "INFO", "message": "card tokenised for user 7"}
"""Events that the demo's pack keeps and drops."""


@dataclass
class Scene:
    """A gate with evidence, its workers, an analyst, and a load whose truth is known."""

    gate: Any
    analyst: Analyst
    rng: random.Random = field(default_factory=lambda: random.Random(11))
    workers: list[WorkerProcess] = field(default_factory=list)
    sent: Counter[tuple[bool, bool]] = field(default_factory=Counter)
    """Events sent, by whether the pack keeps them and whether they are important."""

    def start_worker(self) -> WorkerProcess:
        worker = WorkerProcess(
            policy=self.gate.policy_file,
            settings=self.gate.settings_file,
            log_file=self.gate.folder / f"log-{len(self.workers)}",
        )
        worker.start()
        self.workers.append(worker)
        return worker

    async def holder(self) -> WorkerProcess:
        """The worker that holds the evidence, once there is one."""
        async with asyncio.timeout(60):
            while True:
                for worker in self.workers:
                    page = (await asyncio.to_thread(worker.get, "/metrics"))[1]
                    if worker.is_running and b"stream_filter_evidence_held 1.0" in page:
                        return worker
                await asyncio.sleep(0.2)

    async def load(self, events: int, *, per_s: int = 400, missed: float = 0.03) -> None:
        """Send events; of those that the pack drops, `missed` are important all the same."""
        producer = AIOKafkaProducer(bootstrap_servers=self.gate.bootstrap, acks="all")
        await producer.start()
        try:
            for first in range(0, events, per_s // 20):
                pending = []
                for number in range(first, min(first + per_s // 20, events)):
                    is_kept = self.rng.random() < 0.3
                    truth = self.rng.random() < (0.9 if is_kept else missed)
                    self.sent[is_kept, truth] += 1
                    value = {"service": "payments", **(KEPT if is_kept else DROPPED)}
                    pending.append(
                        await producer.send(
                            self.gate.topic("logs"),
                            orjson.dumps({**value, "truth": truth}),
                            partition=number % PARTITIONS,
                        )
                    )
                await asyncio.gather(*pending)
                await asyncio.sleep(0.05)
        finally:
            await producer.stop()

    async def evidence(self) -> EvidenceBook:
        return (await read_evidence(load_settings(self.gate.settings_file, {})))[0]

    async def settled(self, *, counted: int = 0, flawed: int = 0) -> EvidenceBook:
        """The saved evidence, once all events sent are in it, each shown one has a verdict, and
        so many records of the verdict topic counted or did not."""
        async with asyncio.timeout(90):
            while True:
                book = await self.evidence()
                decided = sum(int(page.counted.events.sum()) for page in book.pages.values())
                if (
                    decided >= sum(self.sent.values())
                    and not only_epoch(self.gate, book).pending
                    and book.tally.counted >= counted
                    and sum(book.tally.flaws.values()) >= flawed
                ):
                    return book
                await asyncio.sleep(0.5)


@asynccontextmanager
async def scene_on(gate: Any, **analyst: Any) -> AsyncIterator[Scene]:
    """Workers and analyst end with it."""
    scene = Scene(
        gate,
        Analyst(gate.bootstrap, gate.topic("analysis"), gate.topic("verdicts"), **analyst),
    )
    judging = asyncio.create_task(scene.analyst.run())
    try:
        yield scene
    finally:
        judging.cancel()
        await asyncio.gather(judging, return_exceptions=True)
        for worker in scene.workers:
            if worker.is_running:
                worker.kill()


def prepare(gate: Any, **rules: Any) -> None:
    gate.settings_lines += [
        "evidence: true",
        f"verdict_topic: {gate.topic('verdicts')}",
        f"certificate_topic: {gate.topic('certificates')}",
    ]
    base = {"text": "{service} {level} {message}", "mode": "enforce", "holdout": 0.2}
    gate.prepare({"logs": {**base, "target": {"recall": 0.8}, **rules}}, partitions=PARTITIONS)


def only_epoch(gate: Any, book: EvidenceBook) -> EpochEvidence:
    """The evidence of the one epoch in which everything happened."""
    (epoch,) = {page.epoch for page in book.pages.values()}
    (found,) = book.epochs(gate.topic("logs"), epoch.policy_id, epoch.model_id, patience_ms=10**9)
    return found


def require_the_analysts_own(scene: Scene, found: EpochEvidence) -> None:
    """Every event sent is in the counts, and every verdict is what the analyst said last."""
    (forwarded,), (dropped,) = found.forwarded, found.dropped
    said = Counter(
        (reason == "holdout", important) for reason, important in scene.analyst.said.values()
    )
    kept = sum(n for (is_kept, _), n in scene.sent.items() if is_kept)
    assert forwarded.events == forwarded.shown == forwarded.judged == kept
    assert forwarded.important == scene.sent[True, True] == said[False, True]
    assert dropped.events == sum(scene.sent.values()) - kept
    assert dropped.shown == dropped.judged == said[True, True] + said[True, False]
    assert dropped.important == said[True, True]
    assert found.pending == 0


@pytest.mark.kafka
async def test_kill_9_of_the_holder_loses_no_evidence(kafka_gate: Any) -> None:
    """Two workers; the one that holds the evidence is killed, twice, under load. In the end the
    counts are the analyst's own."""
    prepare(kafka_gate)
    async with scene_on(kafka_gate) as scene:
        for worker in (scene.start_worker(), scene.start_worker()):
            await asyncio.to_thread(worker.wait_ready)
        await scene.holder()
        loading = asyncio.create_task(scene.load(12_000))
        for _ in range(2):
            await asyncio.sleep(4)
            holder = await scene.holder()
            await asyncio.to_thread(holder.kill)
            scene.start_worker()
            other = next(worker for worker in scene.workers if worker.is_running)
            await asyncio.to_thread(other.wait_ready)
        await loading
        await scene.settled()
        # Pages are saved before the desk that holds the tally: it may be a moment behind.
        book = await scene.settled(counted=len(scene.analyst.said))
        require_the_analysts_own(scene, only_epoch(kafka_gate, book))
        assert book.tally.counted == len(scene.analyst.said)
        assert not +book.tally.flaws


@pytest.mark.kafka
async def test_duplicates_forgeries_and_garbage_change_nothing(kafka_gate: Any) -> None:
    """Verdicts delivered twice, of another judge, of a person, on events that never were, and
    records that are no verdict at all: each is counted for what it is, and the evidence is that
    of the people, and else of the first model."""
    prepare(kafka_gate)
    person = {"name": "ann", "kind": "person"}

    def answer(record: ConsumerRecord, headers: Mapping[str, str]) -> dict[str, Any] | None:
        """The model is wrong on every tenth event, and there a person says what is true."""
        said = truthful(record, headers)
        assert said is not None
        if record.offset % 10 == 0:
            return {**said, "judge": person}
        return said

    async with scene_on(kafka_gate, answer=answer) as scene:
        for worker in (scene.start_worker(), scene.start_worker()):
            await asyncio.to_thread(worker.wait_ready)
        await scene.load(3_000)
        book = await scene.settled()
        before = only_epoch(kafka_gate, book)
        require_the_analysts_own(scene, before)

        truths = dict(scene.analyst.said)
        again = list(truths)[:50]
        people = {judge for judge in book.tally.judges if judge.is_person}
        assert {judge.name for judge in people} == {"ann"}
        records: list[bytes] = []
        for event_id in again:
            important = truths[event_id][1]
            for judge in ({"name": "scripted", "kind": "model"}, person):
                records.append(verdict(event_id, important=important, judge=judge))
        model = {"name": "second", "kind": "model"}
        wrong = [e for e in truths if e not in again]
        records += [verdict(e, important=not truths[e][1], judge=model) for e in wrong]
        records += [verdict(uuid.uuid4().hex, important=True, judge=model) for _ in range(30)]
        records += [b"", b"important", b"{}", b"x" * 70_000, orjson.dumps({"sf-id": "x"})]
        await kafka_gate.send("verdicts", *({"value": value} for value in records))
        expected = len(truths) + len(again) + len(wrong)
        book = await scene.settled(counted=expected, flawed=85)
        after = only_epoch(kafka_gate, book)
        assert (after.forwarded, after.dropped) == (before.forwarded, before.dropped)
        assert +book.tally.flaws == {
            Flaw.DUPLICATE: len(again),
            Flaw.UNKNOWN: 30,
            Flaw.EMPTY: 1,
            Flaw.UNREADABLE: 1,
            Flaw.INVALID: 2,
            Flaw.TOO_LARGE: 1,
        }
        verified = kafka_gate.verify("logs")
        assert verified.returncode == 0, verified.stdout


def verdict(event_id: str, **said: Any) -> bytes:
    """A verdict as an analyst writes it."""
    return orjson.dumps({"sf-id": event_id, **said})
