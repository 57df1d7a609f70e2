"""A gate under test: topics, policy, settings and a worker, on either broker."""

import asyncio
import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson
import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, ConsumerRecord, TopicPartition
from click.testing import CliRunner, Result

from stream_filter.app.policy_file import load_policy
from stream_filter.app.settings import load_settings
from stream_filter.cli.ledger import verify_with
from stream_filter.cli.main import main
from stream_filter.testing.worker_process import WorkerProcess

REPO = Path(__file__).parents[2]


@dataclass(slots=True)
class GateUnderTest:
    """Topics of its own on a shared broker; `run` starts commands, `worker` is one worker."""

    bootstrap: str
    folder: Path
    prefix: str = field(default_factory=lambda: f"t{uuid.uuid4().hex[:8]}")
    model_dir: Path = REPO / "models"
    settings_lines: list[str] = field(default_factory=list)
    records: dict[str, int] = field(default_factory=dict)
    worker: WorkerProcess = field(init=False)

    def __post_init__(self) -> None:
        self.worker = WorkerProcess(
            policy=self.policy_file, settings=self.settings_file, log_file=self.folder / "log"
        )

    @property
    def policy_file(self) -> Path:
        return self.folder / "policy.yaml"

    @property
    def settings_file(self) -> Path:
        return self.folder / "settings.yaml"

    def topic(self, name: str) -> str:
        return f"{self.prefix}.{name}"

    def prepare(
        self, topics: dict[str, dict[str, Any]], *, partitions: int = 1, creates: bool = True
    ) -> None:
        """Write the files and, if asked, create all topics. `topics`: rules by short name."""
        base = {
            "model": "demo-platform",
            "raw": {"drop_below": 0.2, "keep_above": 0.8},
            "forward_to": self.topic("analysis"),
        }
        rules = {self.topic(name): {**base, **own} for name, own in topics.items()}
        # JSON is YAML.
        self.policy_file.write_bytes(orjson.dumps({"version": 1, "topics": rules}))
        self.settings_file.write_text(
            "\n".join(
                [
                    f"bootstrap: {self.bootstrap}",
                    f"group: {self.prefix}",
                    f"ledger_topic: {self.topic('ledger')}",
                    f"memory_topic: {self.topic('memory')}",
                    f"dead_letter_topic: {self.topic('dead')}",
                    f"deferred_topic: {self.topic('deferred')}",
                    f"model_dir: {self.model_dir}",
                    "key: test",
                    "session_timeout_ms: 6000",
                    "model_threads: 1",
                    "log: {format: json}",
                    *self.settings_lines,
                ]
            )
        )
        if not creates:
            return
        made = self.run(
            "topics",
            "create",
            "--policy",
            self.policy_file,
            "--with-sources",
            "--partitions",
            partitions,
        )
        assert made.returncode == 0, made.stderr

    def run(self, *arguments: object) -> "subprocess.CompletedProcess[str]":
        command = [sys.executable, "-m", "stream_filter", *map(str, arguments)]
        command += ["--settings", str(self.settings_file)]
        return subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)

    @contextmanager
    def running(self, *arguments: object) -> Iterator[None]:
        """A command that runs inside the context and is ended by SIGTERM."""
        command = [sys.executable, "-m", "stream_filter", *map(str, arguments)]
        command += ["--settings", str(self.settings_file)]
        with subprocess.Popen(command, stdout=subprocess.DEVNULL) as child:
            try:
                yield
            finally:
                child.terminate()

    def invoke(self, *arguments: object) -> Result:
        """A command in this process, in a thread with a loop of its own: quicker than `run`."""
        words = [*map(str, arguments), "--settings", str(self.settings_file)]
        with ThreadPoolExecutor(1) as thread:
            result = thread.submit(CliRunner().invoke, main, words).result(120)
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception  # a user would see a traceback
        return result

    async def send(self, name: str, *records: dict[str, Any], **options: Any) -> None:
        """Send records (key, value, headers, timestamp_ms, partition) with a foreign client: what
        fits into one batch arrives together, however slow the machine is."""
        producer = AIOKafkaProducer(
            bootstrap_servers=self.bootstrap, max_request_size=64 << 20, linger_ms=20, **options
        )
        await producer.start()
        try:
            sent = [
                await producer.send(self.topic(name), **{"partition": 0, **record})
                for record in records
            ]
            await asyncio.gather(*sent)
        finally:
            await producer.stop()

    async def read(self, name: str, count: int, *, timeout_s: float = 60.0) -> list[ConsumerRecord]:
        """The first `count` records of partition 0 of a topic, once they are there."""
        consumer = AIOKafkaConsumer(
            bootstrap_servers=self.bootstrap,
            auto_offset_reset="earliest",
            isolation_level="read_committed",
            max_partition_fetch_bytes=64 << 20,
        )
        await consumer.start()
        try:
            source = TopicPartition(self.topic(name), 0)
            consumer.assign([source])
            await consumer.seek_to_beginning(source)
            records: list[ConsumerRecord] = []
            async with asyncio.timeout(timeout_s):
                while len(records) < count:
                    polled = await consumer.getmany(timeout_ms=200)
                    records += polled.get(source, [])
            return records
        finally:
            await consumer.stop()

    async def read_all(self, name: str, *, partitions: int) -> list[ConsumerRecord]:
        """All committed records of a topic, as of now."""
        consumer = AIOKafkaConsumer(
            bootstrap_servers=self.bootstrap,
            isolation_level="read_committed",
            auto_offset_reset="earliest",
        )
        await consumer.start()
        try:
            sources = [TopicPartition(self.topic(name), p) for p in range(partitions)]
            consumer.assign(sources)
            ends = await consumer.end_offsets(sources)
            await consumer.seek_to_beginning(*sources)
            records: list[ConsumerRecord] = []
            while not all([await consumer.position(s) >= ends[s] for s in sources]):
                for batch in (await consumer.getmany(timeout_ms=500)).values():
                    records += batch
            return records
        finally:
            await consumer.stop()

    def decisions(self, name: str) -> list[dict[str, Any]]:
        """What `tap` shows of a topic, from the beginning, once `settled`."""
        tapped = self.run(
            "tap", self.topic(name), "--from-beginning", "--limit", self.records[name], "--json"
        )
        return [orjson.loads(line) for line in tapped.stdout.splitlines()]

    def verify(self, name: str) -> "subprocess.CompletedProcess[str]":
        return self.run(
            "ledger", "verify", "--topic", self.topic(name), "--policy", self.policy_file, "--json"
        )

    async def settled(self, name: str, records: int, *, timeout_s: float = 60.0) -> None:
        """Until the ledger accounts for so many records."""
        async with asyncio.timeout(timeout_s):
            while True:
                if self.worker.was_started and not self.worker.is_running:
                    raise AssertionError(self.worker.log())
                settings = load_settings(self.settings_file, {})
                targets = set(load_policy(self.policy_file).targets)
                finding = await verify_with(settings, self.topic(name), targets)
                if sum(p.records for p in finding.partitions.values()) >= records:
                    self.records[name] = records
                    return
                await asyncio.sleep(0.3)


@pytest.fixture(params=["embedded", pytest.param("kafka", marks=pytest.mark.kafka)])
def gate(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[GateUnderTest]:
    """A gate on the embedded broker (at least once) and on Apache Kafka (exactly once)."""
    bootstrap = request.getfixturevalue(f"{request.param}_bootstrap")
    under_test = GateUnderTest(bootstrap, tmp_path)
    yield under_test
    if under_test.worker.is_running:
        under_test.worker.kill()


@pytest.fixture
def make_gate_on(tmp_path: Path) -> Callable[[str], GateUnderTest]:
    """Makes a gate on a broker of the test's own; the test ends its workers."""
    return lambda bootstrap: GateUnderTest(bootstrap, tmp_path)


@pytest.fixture
def kafka_gate(kafka_bootstrap: str, tmp_path: Path) -> Iterator[GateUnderTest]:
    """A gate on Apache Kafka."""
    under_test = GateUnderTest(kafka_bootstrap, tmp_path)
    yield under_test
    if under_test.worker.is_running:
        under_test.worker.kill()
