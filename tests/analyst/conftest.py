"""An analyst under test: topics of its own, forwarded events, the stand-in, and what it has
written."""

import asyncio
import os
import subprocess
import sys
import uuid
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson
import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

from stream_filter.analyst.config import load_analyst
from stream_filter.analyst.worker import run_analyst
from stream_filter.app.settings import load_settings
from stream_filter.core.position import event_id
from stream_filter.kafka.topics import TopicAdmin
from stream_filter.testing.broker_process import free_port
from stream_filter.testing.stand_in import StandIn

KEY = "sk-not-to-be-seen-0123456789"


def says_important(text: str) -> bool:
    """The truth of these tests: it stands in the text."""
    return "IMPORTANT" in text


@dataclass(slots=True)
class AnalystUnderTest:
    """Files, topics and commands of one analyst group on a shared broker."""

    bootstrap: str
    folder: Path
    base_url: str
    prefix: str = field(default_factory=lambda: f"a{uuid.uuid4().hex[:8]}")
    ids: list[str] = field(default_factory=list)
    session_timeout_ms: int = 2000
    _stop: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def topic(self) -> str:
        return f"{self.prefix}.analysis"

    @property
    def verdicts_topic(self) -> str:
        return f"{self.prefix}.verdicts"

    @property
    def incidents_topic(self) -> str:
        return f"{self.prefix}.incidents"

    @property
    def config_file(self) -> Path:
        return self.folder / "analyst.yaml"

    @property
    def settings_file(self) -> Path:
        return self.folder / "settings.yaml"

    async def prepare(self, *, partitions: int = 1, **config: Any) -> None:
        """Write the files and create the topics. `config` is merged into the usual one."""
        endpoint = {
            "base_url": self.base_url,
            "model": "stand-in",
            "key": {"env": "ANALYST_TEST_KEY"},
            "price": {"input": 2.0, "output": 8.0},
            "timeout": "5s",
        }
        os.environ["ANALYST_TEST_KEY"] = KEY
        document: dict[str, Any] = {
            "version": 1,
            "endpoint": endpoint | config.pop("endpoint", {}),
            "batch": {"linger_ms": 50} | config.pop("batch", {}),
            "spending_topic": f"{self.prefix}.spending",
            "topics": {self.topic: config.pop("topic", {})},
            **config,
        }
        self.config_file.write_bytes(orjson.dumps(document))
        settings = {
            "bootstrap": self.bootstrap,
            "group": self.prefix,
            "verdict_topic": self.verdicts_topic,
            "incidents_topic": self.incidents_topic,
            "session_timeout_ms": self.session_timeout_ms,
            "log": {"format": "json"},
        }
        self.settings_file.write_bytes(orjson.dumps(settings))
        async with TopicAdmin(load_settings(self.settings_file, {}).connection()) as admin:
            for topic, count in ((self.topic, partitions), (self.verdicts_topic, 1)):
                await admin.create(topic, partitions=count, replication=1, configs={})
            names: set[str] = set()
            while not {self.topic, self.verdicts_topic} <= names:
                names = set(await admin.partitions())
                await asyncio.sleep(0.05)

    async def forward(
        self,
        values: Sequence[bytes | None],
        *,
        partitions: int = 1,
        headers: Callable[[int], dict[str, str]] = lambda n: {},
        at_ms: Sequence[int] | None = None,
    ) -> list[str]:
        """Send values as the gate would, with the source's timestamps; their ids."""
        producer = AIOKafkaProducer(bootstrap_servers=self.bootstrap, linger_ms=20)
        await producer.start()
        sent, ids = [], []
        times = at_ms or [None] * len(values)
        for value, then_ms in zip(values, times, strict=True):
            number = len(self.ids)
            own = event_id(f"source/0/{number}", key=b"test")
            given = {"sf-id": own, "sf-reason": "important", "sf-verdict": "keep"}
            given |= {"sf-source": f"source/0/{number}"} | headers(number)
            encoded = [(name, text.encode()) for name, text in given.items()]
            sent.append(
                await producer.send(
                    self.topic,
                    value,
                    key=b"",
                    partition=number % partitions,
                    headers=encoded,
                    timestamp_ms=then_ms,
                )
            )
            self.ids.append(own)
            ids.append(own)
        await asyncio.gather(*sent)
        await producer.stop()
        return ids

    async def run(self, until: Callable[[], Any], *, within_s: float = 60.0) -> None:
        """Run an analyst in this process until `until` is true, then stop it in good order."""
        stop = asyncio.Event()
        config = load_analyst(self.config_file)
        settings = load_settings(self.settings_file, {})
        settings = settings.model_copy(
            update={"web": settings.web.model_copy(update={"host": "127.0.0.1"})}
        )
        running = asyncio.create_task(
            run_analyst(config, settings, port=free_port(), stop_asked=stop)
        )
        try:
            async with asyncio.timeout(within_s):
                while not running.done():
                    reached = until()
                    if asyncio.iscoroutine(reached):
                        reached = await reached
                    if reached:
                        break
                    await asyncio.sleep(0.1)
        finally:
            stop.set()
            await running

    async def run_until_judged(self, count: int, *, within_s: float = 60.0) -> None:
        """Run an analyst until so many events have a record in the verdict topic."""

        async def judged() -> bool:
            return len({v["sf-id"] for v in await self.verdicts()}) >= count

        await self.run(judged, within_s=within_s)

    def start(self, *, log: Path) -> "subprocess.Popen[bytes]":
        """`stream-filter analyst` as a child process."""
        command = [sys.executable, "-m", "stream_filter", "analyst", "--config"]
        command += [str(self.config_file), "--settings", str(self.settings_file)]
        command += ["--web-port", str(free_port())]
        with open(log, "ab") as output:
            return subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT)

    async def records(self, topic: str) -> list[tuple[bytes | None, int]]:
        """All values of partition 0 of a topic, with their timestamps."""
        consumer = AIOKafkaConsumer(bootstrap_servers=self.bootstrap, auto_offset_reset="earliest")
        await consumer.start()
        try:
            source = TopicPartition(topic, 0)
            consumer.assign([source])
            end = (await consumer.end_offsets([source]))[source]
            await consumer.seek_to_beginning(source)
            found: list[tuple[bytes | None, int]] = []
            while await consumer.position(source) < end:
                for batch in (await consumer.getmany(timeout_ms=200)).values():
                    found += [(record.value, record.timestamp) for record in batch]
            return found
        finally:
            await consumer.stop()

    async def verdicts(self) -> list[dict[str, Any]]:
        """Every record of the verdict topic, in order."""
        return [orjson.loads(value or b"") for value, _ in await self.records(self.verdicts_topic)]

    async def write_verdicts(self, verdicts: Sequence[dict[str, Any]]) -> None:
        """What other judges say."""
        producer = AIOKafkaProducer(bootstrap_servers=self.bootstrap, linger_ms=20)
        await producer.start()
        sent = [
            await producer.send(self.verdicts_topic, orjson.dumps(v), partition=0) for v in verdicts
        ]
        await asyncio.gather(*sent)
        await producer.stop()

    async def effective(self) -> dict[str, dict[str, Any]]:
        """The verdict that counts of each event: the first of its judge."""
        found: dict[str, dict[str, Any]] = {}
        for verdict in await self.verdicts():
            found.setdefault(verdict["sf-id"], verdict)
        return found


def by_answer(verdicts: Sequence[dict[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    """Verdicts by the answer that they are a share of."""
    found: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for verdict in verdicts:
        for answer_id in verdict.get("answer_ids", ()):
            found[answer_id].append(verdict)
    return found


@pytest.fixture
async def stand_in() -> AsyncIterator[StandIn]:
    """A model that knows the truth of these tests."""
    async with StandIn(says_important) as server:
        yield server


@pytest.fixture
def analyst(embedded_bootstrap: str, tmp_path: Path, stand_in: StandIn) -> AnalystUnderTest:
    """An analyst on the embedded broker."""
    return AnalystUnderTest(embedded_bootstrap, tmp_path, stand_in.base_url)


@pytest.fixture
def kafka_analyst(kafka_bootstrap: str, tmp_path: Path, stand_in: StandIn) -> AnalystUnderTest:
    """An analyst on Apache Kafka."""
    return AnalystUnderTest(kafka_bootstrap, tmp_path, stand_in.base_url, session_timeout_ms=6000)
