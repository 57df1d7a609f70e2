"""The demo's worker and analyst: child processes, started early, stopped gracefully, never left
behind."""

import asyncio
import atexit
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

_TAIL_LINES = 20


class DemoChild:
    """A command of `stream-filter` in a process of its own. It begins when `begin` is called and
    ends at the latest with this process."""

    def __init__(
        self, name: str, command: Sequence[str], *, log_file: Path, env: Mapping[str, str]
    ) -> None:
        """Start the process; it imports and waits. `name`: for people."""
        self.name = name
        self.log_file = log_file
        with open(log_file, "ab") as output:
            self._child = subprocess.Popen(
                [sys.executable, "-m", "stream_filter.demo.warm_start", *command],
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=dict(env),
                start_new_session=True,
            )
        atexit.register(self.kill)

    def begin(self) -> None:
        """Let it connect: its topics exist now."""
        assert self._child.stdin is not None
        try:
            self._child.stdin.write(b"begin\n")
            self._child.stdin.flush()
        except BrokenPipeError:
            pass  # it has ended, which `exit_code` tells

    @property
    def exit_code(self) -> int | None:
        """None while it runs; negative: the signal that ended it."""
        return self._child.poll()

    async def stop(self, *, timeout_s: float) -> int:
        """SIGTERM, and the exit code; SIGKILL for what does not end in time."""
        if self._child.poll() is None:
            self._child.terminate()
        try:
            await asyncio.to_thread(self._child.wait, timeout_s)
        except subprocess.TimeoutExpired:
            pass
        self.kill()
        return self._child.returncode

    def kill(self) -> None:
        """SIGKILL if it still runs; returns when it is gone."""
        atexit.unregister(self.kill)
        if self._child.poll() is None:
            self._child.kill()
        self._child.wait()
        if self._child.stdin:
            self._child.stdin.close()

    def log_tail(self) -> list[str]:
        """The last lines of what it said."""
        return self.log_file.read_text(errors="replace").splitlines()[-_TAIL_LINES:]
