"""A broker's child process: started, waited for, ended, and never left behind."""

from __future__ import annotations

import atexit
import ctypes
import os
import random
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from stream_filter.core.errors import ConfigError

HOST = "127.0.0.1"

# Below the range from which Linux takes the ports of outgoing connections: a broker that is
# killed and started again finds its port free.
_PORTS = range(20_000, 32_000)
_PR_SET_PDEATHSIG = 1
_LOG_TAIL_CHARS = 3_000
_METADATA_KEY, _METADATA_VERSION = 3, 4


class BrokerProcess:
    """One child in its own process group, killed when this process ends.

    Its output is appended to ``log_file``, or thrown away without one.
    """

    def __init__(
        self,
        command: Sequence[str],
        *,
        log_file: Path | None = None,
        env: Mapping[str, str] | None = None,
    ) -> None:
        self._name = Path(command[0]).name
        self._log_file = log_file
        with open(log_file or os.devnull, "ab") as output:
            self._child = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=None if env is None else dict(env),
                start_new_session=True,
                preexec_fn=die_with_parent(),  # noqa: PLW1509 - one system call, see there
            )
        atexit.register(self.kill)

    @property
    def pid(self) -> int:
        """The child's process id, which is also its group's."""
        return self._child.pid

    def wait_for(self, is_ready: Callable[[], bool], *, timeout_s: float) -> None:
        """Return when ``is_ready()`` holds. Else end the child and raise with its log's tail."""
        deadline = time.monotonic() + timeout_s
        while not is_ready():
            code = self._child.poll()
            if code is None and time.monotonic() < deadline:
                time.sleep(0.05)
                continue
            cause = f"gave no answer in {timeout_s:g} s" if code is None else f"ended with {code}"
            self.kill()
            raise ConfigError(f"{self._name} {cause}. {self._log_tail()}")

    def terminate(self, *, grace_s: float) -> None:
        """SIGTERM, then SIGKILL for what is left after ``grace_s`` seconds."""
        self._signal(signal.SIGTERM)
        try:
            self._child.wait(timeout=grace_s)
        except subprocess.TimeoutExpired:
            pass
        self.kill()

    def kill(self) -> None:
        """SIGKILL for the whole group; returns when the child is gone."""
        atexit.unregister(self.kill)
        self._signal(signal.SIGKILL)
        self._child.wait()

    def _signal(self, number: signal.Signals) -> None:
        if self._child.poll() is None:
            os.killpg(self._child.pid, number)

    def _log_tail(self) -> str:
        if self._log_file is None:
            return "Its output was not kept."
        text = self._log_file.read_text(errors="replace")[-_LOG_TAIL_CHARS:]
        return f"The end of {self._log_file}:\n{text}"


def free_port(*, but: int | None = None) -> int:
    """A port of 127.0.0.1 on which nothing listens now, other than ``but``."""
    for port in random.sample(_PORTS, 200):
        if port == but:
            continue
        with socket.socket() as probe:
            try:
                probe.bind((HOST, port))
            except OSError:
                continue
            return port
    raise ConfigError(f"no free port between {_PORTS.start} and {_PORTS.stop}")


def answers_metadata(port: int, *, timeout_s: float = 2.0) -> bool:
    """Whether a broker on 127.0.0.1 answers a Kafka metadata request and names itself in it.

    Speaks the protocol by hand, so that it works inside a running event loop too.
    """
    header = struct.pack(">hhih", _METADATA_KEY, _METADATA_VERSION, 1, -1)
    request = header + struct.pack(">i?", 0, False)  # no topics, create none
    try:
        with socket.create_connection((HOST, port), timeout=timeout_s) as connection:
            connection.sendall(struct.pack(">i", len(request)) + request)
            with connection.makefile("rb") as answer:
                (size,) = struct.unpack(">i", answer.read(4))
                _, _, brokers = struct.unpack_from(">iii", answer.read(size))
    except (OSError, struct.error):
        return False
    return bool(brokers > 0)


def die_with_parent() -> Callable[[], None] | None:
    """What asks the kernel, between fork and exec, to kill the child when its parent dies.

    None where it cannot: elsewhere than on Linux, or outside the main thread, since the kernel
    watches the thread that started the child. There the exit hook alone ends it.
    """
    if sys.platform != "linux" or threading.current_thread() is not threading.main_thread():
        return None
    prctl = ctypes.CDLL(None, use_errno=True).prctl

    def ask() -> None:
        prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)

    return ask
