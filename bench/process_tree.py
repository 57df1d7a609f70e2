"""CPU time and memory of a contestant, with all its child processes, read from outside."""

from __future__ import annotations

from pathlib import Path

import psutil


class ProcessTree:
    """Figures of a process and its descendants. CPU of children that have ended stays counted."""

    def __init__(self, pid: int) -> None:
        self._root = psutil.Process(pid)
        self._cpu_s: dict[int, float] = {}
        self._peak_bytes: dict[int, int] = {}
        self.resident_bytes = 0
        """Of all of them, when last looked at."""

    def sample(self) -> float:
        """Look at all processes now; the CPU seconds (user and system) used so far."""
        try:
            processes = [self._root, *self._root.children(recursive=True)]
        except psutil.NoSuchProcess:
            processes = []
        self.resident_bytes = 0
        for process in processes:
            try:
                times = process.cpu_times()
                self._cpu_s[process.pid] = times.user + times.system
                resident = process.memory_info().rss
                peak = max(resident, _high_water_bytes(process.pid))
            except psutil.NoSuchProcess:
                continue
            self.resident_bytes += resident
            self._peak_bytes[process.pid] = max(peak, self._peak_bytes.get(process.pid, 0))
        return sum(self._cpu_s.values())

    @property
    def peak_bytes(self) -> int:
        """Sum of each process's peak resident set."""
        return sum(self._peak_bytes.values())


def _high_water_bytes(pid: int) -> int:
    """The kernel's own record of the peak on Linux, elsewhere 0."""
    try:
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    except OSError:
        pass
    return 0
