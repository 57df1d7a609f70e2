"""A connection that broke under aiokafka's hands is an error that it knows.

uvloop says RuntimeError of a write to a connection that is closed, where asyncio keeps silent and a
socket says OSError. aiokafka waits for OSError alone: the RuntimeError ends the task that follows
the cluster's metadata, and nothing tells. The client then never learns that a broker is back: its
producer waits for ever, its consumer is lost to the group.
"""

from collections.abc import Awaitable
from typing import Any

from aiokafka.conn import AIOKafkaConnection, CloseReason
from aiokafka.errors import KafkaConnectionError, KafkaError

_send, _send_token = AIOKafkaConnection.send, AIOKafkaConnection._send_sasl_token


def install_broken_connections() -> None:
    """Make aiokafka's connections of this process raise KafkaConnectionError where they broke."""
    AIOKafkaConnection.send = _said(_send)
    AIOKafkaConnection._send_sasl_token = _said(_send_token)


def _said(send: Any) -> Any:
    def sends(self: AIOKafkaConnection, *args: Any, **options: Any) -> Awaitable[Any]:
        try:
            sent: Awaitable[Any] = send(self, *args, **options)
        except KafkaError:  # itself a RuntimeError
            raise
        except RuntimeError as error:
            self.close(reason=CloseReason.CONNECTION_BROKEN)
            raise KafkaConnectionError(
                f"Connection at {self.host}:{self.port} broken: {error}"
            ) from error
        return sent

    return sends
