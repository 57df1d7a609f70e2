"""The sending of a replay: records are read back in order and go on a unit of work at a time."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence

import numpy as np
from aiokafka import ConsumerRecord, TopicPartition

from stream_filter.app.release_budget import Origin, ReleaseBudget, tokens_of
from stream_filter.app.replay_plan import Chosen, ReplayOrder, ReplayReport
from stream_filter.app.replay_record import ReplayRecord
from stream_filter.app.settings import Settings
from stream_filter.core.offset_ranges import ranges_of
from stream_filter.gate.batch import Emission
from stream_filter.gate.emitting import record_size
from stream_filter.gate.headers import SF_REPLAY, SF_REPLAY_AT, SF_REPLAY_BY, Stamp
from stream_filter.kafka.reader import TopicReader
from stream_filter.kafka.replay_sender import ReplaySender

_MOST_AT_ONCE = 500
_MOST_BYTES_AT_ONCE = 4 << 20
_HEADER_BYTES = 400
"""Of a replay's own headers, at the most."""
_GAP = 2_000
"""Offsets nearer than that are read as one range: cheaper than asking again."""
_PAUSE_S = 0.5


class ReplaySending:
    """One replay, from what is left of it to the end. Writes what becomes of it into `report`."""

    def __init__(
        self,
        order: ReplayOrder,
        settings: Settings,
        reader: TopicReader,
        sender: ReplaySender,
        budget: ReleaseBudget | None,
        size_limit: int,
        report: ReplayReport,
    ) -> None:
        """`size_limit`: of a record of the target, in bytes."""
        self._order = order
        self._settings = settings
        self._reader = reader
        self._sender = sender
        self._budget = budget
        self._size_limit = size_limit
        self._report = report
        self._origin = Origin(order.topic, order.to_topic)
        self._most = min(_MOST_AT_ONCE, max(1, int(order.rate or _MOST_AT_ONCE)))
        self._began_s = time.monotonic()
        self._left = 0

    def is_own(self, headers: Mapping[str, bytes | None]) -> bool:
        """Whether a record of the target is of this replay."""
        return headers.get(SF_REPLAY) == self._order.replay_id.encode()

    async def run(
        self, chosen: Sequence[Chosen], progress: Callable[[ReplayReport, int], None]
    ) -> None:
        """Send them. Raises BrokerError: what was committed until then is recorded."""
        self._began_s = time.monotonic()
        self._left = sum(len(each.offsets) for each in chosen)
        for each in chosen:
            source = TopicPartition(self._order.topic, each.partition)
            async for records in self._read(source, each):
                await self._send(source, each, records)
                progress(self._report, self._left)
            if not self._room:
                break
        self._report.beyond_limit = self._left

    @property
    def _room(self) -> int:
        """How many more may be sent."""
        limit = self._order.limit
        return self._left if limit is None else limit - self._report.sent

    async def _read(
        self, source: TopicPartition, chosen: Chosen
    ) -> AsyncIterator[list[ConsumerRecord]]:
        """The records that may go now, some at a time, until all are read or no more may go."""
        waiting: list[ConsumerRecord] = []
        size = 0
        for first, last in ranges_of(chosen.offsets, gap=_GAP):
            inside = slice(*np.searchsorted(chosen.offsets, [first, last + 1]))
            missing = set(chosen.offsets[inside].tolist())
            async for _, records in self._reader.read({source: (first, last + 1)}, to_the_end=True):
                for record in records:
                    if record.offset not in missing:
                        continue
                    missing.remove(record.offset)
                    if not self._fits_ever(record):
                        self._pass_over(self._report.too_large, source, [record.offset])
                        continue
                    while not self._fits_now(record):
                        if waiting:
                            yield waiting
                            waiting, size = [], 0
                        await asyncio.sleep(_PAUSE_S)
                    waiting.append(record)
                    size += record_size(record)
                    most = min(self._most, self._room)
                    if len(waiting) >= most or size >= _MOST_BYTES_AT_ONCE:
                        yield waiting
                        waiting, size = [], 0
                        if not self._room:
                            return
            self._pass_over(self._report.gone, source, sorted(missing))
        if waiting:
            yield waiting

    def _fits_ever(self, record: ConsumerRecord) -> bool:
        if record_size(record) + _HEADER_BYTES > self._size_limit:
            return False
        return self._budget is None or not self._budget.never_fits(self._origin, record.value)

    def _fits_now(self, record: ConsumerRecord) -> bool:
        now_ms = int(time.time() * 1000)
        return self._budget is None or self._budget.fits(self._origin, record.value, now_ms)

    def _pass_over(
        self, said: dict[int, list[int]], source: TopicPartition, offsets: list[int]
    ) -> None:
        if offsets:
            said.setdefault(source.partition, []).extend(offsets)
            self._left -= len(offsets)

    async def _send(
        self, source: TopicPartition, chosen: Chosen, records: Sequence[ConsumerRecord]
    ) -> None:
        now_ms = int(time.time() * 1000)
        emissions = self._emissions(source, chosen, records, now_ms)
        order = self._order
        account = ReplayRecord(
            replay_id=order.replay_id,
            at_ms=now_ms,
            user=order.user,
            host=order.host,
            topic=source.topic,
            partition=source.partition,
            to_topic=order.to_topic,
            records=len(records),
            tokens=sum(tokens_of(record.value) for record in records),
            offsets=tuple(ranges_of(np.array([record.offset for record in records], np.int64))),
            where=order.where,
            again=order.again,
        )
        await self._sender.send(
            source,
            emissions,
            Emission(
                topic=self._settings.replay_topic,
                key=source.topic.encode(),
                value=account.model_dump_json().encode(),
                timestamp_ms=now_ms,
                headers=[],
            ),
        )
        self._report.sent += len(records)
        self._left -= len(records)
        if order.rate is not None and self._room:
            due_s = self._began_s + self._report.sent / order.rate
            await asyncio.sleep(max(0.0, due_s - time.monotonic()))

    def _emissions(
        self,
        source: TopicPartition,
        chosen: Chosen,
        records: Sequence[ConsumerRecord],
        now_ms: int,
    ) -> list[Emission]:
        """As the gate would have sent them, and who asked for them when."""
        order = self._order
        asked = [
            (SF_REPLAY, order.replay_id.encode()),
            (SF_REPLAY_BY, f"{order.user}@{order.host}".encode()[: _HEADER_BYTES // 2]),
            (SF_REPLAY_AT, b"%d" % now_ms),
        ]
        emissions = []
        rows = np.searchsorted(chosen.offsets, [record.offset for record in records]).tolist()
        stamps: dict[tuple[str, str], Stamp] = {}
        for record, row in zip(records, rows, strict=True):
            decided = (chosen.policy_id.at(row), chosen.model_id.at(row))
            stamp = stamps.get(decided)
            if stamp is None:
                stamp = stamps[decided] = Stamp(
                    topic=source.topic,
                    partition=source.partition,
                    key=self._settings.secret_key,
                    policy_id=decided[0],
                    model_id=decided[1],
                    rule_labels=chosen.rule.labels,
                )
            added = stamp.forwarded(
                record.offset,
                int(chosen.reason[row]),
                int(chosen.verdict[row]),
                float(chosen.score[row]),
                int(chosen.rule.codes[row]),
            )
            headers = [*record.headers, *added, *asked]
            emissions.append(
                Emission(order.to_topic, record.key, record.value, record.timestamp, headers)
            )
        return emissions
