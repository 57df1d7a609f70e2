"""The delay that the gate adds at a given load, by the clock of one machine.

Three distributions over the events that were forwarded, in milliseconds:

- ``added``: from the arrival of the source record at a plain consumer of the source topic to the
  arrival of the forwarded one at a read_committed consumer of the forward topic. This is what
  putting a gate in between costs. Events of partition 0, which the plain consumer reads.
- ``after_ack``: from the producer's acknowledgement to the arrival of the forwarded record.
- ``direct_after_ack``: from the acknowledgement to the arrival at the plain consumer: what the
  broker and a consumer take by themselves.
"""

from __future__ import annotations

import asyncio
import subprocess
import sys
import time
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from bench.cluster import Cluster
from bench.contestants import Contestant, Course, Start
from bench.measure import log_tail, start_logged, stop

_WARM_S = 3.0
_SETTLE_S = 2.0
_STARTUP_S = 90.0

Rows = NDArray[np.int64]


async def measure_delay(
    contestant: Contestant,
    course: Course,
    start: Start,
    cluster: Cluster,
    *,
    rate: float,
    seconds: float,
) -> dict[str, float]:
    """Run the gate on ``course``, whose topic holds the first events already, and pace it.

    They warm the score cache: the clock starts when the gate has committed them all.
    """
    log_file = start.folder / "log"
    gate = start_logged(contestant.command(course, start), log_file=log_file, env={})
    watcher: subprocess.Popen[bytes] | None = None
    batches, arrivals = start.folder / "batches.npy", start.folder / "arrivals.npz"
    shared = ["--bootstrap", course.bootstrap]
    try:
        await _until_idle(gate, course, start, cluster)
        watcher = _spawn(
            "bench.arrivals",
            [*shared, *("--source", course.topic, "--target", start.target, "--out", arrivals)],
        )
        assert watcher.stdout is not None
        await asyncio.to_thread(watcher.stdout.readline)
        paced = _spawn(
            "bench.paced",
            [
                *(*shared, "--topic", course.topic, "--stream", course.stream.name),
                *("--rate", rate, "--seconds", seconds, "--out", batches),
            ],
        )
        if await asyncio.to_thread(paced.wait):
            raise RuntimeError("the paced producer failed")
        await asyncio.sleep(_SETTLE_S)
    finally:
        for child in (watcher, gate):
            if child:
                await asyncio.to_thread(stop, child)
    seen = np.load(arrivals)
    return delays(np.load(batches), forward=seen["forward"], source=seen["source"])


def delays(batches: Rows, *, forward: Rows, source: Rows) -> dict[str, float]:
    """Percentiles, in milliseconds, from the rows of ``bench.paced`` and ``bench.arrivals``.

    The first seconds are left out: connections and the JIT of the broker settle then.
    """
    batches = batches[np.lexsort((batches[:, 1], batches[:, 0]))]
    began_ns = int(batches[:, 3].min()) + int(_WARM_S * 1e9)
    added, after_ack, direct = [], [], []
    for partition in np.unique(batches[:, 0]):
        sent = batches[batches[:, 0] == partition]
        arrived = forward[forward[:, 0] == partition]
        arrived = arrived[arrived[:, 1] >= sent[0, 1]]
        batch = sent[np.searchsorted(sent[:, 1], arrived[:, 1], side="right") - 1]
        is_late = batch[:, 3] >= began_ns
        arrived, batch = arrived[is_late], batch[is_late]
        after_ack.append(arrived[:, 2] - batch[:, 4])
        if partition == 0:
            fetch = np.searchsorted(source[:, 0], arrived[:, 1])
            is_seen = fetch < len(source)
            at_ns = source[fetch[is_seen], 1]
            added.append(arrived[is_seen, 2] - at_ns)
            direct.append(at_ns - batch[is_seen, 4])
    report = {"events": float(sum(map(len, after_ack))), "records_sent": float(batches[:, 2].sum())}
    for name, parts in (("added", added), ("after_ack", after_ack), ("direct_after_ack", direct)):
        values_ms = np.concatenate(parts) / 1e6
        for percent in (50, 99, 99.9):
            report[f"{name}_p{percent:g}_ms"] = float(np.percentile(values_ms, percent))
    span_s = (int(batches[:, 3].max()) - int(batches[:, 3].min())) / 1e9
    report["rate"] = report["records_sent"] / span_s
    return report


def _spawn(module: str, arguments: Sequence[object]) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", module, *map(str, arguments)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, start_new_session=True)


async def _until_idle(
    gate: subprocess.Popen[bytes], course: Course, start: Start, cluster: Cluster
) -> None:
    deadline_s = time.monotonic() + _STARTUP_S
    while await cluster.committed(start.group, course.topic) < course.records:
        if gate.poll() is not None or time.monotonic() > deadline_s:
            last_words = log_tail(start.folder / "log")
            raise RuntimeError(f"the gate did not get ready\n{last_words}")
        await asyncio.sleep(0.1)
