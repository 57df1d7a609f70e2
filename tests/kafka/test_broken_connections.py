"""A connection that broke is an error that aiokafka knows, also under uvloop."""

import asyncio

import pytest
import uvloop
from aiokafka.conn import AIOKafkaConnection
from aiokafka.errors import KafkaConnectionError
from aiokafka.protocol.admin import ApiVersionRequest

from stream_filter.kafka import broken_connections
from stream_filter.kafka.broken_connections import install_broken_connections


class Unversioned(AIOKafkaConnection):  # type: ignore[misc]  # aiokafka has no types
    """Asks nothing when it connects."""

    async def _do_version_lookup(self) -> None:
        pass


async def send_on_a_broken_connection() -> None:
    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    server = await asyncio.start_server(accept, "127.0.0.1", 0)
    async with server:
        connection = Unversioned(*server.sockets[0].getsockname())
        await connection.connect()
        # As when the broker is killed, before the reading task has noticed.
        connection._read_task.cancel()
        connection._writer.transport.abort()
        await asyncio.sleep(0.05)
        try:
            await connection.send(ApiVersionRequest())
        finally:
            assert not connection.connected() or connection.close()


def under_uvloop() -> None:
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(send_on_a_broken_connection())


def test_a_write_to_a_closed_connection_is_a_connection_error() -> None:
    """aiokafka's background tasks outlive it: they know this error and try again."""
    install_broken_connections()
    install_broken_connections()  # twice does no harm
    with pytest.raises(KafkaConnectionError, match="broken"):
        under_uvloop()


def test_without_it_the_error_is_one_that_ends_a_task(monkeypatch: pytest.MonkeyPatch) -> None:
    """When this fails, aiokafka has mended it and the module can go."""
    monkeypatch.setattr(AIOKafkaConnection, "send", broken_connections._send)
    with pytest.raises(RuntimeError, match="handler is closed") as caught:
        under_uvloop()
    assert not isinstance(caught.value, KafkaConnectionError)
