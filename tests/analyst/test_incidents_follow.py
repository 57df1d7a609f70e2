"""`stream-filter incidents --follow` on a broker: each change in a line, until it is ended."""

import asyncio
import signal
import sys
from asyncio.subprocess import PIPE
from dataclasses import replace

import pytest
from aiokafka import AIOKafkaProducer

from stream_filter.store.incident_json import decode_incident, encode_incident
from tests.analyst.conftest import AnalystUnderTest
from tests.analyst.test_outages import create_incidents_topic
from tests.cli.test_incidents import incident

_PATIENCE_S = 60
_PROGRAM = """
import signal
from stream_filter.cli.main import main
signal.signal(signal.SIGINT, signal.default_int_handler)
main()
"""
"""In a job in the background SIGINT is ignored from the start: here it is not."""


async def write(analyst: AnalystUnderTest, *values: bytes) -> None:
    """To the incidents topic, each under the incident's id."""
    async with AIOKafkaProducer(bootstrap_servers=analyst.bootstrap) as producer:
        for value in values:
            await producer.send_and_wait(
                analyst.incidents_topic, value, key=incident().incident_id.encode()
            )


async def follows(analyst: AnalystUnderTest) -> None:
    """An incident opens, goes on and ends while somebody looks; between, something that is none."""
    await analyst.prepare()
    await create_incidents_topic(analyst)
    opened = incident()
    changes = [opened, replace(opened, revision=3), replace(opened, revision=4, state="closed")]
    await write(analyst, encode_incident(opened))
    command = ["-c", _PROGRAM, "incidents", "--follow", "--json"]
    watching = await asyncio.create_subprocess_exec(
        sys.executable, *command, "--settings", str(analyst.settings_file), stdout=PIPE, stderr=PIPE
    )
    assert watching.stdout is not None
    assert watching.stderr is not None
    try:
        async with asyncio.timeout(_PATIENCE_S):
            seen = [decode_incident((await watching.stdout.readline()).strip())]
            await write(analyst, b"no incident", *map(encode_incident, changes[1:]))
            seen += [decode_incident((await watching.stdout.readline()).strip()) for _ in range(2)]
            watching.send_signal(signal.SIGINT)
            code, complaints = await watching.wait(), (await watching.stderr.read()).decode()
    finally:
        if watching.returncode is None:
            watching.kill()
    assert seen == changes
    assert code == 130
    assert complaints.count("skipped") == 1
    assert "Traceback" not in complaints


@pytest.mark.parametrize("words", [(), ("--follow",)])
async def test_without_the_topic_there_is_a_way_out(
    analyst: AnalystUnderTest, words: tuple[str, ...]
) -> None:
    """One line names the topic and the command that makes it."""
    await analyst.prepare()
    arguments = ["incidents", *words, "--settings", str(analyst.settings_file)]
    asked = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "stream_filter", *arguments, stdout=PIPE, stderr=PIPE
    )
    said, complaints = await asyncio.wait_for(asked.communicate(), _PATIENCE_S)
    assert (asked.returncode, said) == (2, b"")
    assert complaints.count(b"\n") == 1
    assert f"{analyst.incidents_topic!r} does not exist" in complaints.decode()
    assert b"topics create --evidence" in complaints


async def test_each_change_is_followed(analyst: AnalystUnderTest) -> None:
    """What is there at the start, then each change as it comes; garbage is named and passed over;
    Ctrl-C ends it without a traceback."""
    await follows(analyst)


@pytest.mark.kafka
async def test_each_change_is_followed_on_kafka(kafka_analyst: AnalystUnderTest) -> None:
    """The same on Apache Kafka."""
    await follows(kafka_analyst)
