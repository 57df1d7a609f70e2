"""A worker's reports: at once when something changes, and as a heartbeat."""

import asyncio
from typing import Protocol

from stream_filter.app.policy_switch import Standing
from stream_filter.core.errors import StreamFilterError
from stream_filter.core.orders import HEARTBEAT_S, Report
from stream_filter.gate.orders import ReportBoard

_WRITTEN_WITHIN_S = 5.0
_LEFT_WITHIN_S = 1.0


class ReportWatcher(Protocol):
    def report_failed(self, error: Exception) -> None:
        """Nobody can see what this worker has in force. Told once until one succeeds."""
        ...


class Reporter:
    """Says what is in force, about once a second."""

    def __init__(
        self, board: ReportBoard, *, group: str, worker: str, watcher: ReportWatcher
    ) -> None:
        self._board = board
        self._group = group
        self._worker = worker
        self._watcher = watcher
        self._standing: Standing | None = None
        self._changed = asyncio.Event()
        self._is_failing = False

    def tell(self, standing: Standing) -> None:
        self._standing = standing
        self._changed.set()

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            self._changed.clear()
            await self._write(is_leaving=False, within_s=_WRITTEN_WITHIN_S)
            try:
                await asyncio.wait_for(self._changed.wait(), HEARTBEAT_S)
            except asyncio.TimeoutError:
                pass

    async def leave(self) -> None:
        """The last report: nobody need wait for this worker."""
        await self._write(is_leaving=True, within_s=_LEFT_WITHIN_S)

    async def _write(self, *, is_leaving: bool, within_s: float) -> None:
        standing = self._standing
        known = standing is not None and standing.is_known
        report = Report(
            group=self._group,
            worker=self._worker,
            sequence=standing.sequence if standing else 0,
            policy_id=standing.policy_id if standing and known else "",
            paused=standing.paused if standing else (),
            since_ms=standing.since_ms if standing else 0,
            refused_sequence=standing.refused_sequence if standing else 0,
            refused_because=standing.refused_because if standing else "",
            is_leaving=is_leaving,
            heard_ms=0,
        )
        try:
            await asyncio.wait_for(self._board.write(report), within_s)
        except (StreamFilterError, asyncio.TimeoutError) as error:
            if not self._is_failing:
                self._watcher.report_failed(error)
            self._is_failing = True
        else:
            self._is_failing = False
