"""A worker as a child process, for tests that stop, kill and restart it."""

import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

from stream_filter.core.errors import StreamFilterError
from stream_filter.testing.broker_process import HOST, free_port

_ANSWER_S = 30.0
"""So long: whoever asks once takes no answer for a failure."""


class WorkerProcess:
    """`stream-filter run` with a web port of its own; `log_file` collects all its lives."""

    def __init__(self, *, policy: Path | None, settings: Path, log_file: Path) -> None:
        self._policy = policy
        self._settings = settings
        self._log_file = log_file
        self._child: subprocess.Popen[bytes] | None = None
        self._port = 0

    @property
    def pid(self) -> int:
        assert self._child is not None
        return self._child.pid

    @property
    def was_started(self) -> bool:
        return self._child is not None

    @property
    def is_running(self) -> bool:
        return self._child is not None and self._child.poll() is None

    def start(self) -> None:
        """Start; returns at once."""
        self._port = free_port()
        command = [sys.executable, "-m", "stream_filter", "run"]
        if self._policy is not None:
            command += ["--policy", str(self._policy)]
        command += ["--settings", str(self._settings)]
        command += ["--web-port", str(self._port)]
        with open(self._log_file, "ab") as output:
            self._child = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env={**os.environ, "OMP_NUM_THREADS": "1"},
            )

    def kill(self) -> None:
        """kill -9."""
        assert self._child is not None
        self._child.kill()
        self._child.wait()

    def stop(self, *, timeout_s: float = 60.0) -> int:
        """SIGTERM; the exit code."""
        assert self._child is not None
        if self._child.poll() is None:
            self._child.send_signal(signal.SIGTERM)
        try:
            return self._child.wait(timeout_s)
        except subprocess.TimeoutExpired:
            self.kill()
            raise StreamFilterError(
                f"no end within {timeout_s} s of SIGTERM: {self.log()}"
            ) from None

    def wait(self, *, timeout_s: float) -> int:
        """The exit code of a worker that ends by itself."""
        assert self._child is not None
        return self._child.wait(timeout_s)

    def get(self, path: str) -> tuple[int, bytes]:
        """Status and body of a page of the web port; (0, b"") where nothing listens yet."""
        try:
            url = f"http://{HOST}:{self._port}{path}"
            with urllib.request.urlopen(url, timeout=_ANSWER_S) as answer:
                return answer.status, answer.read()
        except urllib.error.HTTPError as error:
            return error.code, error.read()
        except OSError:
            return 0, b""

    def wait_ready(self, *, timeout_s: float = 60.0) -> None:
        """Until /readyz says so. Raises StreamFilterError with the log's tail."""
        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline:
            if not self.is_running:
                raise StreamFilterError(f"the worker ended: {self.log()}")
            if self.get("/readyz")[0] == 200:
                return
            time.sleep(0.1)
        raise StreamFilterError(
            f"not ready within {timeout_s} s: {self.get('/readyz')} {self.log()}"
        )

    def log(self, chars: int = 3000) -> str:
        """The end of the log."""
        return self._log_file.read_text(errors="replace")[-chars:]

    def log_lines(self) -> list[dict[str, object]]:
        """The log's JSON lines."""
        lines = self._log_file.read_text(errors="replace").splitlines()
        return [json.loads(line) for line in lines if line.startswith("{")]
