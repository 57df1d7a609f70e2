"""The view of an outage as a task beside the verdicts: of a group of analysts, one has it.

1. The newest record of each incident is read, and of the analysis topics what the baseline and the
   longest look need; of an open incident also the time before it.
2. From there on all records are followed, and looked at every so often.
3. What has changed is written to the incidents topic. A model is asked in the meantime.

Nothing else is kept: whoever takes over begins with 1.
"""

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from stream_filter.analyst.outage_asker import OutageAsker
from stream_filter.analyst.prompt import Prompt
from stream_filter.analyst.sightings import Fields, sightings
from stream_filter.core.errors import BrokerError, StreamFilterError
from stream_filter.kafka.board import KafkaBoard
from stream_filter.kafka.connection import Connection
from stream_filter.kafka.reader import TopicReader
from stream_filter.outage.docket import Docket
from stream_filter.outage.incident import Assessment, Incident
from stream_filter.outage.sighting import Shape
from stream_filter.outage.watch import Watch
from stream_filter.store.incident_json import decode_incident, encode_incident

_CHUNK = 100
"""Records made into sightings before others may go on."""
_RETRY_S = 5.0


class OutageObserver(Protocol):
    """Hears what becomes of incidents."""

    def incident_changed(self, incident: Incident) -> None: ...
    def incident_unreadable(self, position: str, error: Exception) -> None: ...
    def outage_answered(self, outcome: str) -> None: ...
    def outage_failed(self, error: Exception, retry_in_s: float) -> None: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class OutageSpec:
    """What the view needs to know."""

    connection: Connection
    incidents_topic: str
    prompts: Mapping[str, Prompt]
    """By analysis topic."""
    fields: Fields
    shape: Shape
    quiet_ms: int
    ask_every_ms: int


class OutageView:
    """Use as: `run()` in a task of its own; `lead` from the session."""

    def __init__(
        self,
        spec: OutageSpec,
        asker: OutageAsker | None,
        observer: OutageObserver,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """`asker` None: nobody is asked."""
        self._spec = spec
        self._asker = asker
        self._observer = observer
        self._clock = clock
        self._leads = asyncio.Event()
        self._rests = asyncio.Event()
        self._rests.set()

    def lead(self, leads: bool) -> None:
        """Whether the view is ours."""
        (on, off) = (self._leads, self._rests) if leads else (self._rests, self._leads)
        on.set()
        off.clear()

    async def run(self) -> None:
        """Without end. Raises ConfigError, and BrokerError where trying again cannot help."""
        while True:
            await self._leads.wait()
            leading = asyncio.create_task(self._lead())
            resting = asyncio.create_task(self._rests.wait())
            try:
                await asyncio.wait({leading, resting}, return_when=asyncio.FIRST_COMPLETED)
                if leading.done():
                    leading.result()
            except BrokerError as error:
                if not error.retriable:
                    raise
                self._observer.outage_failed(error, _RETRY_S)
                await asyncio.sleep(_RETRY_S)
            finally:
                for task in (leading, resting):
                    task.cancel()
                await asyncio.gather(leading, resting, return_exceptions=True)

    async def _lead(self) -> None:
        board = KafkaBoard(self._spec.connection, topic=self._spec.incidents_topic)
        tasks: list[asyncio.Task[None]] = []
        try:
            known = self._known(await board.read())
            watch = Watch(self._spec.shape)
            async with TopicReader(self._spec.connection) as reader:
                ends = await self._read_again(reader, watch, known)
                docket = Docket(watch, quiet_ms=self._spec.quiet_ms, known=known)
                if docket.open is not None:
                    self._observer.incident_changed(docket.open)
                tasks = [
                    asyncio.create_task(self._follow(reader, watch, ends)),
                    asyncio.create_task(self._look_often(docket, board)),
                ]
                done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
                for task in done:
                    task.result()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await board.close()

    def _known(self, records: Sequence[Any]) -> list[Incident]:
        newest: dict[str, Incident] = {}
        for position, value in records:
            try:
                incident = decode_incident(value)
            except StreamFilterError as error:
                self._observer.incident_unreadable(position, error)
                continue
            newest[incident.incident_id] = incident
        return list(newest.values())

    async def _read_again(
        self, reader: TopicReader, watch: Watch, known: Sequence[Incident]
    ) -> dict[Any, int]:
        """What the first look needs; up to where was read, by partition.

        To the end, whatever it takes: what is not read yet would look like quiet.
        """
        shape = self._spec.shape
        sources = [s for topic in sorted(self._spec.prompts) for s in reader.partitions(topic)]
        ends = await self._ends(reader, sources)
        since_ms = self._now_ms() - shape.kept_slots * shape.slot_ms
        onset_ms = max((i.onset_ms for i in known if i.state == "open"), default=None)
        if onset_ms is not None:
            begins = await reader.offsets_at(sources, onset_ms - shape.baseline_ms)
            until = await reader.offsets_at(sources, onset_ms)
            before = {s: (_or(begins[s], ends[s]), _or(until[s], ends[s])) for s in sources}
            async for _, records in reader.read(before, to_the_end=True):
                await self._add(watch, records, onset_ms)
            spans = [(i.onset_ms, i.seen_ms) for i in known if i.state == "closed"]
            watch.hold(onset_ms, spans)
            since_ms = max(since_ms, onset_ms)
        starts = await reader.offsets_at(sources, since_ms)
        reached = {source: _or(starts[source], ends[source]) for source in sources}
        while True:
            began_ms = self._now_ms()
            ranges = {source: (reached[source], ends[source]) for source in sources}
            async for _, records in reader.read(ranges, to_the_end=True):
                await self._add(watch, records, self._now_ms())
            if self._now_ms() - began_ms <= shape.every_ms:
                return ends
            # It took so long that a look would miss what has come meanwhile.
            reached, ends = ends, await self._ends(reader, sources)

    @staticmethod
    async def _ends(reader: TopicReader, sources: Sequence[Any]) -> dict[Any, int]:
        return {source: end for source, (_, end) in (await reader.bounds(sources)).items()}

    async def _follow(self, reader: TopicReader, watch: Watch, starts: dict[Any, int]) -> None:
        async for _, records in reader.follow(starts):
            await self._add(watch, records, self._now_ms())

    async def _add(self, watch: Watch, records: Sequence[Any], now_ms: int) -> None:
        for start in range(0, len(records), _CHUNK):
            began_s = time.perf_counter()
            chunk = records[start : start + _CHUNK]
            prompt = self._spec.prompts[chunk[0].topic]
            watch.add(sightings(chunk, prompt, self._spec.fields), now_ms)
            # As long as that took belongs to the verdicts: in a flood they would starve.
            await asyncio.sleep(time.perf_counter() - began_s)

    async def _look_often(self, docket: Docket, board: KafkaBoard) -> None:
        asking: asyncio.Task[Assessment | str] | None = None
        about = ""
        asked_ms = _asked_ms(docket.open)
        try:
            while True:
                if asking is not None and asking.done():
                    said, asking = asking.result(), None
                    self._observer.outage_answered(said if isinstance(said, str) else "answered")
                    await self._write(board, docket.assess(about, said))
                now_ms = self._now_ms()
                await self._write(board, docket.step(now_ms))
                if docket.open is None:
                    asked_ms = 0
                    if asking is not None:
                        asking.cancel()
                        asking = None
                elif self._asker is not None and asking is None and self._is_due(docket, asked_ms):
                    assert docket.view is not None, "it has looked"
                    about, asked_ms = docket.open.incident_id, now_ms
                    asking = asyncio.create_task(self._asker.ask(docket.view))
                await self._pause(asking)
        finally:
            if asking is not None:
                asking.cancel()
                await asyncio.gather(asking, return_exceptions=True)

    def _is_due(self, docket: Docket, asked_ms: int) -> bool:
        view = docket.view
        if view is None or not view.is_going_on:
            return False
        return view.now_ms - asked_ms >= self._spec.ask_every_ms

    async def _pause(self, asking: "asyncio.Task[Assessment | str] | None") -> None:
        """Until the next look, or until there is an answer."""
        until_s = self._spec.shape.every_ms / 1000
        if asking is None:
            await asyncio.sleep(until_s)
        else:
            await asyncio.wait({asking}, timeout=until_s)

    async def _write(self, board: KafkaBoard, incident: Incident | None) -> None:
        if incident is not None:
            await board.write(incident.incident_id.encode(), encode_incident(incident))
            self._observer.incident_changed(incident)

    def _now_ms(self) -> int:
        return int(self._clock() * 1000)


def _or(offset: int | None, end: int) -> int:
    return end if offset is None else min(offset, end)


def _asked_ms(incident: Incident | None) -> int:
    if incident is None or incident.assessment is None:
        return 0
    return incident.assessment.at_ms
