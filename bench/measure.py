"""Runs one contestant as a child process and measures it from outside, by what it commits.

Pace is a slope: records committed between the group's first commit and its last one before the
end, by the time between the two. Contestants commit at intervals, so the very last commit comes
an idle moment after the last record and would flatter nobody.
"""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from bench.cluster import Cluster
from bench.process_tree import ProcessTree
from stream_filter.testing.broker_process import die_with_parent

_SAMPLE_EVERY_S = 0.05
_MIN_SHARE_OF_SLOPE = 0.5
_STOP_GRACE_S = 20.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """What to run, and when the run is over.

    It ends when ``records`` of ``source`` are committed, or ``window_s`` after the first commit:
    slow contestants are measured over a stretch of the same topic.
    """

    command: Sequence[str]
    env: Mapping[str, str] = field(default_factory=dict)
    group: str
    source: str
    records: int
    window_s: float
    startup_s: float = 60.0
    log_file: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """At a moment: records committed and CPU seconds used since the start."""

    at_s: float
    committed: int
    cpu_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Measurement:
    """One run. Paces are events/s, CPU is microseconds of process time an event."""

    pace: float
    cpu_us: float
    cpu_us_with_start: float
    peak_mb: float
    first_commit_s: float
    total_s: float
    committed: int
    is_complete: bool
    commits_seen: int


class TrialError(RuntimeError):
    """A contestant ended by itself or committed nothing; the message has its last words."""


def start_logged(
    command: Sequence[str], *, log_file: Path, env: Mapping[str, str]
) -> subprocess.Popen[bytes]:
    """Start a contestant in a process group of its own, its output in ``log_file``.

    On Linux it is killed when the benchmark is.
    """
    with log_file.open("wb") as log:
        return subprocess.Popen(
            command,
            env={**os.environ, **env},
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            preexec_fn=die_with_parent(),  # noqa: PLW1509 - one system call, see there
        )


def log_tail(log_file: Path) -> str:
    """The last words of a contestant."""
    return log_file.read_text(errors="replace")[-3_000:]


async def measure(trial: Trial, cluster: Cluster) -> Measurement:
    """Start, sample until it is over, stop. Raises TrialError."""
    child = start_logged(trial.command, log_file=trial.log_file, env=trial.env)
    try:
        samples, peak_bytes = await _watch(child, trial, cluster)
    finally:
        await asyncio.to_thread(stop, child)
    return _summarize(samples, peak_bytes, trial)


async def _watch(
    child: subprocess.Popen[bytes], trial: Trial, cluster: Cluster
) -> tuple[list[Sample], int]:
    """Samples at which the committed count had grown, the last one included."""
    started_s = time.monotonic()
    tree = ProcessTree(child.pid)
    samples: list[Sample] = []
    while True:
        committed = await cluster.committed(trial.group, trial.source)
        at_s = time.monotonic() - started_s
        cpu_s = tree.sample()
        if committed > (samples[-1].committed if samples else 0):
            samples.append(Sample(at_s=at_s, committed=committed, cpu_s=cpu_s))
        if committed >= trial.records:
            return samples, tree.peak_bytes
        if child.poll() is not None:
            raise TrialError(f"ended with {child.returncode}\n{log_tail(trial.log_file)}")
        if samples and at_s > samples[0].at_s + trial.window_s:
            return samples, tree.peak_bytes
        if not samples and at_s > trial.startup_s:
            raise TrialError(f"no commit in {trial.startup_s:g} s\n{log_tail(trial.log_file)}")
        await asyncio.sleep(_SAMPLE_EVERY_S)


def _summarize(samples: Sequence[Sample], peak_bytes: int, trial: Trial) -> Measurement:
    first, end = samples[0], samples[-1]
    is_complete = end.committed >= trial.records
    last = samples[-2] if is_complete and len(samples) > 2 else end
    if last.committed - first.committed < _MIN_SHARE_OF_SLOPE * (end.committed - first.committed):
        last = end
    events, seconds = last.committed - first.committed, last.at_s - first.at_s
    if events <= 0:
        raise TrialError(f"only one commit was seen, of {end.committed} records: take more records")
    return Measurement(
        pace=events / seconds,
        cpu_us=(last.cpu_s - first.cpu_s) / events * 1e6,
        cpu_us_with_start=end.cpu_s / end.committed * 1e6,
        peak_mb=peak_bytes / 1e6,
        first_commit_s=first.at_s,
        total_s=end.at_s,
        committed=end.committed,
        is_complete=is_complete,
        commits_seen=len(samples),
    )


def stop(child: subprocess.Popen[bytes]) -> None:
    """SIGTERM, SIGKILL after a while, and SIGKILL for whatever it left in its group."""
    if child.poll() is None:
        child.send_signal(signal.SIGTERM)
        try:
            child.wait(timeout=_STOP_GRACE_S)
        except subprocess.TimeoutExpired:
            print(f"  (killed: did not stop in {_STOP_GRACE_S:g} s)", file=sys.stderr)
    try:
        os.killpg(child.pid, signal.SIGKILL)
    except ProcessLookupError:
        pass
    child.wait()
