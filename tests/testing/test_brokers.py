"""The brokers that the tests lean on do what a test expects of them."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from stream_filter.core.errors import ConfigError
from stream_filter.testing.broker_process import BrokerProcess, answers_metadata, free_port
from stream_filter.testing.brokers import EmbeddedBroker, KafkaBroker, kafka_home

needs_kafka = [
    pytest.mark.kafka,
    pytest.mark.skipif(kafka_home() is None, reason="KAFKA_HOME names no Apache Kafka 4 folder"),
]


async def _create_topic(bootstrap: str, topic: str) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    try:
        await admin.create_topics([NewTopic(topic, num_partitions=1, replication_factor=1)])
    finally:
        await admin.close()


async def _produce(bootstrap: str, topic: str, value: bytes, transactional_id: str | None) -> None:
    async with AIOKafkaProducer(
        bootstrap_servers=bootstrap, transactional_id=transactional_id
    ) as producer:
        if transactional_id is None:
            await producer.send_and_wait(topic, value, partition=0)
        else:
            async with producer.transaction():
                await producer.send_and_wait(topic, value, partition=0)


async def _read_one(bootstrap: str, topic: str) -> bytes | None:
    async with AIOKafkaConsumer(
        topic,
        bootstrap_servers=bootstrap,
        auto_offset_reset="earliest",
        isolation_level="read_committed",
    ) as consumer:
        record = await asyncio.wait_for(consumer.getone(), timeout=20)
        value: bytes | None = record.value
        return value


def test_a_record_sent_to_the_embedded_broker_comes_back() -> None:
    """Produce and fetch work as soon as start() has returned, and nothing answers after stop()."""

    async def round_trip(bootstrap: str) -> bytes | None:
        await _create_topic(bootstrap, "t")
        await _produce(bootstrap, "t", b"hello", None)
        return await _read_one(bootstrap, "t")

    with EmbeddedBroker() as broker:
        assert asyncio.run(round_trip(broker.bootstrap)) == b"hello"
        port = int(broker.bootstrap.rpartition(":")[2])
    assert not answers_metadata(port)
    assert broker.pid is None


def test_two_embedded_brokers_run_side_by_side() -> None:
    """Each broker has its own port and its own topics."""
    with EmbeddedBroker() as one, EmbeddedBroker() as other:
        assert one.bootstrap != other.bootstrap
        asyncio.run(_create_topic(one.bootstrap, "t"))
        asyncio.run(_create_topic(other.bootstrap, "t"))


def test_a_broker_that_cannot_start_says_why(tmp_path: Path) -> None:
    """A child that ends before it answers is an error with its exit code and its last words."""
    process = BrokerProcess(
        ["sh", "-c", "echo no space left; exit 7"], log_file=tmp_path / "broker.log"
    )
    port = free_port()
    with pytest.raises(ConfigError, match=r"ended with 7(.|\n)*no space left"):
        process.wait_for(lambda: answers_metadata(port), timeout_s=10)


def test_a_broker_that_does_not_answer_is_ended_at_the_limit() -> None:
    """No answer in time: the child is killed and the error says how long was waited."""
    process = BrokerProcess(["sleep", "60"])
    with pytest.raises(ConfigError, match=r"no answer in 0\.2 s"):
        process.wait_for(lambda: False, timeout_s=0.2)
    with pytest.raises(ProcessLookupError):
        os.kill(process.pid, 0)


def test_a_folder_that_is_no_kafka_is_refused(tmp_path: Path) -> None:
    """A wrong KAFKA_HOME is named in the error."""
    with pytest.raises(ConfigError, match="not an Apache Kafka 4 folder"):
        KafkaBroker(tmp_path, tmp_path / "data").start()


class TestKafka:
    """Apache Kafka, one node."""

    pytestmark = needs_kafka

    def test_a_committed_record_survives_kill_9(self, tmp_path: Path) -> None:
        """A transaction is read back after a crash, under the same address.

        The crash comes before the broker has written the marker that ends the transaction.
        """
        home = kafka_home()
        assert home is not None
        with KafkaBroker(home, tmp_path, has_own_controller=True) as broker:
            bootstrap = broker.bootstrap
            asyncio.run(_create_topic(bootstrap, "t"))
            asyncio.run(_produce(bootstrap, "t", b"kept", "tx-1"))
            broker.kill()
            assert broker.pid is None
            broker.start()
            assert broker.bootstrap == bootstrap
            assert asyncio.run(_read_one(bootstrap, "t")) == b"kept"

    def test_the_process_is_the_jvm_itself(self) -> None:
        """`kill()` ends Kafka and not a shell around it; a temporary folder goes with close()."""
        home = kafka_home()
        assert home is not None
        with KafkaBroker(home) as broker:
            executable = Path(f"/proc/{broker.pid}/exe")
            if executable.exists():
                assert executable.readlink().name.startswith("java")
            folder = broker.log_file.parent
            assert folder.exists()
        assert not folder.exists()
