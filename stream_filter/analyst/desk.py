"""Where questions become verdicts: batches are taken from the backlog and their findings
written."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from stream_filter.analyst.asker import Asker
from stream_filter.analyst.backlog import Backlog, Event, Question
from stream_filter.analyst.finding_cache import FindingCache
from stream_filter.analyst.outcome import Finding
from stream_filter.analyst.prompt import Prompt, Shown
from stream_filter.analyst.reading import is_drawn
from stream_filter.analyst.verdicts import verdict_records

Write = Callable[[Sequence[bytes]], Awaitable[None]]
"""Writes records to the verdict topic; returns when they are acknowledged."""
Finish = Callable[[Sequence[Event]], None]
"""Hears of events that have their outcome."""


class DeskObserver(Protocol):
    """Hears of every finding."""

    def found(self, finding: Finding, events: Sequence[Event], *, is_main: bool) -> None: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Panel:
    """Who is asked: the judge about all, another one about a share."""

    main: Asker
    second: Asker | None = None
    share: float = 0.0

    def is_for_second(self, event: Event) -> bool:
        return self.second is not None and is_drawn(event.event_id, self.share, "second")


class Desk:
    """Takes batches until closed, several at a time."""

    def __init__(
        self,
        backlog: Backlog,
        panel: Panel,
        cache: FindingCache,
        *,
        write: Write,
        finish: Finish,
        observer: DeskObserver,
    ) -> None:
        self._backlog = backlog
        self._panel = panel
        self._cache = cache
        self._write = write
        self._finish = finish
        self._observer = observer
        self._idle: set[asyncio.Task[None]] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._is_closing = False

    def open(self, slots: int, failed: Callable[[BaseException], None]) -> None:
        """Begin to take batches. `failed` hears of what ended a slot."""

        def ended(task: asyncio.Task[None]) -> None:
            self._tasks.discard(task)
            self._idle.discard(task)
            if not task.cancelled() and (error := task.exception()) is not None:
                failed(error)

        self._is_closing = False
        for _ in range(slots):
            task = asyncio.create_task(self._work())
            self._tasks.add(task)
            task.add_done_callback(ended)

    async def settle(self, within_s: float) -> None:
        """Take no more, finish what is being asked; what takes longer is given up."""
        self._is_closing = True
        for task in list(self._idle):
            task.cancel()
        if self._tasks:
            _, late = await asyncio.wait(set(self._tasks), timeout=within_s)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)

    def known(self, event: Event, prompt: Prompt, shown: Shown) -> Finding | None:
        """What was found before on this text, if all who are to be asked have found it."""
        if self._panel.is_for_second(event):
            return None
        return self._remembered(self._panel.main, prompt, shown)

    async def answer(self, known: Sequence[tuple[Finding, Event, Prompt]]) -> None:
        """Write what is known of these events, all at once."""
        records = [verdict_records(finding, [event], p.digest) for finding, event, p in known]
        await self._write([record for of_event in records for record in of_event])
        for finding, event, _ in known:
            self._observer.found(finding, [event], is_main=True)
        self._finish([event for _, event, _ in known])

    async def _work(self) -> None:
        task = asyncio.current_task()
        assert task is not None, "runs as a task"
        while not self._is_closing:
            self._idle.add(task)
            batch = await self._backlog.take()
            self._idle.discard(task)
            try:
                await self._judge(batch)
            finally:
                for question in batch:
                    self._backlog.close(question)

    async def _judge(self, batch: list[Question]) -> None:
        findings = await self._find(self._panel.main, batch)
        for question in batch:
            self._backlog.close(question)  # from now on its events are what they are
        await asyncio.gather(
            *(
                self._conclude(finding, question.events, question.prompt, is_main=True)
                for question, finding in zip(batch, findings, strict=True)
                if question.events
            )
        )
        await self._verify(batch)
        for question in batch:
            self._finish(question.events)

    async def _verify(self, batch: Sequence[Question]) -> None:
        """The second judge comes after: of two models' verdicts the first counts."""
        second = self._panel.second
        drawn = [(q, [e for e in q.events if self._panel.is_for_second(e)]) for q in batch]
        drawn = [(question, events) for question, events in drawn if events]
        if second is None or not drawn:
            return
        findings = await self._find(second, [question for question, _ in drawn])
        for (question, events), finding in zip(drawn, findings, strict=True):
            await self._conclude(finding, events, question.prompt, is_main=False)

    async def _find(self, asker: Asker, batch: Sequence[Question]) -> list[Finding]:
        found = {
            question.key: finding
            for question in batch
            if (finding := self._remembered(asker, question.prompt, question.shown)) is not None
        }
        unknown = [question for question in batch if question.key not in found]
        if unknown:
            for question, finding in zip(unknown, await asker.judge(unknown), strict=True):
                found[question.key] = finding
                self._cache.put(question.prompt.digest, question.shown.digest, finding)
        return [found[question.key] for question in batch]

    def _remembered(self, asker: Asker, prompt: Prompt, shown: Shown) -> Finding | None:
        known = (
            self._cache.get(prompt.digest, shown.digest, judge) for judge in asker.courier.judges
        )
        return next((finding for finding in known if finding is not None), None)

    async def _conclude(
        self, finding: Finding, events: Sequence[Event], prompt: Prompt, *, is_main: bool
    ) -> None:
        await self._write(verdict_records(finding, events, prompt.digest))
        self._observer.found(finding, events, is_main=is_main)
