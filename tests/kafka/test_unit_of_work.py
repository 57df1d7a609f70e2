"""A unit of work ends, whatever the broker does not answer."""

import asyncio

import pytest
from aiokafka import TopicPartition

from stream_filter.core.errors import BrokerError
from stream_filter.gate.batch import Settlement
from stream_filter.kafka import unit_of_work
from stream_filter.kafka.connection import Connection
from stream_filter.kafka.unit_of_work import AccountTopics, ExactlyOnce


class SilentProducer:
    """Waits for ever, as aiokafka's does for a coordinator that never answers."""

    def __init__(self, **_: object) -> None:
        self.is_stopped = False

    async def start(self) -> None:
        await asyncio.Event().wait()

    begin_transaction = start

    async def stop(self) -> None:
        self.is_stopped = True


@pytest.fixture
def unit(monkeypatch: pytest.MonkeyPatch) -> ExactlyOnce:
    monkeypatch.setattr(unit_of_work, "AIOKafkaProducer", SilentProducer)
    return ExactlyOnce(
        TopicPartition("logs", 3),
        connection=Connection(bootstrap="127.0.0.1:1"),
        group="gate",
        accounts=AccountTopics(ledger="ledger", memory="memory"),
        compression=None,
        transaction_timeout_ms=50,
        max_batch_bytes=1024,
    )


async def test_opening_gives_up_in_time(unit: ExactlyOnce) -> None:
    """A transaction coordinator that never answers is an error that the loop tries again after."""
    with pytest.raises(BrokerError, match=r"logs/3.*no answer in time") as caught:
        await asyncio.wait_for(unit.open(), 30)
    assert caught.value.retriable
    await unit.close()


async def test_a_transaction_gives_up_in_time(unit: ExactlyOnce) -> None:
    """A transaction that does not end is void in a bounded time, so its partition goes on."""
    work = Settlement(topic="logs", partition=3, emissions=[], memory=[], settled_at_ms=0)
    with pytest.raises(BrokerError, match=r"logs/3 up to 7: no answer in time") as caught:
        await asyncio.wait_for(unit.deliver(work, 7), 30)
    assert caught.value.retriable
