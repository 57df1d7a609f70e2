"""One JVM of an Apache Kafka 4 download: its settings, its data folder, its process."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping
from pathlib import Path

from stream_filter.core.errors import ConfigError
from stream_filter.testing.broker_process import BrokerProcess, answers_metadata

_CLUSTER_ID = "MkU3OEVBNTcwNTJENDM2Qk"


class KafkaNode:
    """A broker, a controller or both, kept in ``folder`` across kill and restart.

    ``settings`` are laid over the download's ``config/server.properties``. Raises ConfigError.
    """

    def __init__(self, home: Path, folder: Path, settings: Mapping[str, str]) -> None:
        self._home = home
        self._folder = folder
        self._settings = dict(settings)
        self._process: BrokerProcess | None = None

    @property
    def pid(self) -> int | None:
        """The process id of the JVM while it runs, else None."""
        return self._process.pid if self._process else None

    @property
    def log_file(self) -> Path:
        """What the node wrote on stdout and stderr, over all its starts."""
        return self._folder / "broker.log"

    def start(self) -> None:
        """Format the folder if it is new and start the JVM; does not wait for an answer."""
        data = self._folder / "data"
        config = self._write_config(data)
        env = {**os.environ, "LOG_DIR": str(self._folder / "logs")}
        if not (data / "meta.properties").exists():
            self._format(config, env)
        command = [str(self._script("kafka-server-start.sh")), str(config)]
        self._process = BrokerProcess(command, log_file=self.log_file, env=env)

    def wait_for_answer(self, port: int, *, timeout_s: float) -> None:
        """Return when the started node answers a metadata request on ``port``; else end it."""
        if self._process is None:
            raise ConfigError("the Kafka node was not started")
        try:
            self._process.wait_for(lambda: answers_metadata(port), timeout_s=timeout_s)
        except ConfigError:
            self._process = None
            raise

    def stop(self, *, grace_s: float) -> None:
        """Shut down in order, by force after ``grace_s``; nothing when it does not run."""
        if self._process:
            self._process.terminate(grace_s=grace_s)
            self._process = None

    def kill(self) -> None:
        """``kill -9``; nothing when it does not run."""
        if self._process:
            self._process.kill()
            self._process = None

    def _script(self, name: str) -> Path:
        path = self._home / "bin" / name
        if not path.exists():
            raise ConfigError(f"{self._home} is not an Apache Kafka 4 folder: no bin/{name}")
        return path

    def _write_config(self, data: Path) -> Path:
        settings = _read_properties(self._home / "config" / "server.properties")
        # A download's file names a dynamic quorum; here the quorum is static.
        settings.pop("controller.quorum.bootstrap.servers", None)
        settings |= {"log.dirs": str(data)} | self._settings
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


def _read_properties(path: Path) -> dict[str, str]:
    """The keys of a Java properties file; comments and blank lines left out."""
    try:
        lines = path.read_text().splitlines()
    except OSError as error:
        raise ConfigError(f"not an Apache Kafka 4 folder: {error}") from error
    pairs = (line.partition("=") for line in lines if "=" in line and not line.startswith("#"))
    return {key.strip(): value.strip() for key, _, value in pairs}
