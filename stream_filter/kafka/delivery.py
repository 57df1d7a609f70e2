"""Which delivery guarantee the broker can give."""

import asyncio
import logging
from enum import StrEnum

from aiokafka import AIOKafkaProducer
from aiokafka.errors import IncompatibleBrokerVersion, KafkaError, UnknownError

from stream_filter.core.errors import BrokerError, ConfigError, FencedError
from stream_filter.kafka.connection import Connection
from stream_filter.kafka.errors import translate

_PROBE_S = 20.0


class Delivery(StrEnum):
    """`exactly_once`: a transaction a unit of work. `at_least_once`: the same steps without."""

    EXACTLY_ONCE = "exactly_once"
    AT_LEAST_ONCE = "at_least_once"


async def choose_delivery(wanted: str, connection: Connection, group: str) -> tuple[Delivery, str]:
    """The delivery to use and why. `wanted`: `auto`, `exactly_once` or `at_least_once`.

    Raises ConfigError where exactly once was asked for and the broker cannot.
    """
    if wanted == Delivery.AT_LEAST_ONCE:
        return Delivery.AT_LEAST_ONCE, "asked for"
    obstacle = await _transactions_obstacle(connection, group)
    if obstacle is None:
        why = "asked for" if wanted == Delivery.EXACTLY_ONCE else "the broker has transactions"
        return Delivery.EXACTLY_ONCE, why
    if wanted == Delivery.EXACTLY_ONCE:
        raise ConfigError(
            f"settings: delivery: exactly_once is impossible: {obstacle}; "
            "set delivery to auto or at_least_once, or use a broker with transactions"
        )
    return Delivery.AT_LEAST_ONCE, obstacle


async def _transactions_obstacle(connection: Connection, group: str) -> str | None:
    sender_log = logging.getLogger("aiokafka.producer.sender")
    level = sender_log.level
    sender_log.setLevel(logging.CRITICAL)  # a broker that cannot is an answer here, no error
    producer = AIOKafkaProducer(
        **connection.client_options(), transactional_id=f"{group}-probe", linger_ms=0
    )
    try:
        await asyncio.wait_for(producer.start(), _PROBE_S)
        await asyncio.wait_for(producer.begin_transaction(), _PROBE_S)
        await asyncio.wait_for(producer.abort_transaction(), _PROBE_S)
    except (IncompatibleBrokerVersion, UnknownError):
        # UnknownError: how the embedded broker answers a request that it does not know.
        return f"the broker at {connection.bootstrap} has no transactional producer"
    except asyncio.TimeoutError:
        return f"the broker gave no producer id within {_PROBE_S:.0f} s"
    except KafkaError as error:
        translated = translate(error, f"asking {connection.bootstrap} for a producer id")
        if isinstance(translated, FencedError):
            return None  # another worker asked at the same time, and was given an id
        if isinstance(translated, BrokerError) and translated.retriable:
            raise translated from error
        return str(translated)
    finally:
        await producer.stop()
        sender_log.setLevel(level)
    return None
