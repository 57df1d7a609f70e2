"""A limit of memory for what is measured: a control group of the kernel (v1 or v2)."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_ROOTS = (
    (Path("/sys/fs/cgroup"), "memory.max"),
    (Path("/sys/fs/cgroup/memory"), "memory.limit_in_bytes"),
)
_PEAKS = ("memory.peak", "memory.max_usage_in_bytes")


class ControlGroup:
    """Of processes that share a limit."""

    def __init__(self, root: Path, folder: Path) -> None:
        self._root = root
        self._folder = folder

    @contextmanager
    def inside(self) -> Iterator[None]:
        """What is started here is in it from its first page on. This process leaves it again."""
        self._move(self._folder)
        try:
            yield
        finally:
            self._move(self._root)

    @property
    def peak_mb(self) -> int | None:
        """Page cache included, as the kernel has it; None where it does not say."""
        for name in _PEAKS:
            if (self._folder / name).exists():
                return round(int((self._folder / name).read_text()) / 1e6)
        return None

    def close(self) -> None:
        """Those in it have ended, or belong to the parent again."""
        for pid in (self._folder / "cgroup.procs").read_text().split():
            (self._root / "cgroup.procs").write_text(pid)
        self._folder.rmdir()

    @staticmethod
    def _move(folder: Path) -> None:
        (folder / "cgroup.procs").write_text(str(os.getpid()))


@contextmanager
def limited(limit_bytes: int) -> Iterator[ControlGroup | None]:
    """One with that limit; None where none can be made."""
    for root, name in _ROOTS:
        folder = root / "stream-filter-bench"
        if not (root / "cgroup.procs").exists():
            continue
        try:
            folder.mkdir(exist_ok=True)
            (folder / name).write_text(str(limit_bytes))
        except OSError:
            continue
        group = ControlGroup(root, folder)
        try:
            yield group
        finally:
            group.close()
        return
    yield None
