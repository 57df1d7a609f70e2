"""Brokers and Hypothesis for all suites."""

import gzip
import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from stream_filter.testing.brokers import EmbeddedBroker, KafkaBroker, kafka_home

# A shared machine stalls now and then: a slow example is no fault. Here and not in a folder of
# tests, since a property takes the profile that is loaded when its file is read.
settings.register_profile("patient", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("patient")

REPO = Path(__file__).parent.parent
LOGHUB = REPO.parent / "shared" / "data" / "loghub.jsonl.gz"


@pytest.fixture(scope="session")
def embedded_bootstrap() -> Iterator[str]:
    """The embedded broker's address."""
    with EmbeddedBroker() as broker:
        yield broker.bootstrap


@pytest.fixture(scope="session")
def kafka_bootstrap() -> Iterator[str]:
    """An Apache Kafka: the cluster of KAFKA_BOOTSTRAP, or one started from KAFKA_HOME."""
    if given := os.environ.get("KAFKA_BOOTSTRAP"):
        yield given
        return
    home = kafka_home()
    if home is None:
        pytest.skip("no Apache Kafka: set KAFKA_HOME or KAFKA_BOOTSTRAP")
    broker = KafkaBroker(home)
    broker.start()
    yield broker.bootstrap
    broker.close()


@pytest.fixture(scope="session")
def log_lines() -> list[bytes]:
    """Real log lines as JSON where they are at hand, else the demo's platform."""
    if LOGHUB.exists():
        with gzip.open(LOGHUB) as lines:
            rows = [json.loads(line) for line in lines]
        fields = ("source", "component", "level", "message")
        return [json.dumps({name: row[name] for name in fields}).encode() for row in rows]
    from stream_filter.demo.generator import PlatformStream

    stream = PlatformStream(seed=1, start_ms=0, duration_s=60)
    return [event.value for event in stream.events(30.0, 20_000)]
