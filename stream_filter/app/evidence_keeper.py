"""The holder of the evidence: reads the ledger, takes verdicts, says what is to be saved."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from aiokafka import ConsumerRecord, TopicPartition

from stream_filter.app.saved_evidence import SavedEvidence, read_saved
from stream_filter.control.faust_evidence import Changes, VerdictRecord
from stream_filter.core.block_evidence import block_evidence
from stream_filter.core.errors import StreamFilterError
from stream_filter.core.evidence_book import EvidenceBook, Found
from stream_filter.core.ledger import Block
from stream_filter.kafka.connection import Connection
from stream_filter.kafka.errors import translate
from stream_filter.kafka.reader import TopicReader
from stream_filter.kafka.verdict_record import VerdictError, decode_verdict
from stream_filter.store.arrow_block import ArrowLedgerCodec
from stream_filter.store.msgpack_evidence import Desk

_AGAIN_S = (0.5, 10.0)


class EvidenceObserver(Protocol):
    """Told what becomes of ledger and verdicts. Returns at once."""

    def evidence_opened(self, *, term: int, pages: int, problems: Sequence[str]) -> None: ...

    def evidence_closed(self) -> None: ...

    def verdict_refused(self, position: str, cause: str, problem: str) -> None: ...

    def verdicts_lost(self, first: int, next_offset: int) -> None:
        """Retention took verdicts before they were read."""
        ...

    def evidence_counted(self, book: EvidenceBook) -> None:
        """What the evidence says now; about once a second."""
        ...

    def block_unreadable(self, position: str, problem: str) -> None: ...

    def ledger_lost(self, error: Exception) -> None:
        """The ledger cannot be read; it is tried again."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class EvidenceTopics:
    """Where ledger and verdicts are."""

    ledger: str
    verdicts: str


class EvidenceKeeper:
    """The `EvidenceHolder`. Between `open` and `close` it has a book, and reads the ledger."""

    def __init__(
        self,
        connection: Connection,
        topics: EvidenceTopics,
        *,
        key: bytes,
        observer: EvidenceObserver,
        found: Callable[[dict[str, Any], Found], None] = lambda notes, found: None,
        passed: Callable[[dict[str, Any], Block], None] = lambda notes, block: None,
    ) -> None:
        """`key`: the gate's secret. `found` is told of important events as they are found, `passed`
        of each block of the ledger, with the notes that are saved beside the evidence."""
        self._connection = connection
        self._topics = topics
        self._key = key
        self._observer = observer
        self._found = found
        self._passed = passed
        self._codec = ArrowLedgerCodec()
        self._saved: SavedEvidence | None = None
        self.book: EvidenceBook | None = None
        """None while another worker holds the evidence."""
        self.ledger_next: dict[int, int] = {}
        self.verdict_next = 0
        self.notes: dict[str, Any] = {}
        self._has_news = False
        self._reading: asyncio.Task[None] | None = None

    async def open(self, saved: Mapping[bytes, bytes]) -> None:
        """Raises BrokerError or ConfigError."""
        self.close()
        self._saved = await asyncio.to_thread(read_saved, saved)
        desk = self._saved.desk
        self.ledger_next, self.verdict_next = dict(desk.ledger_next), desk.verdict_next
        self.notes = dict(desk.notes)
        book = EvidenceBook(self._saved.pages, waiting=desk.waiting, tally=desk.tally)
        await self._catch_up(book)
        self.book, self._has_news = book, True
        self._reading = asyncio.create_task(self._follow_ledger(book))
        self._observer.evidence_opened(
            term=self._saved.term, pages=len(book.pages), problems=self._saved.problems
        )

    def take(self, records: Sequence[VerdictRecord]) -> None:
        assert self.book is not None, "held"
        self._take(self.book, records)

    def changes(self) -> Changes:
        book, saved = self.book, self._saved
        if book is None or saved is None or not self._has_news:
            return {}
        self._has_news = False
        self._observer.evidence_counted(book)
        return saved.changes(
            book,
            Desk(
                ledger_next=self.ledger_next,
                verdict_next=self.verdict_next,
                waiting=tuple(book.waiting),
                tally=book.tally,
                notes=self.notes,
            ),
        )

    @property
    def read(self) -> tuple[dict[int, int], int]:
        """How far ledger, by partition, and verdicts have been read for what the book says now:
        the first offsets that were not."""
        return dict(self.ledger_next), self.verdict_next

    def close(self) -> None:
        if self._reading is not None:
            self._reading.cancel()
            self._reading = None
        if self.book is not None:
            self.book = None
            self._observer.evidence_closed()

    def _take(self, book: EvidenceBook, records: Sequence[VerdictRecord]) -> None:
        for record in records:
            if record.offset < self.verdict_next:
                continue
            try:
                verdict = decode_verdict(
                    record.value, offset=record.offset, at_ms=record.timestamp_ms
                )
            except VerdictError as error:
                book.refuse(error.flaw)
                position = f"{self._topics.verdicts}/0/{record.offset}"
                self._observer.verdict_refused(position, error.flaw.value, str(error))
            else:
                self._tell(book.take_verdict(verdict))
            self.verdict_next = record.offset + 1
            self._has_news = True

    async def _catch_up(self, book: EvidenceBook) -> None:
        """Verdicts that came while nobody held the evidence, or were lost with who did."""
        async with TopicReader(self._connection) as reader:
            source = TopicPartition(self._topics.verdicts, 0)
            first, end = (await reader.bounds([source]))[source]
            if first > self.verdict_next > 0:
                self._observer.verdicts_lost(self.verdict_next, first)
            ranges = {source: (max(first, self.verdict_next), end)}
            async for _, records in reader.read(ranges, to_the_end=True):
                self._take(book, [VerdictRecord(r.offset, r.timestamp, r.value) for r in records])

    async def _follow_ledger(self, book: EvidenceBook) -> None:
        again_s = _AGAIN_S[0]
        while True:
            try:
                async with TopicReader(self._connection) as reader:
                    bounds = await reader.bounds(reader.partitions(self._topics.ledger))
                    starts = {
                        source: max(first, self.ledger_next.get(source.partition, 0))
                        for source, (first, _) in bounds.items()
                    }
                    async for source, records in reader.follow(starts):
                        again_s = _AGAIN_S[0]
                        await self._take_blocks(book, source, records)
            except Exception as error:  # whatever it is, the next try may do better
                self._observer.ledger_lost(translate(error, f"reading {self._topics.ledger}"))
            await asyncio.sleep(again_s)
            again_s = min(2 * again_s, _AGAIN_S[1])

    async def _take_blocks(
        self, book: EvidenceBook, source: TopicPartition, records: Sequence[ConsumerRecord]
    ) -> None:
        for record in records:
            try:
                block = self._codec.decode(record.value or b"")
            except StreamFilterError as error:
                position = f"{record.topic}/{record.partition}/{record.offset}"
                self._observer.block_unreadable(position, str(error))
            else:
                header = block.header
                facts = block_evidence(
                    block,
                    key=self._key,
                    from_offset=book.next_offset(header.topic, header.partition),
                )
                self._passed(self.notes, block)
                if facts is not None:
                    self._tell(book.take_block(facts))
                    self._has_news = True
            self.ledger_next[source.partition] = record.offset + 1
            await asyncio.sleep(0)  # the gate's batches wait for the same loop

    def _tell(self, found: Sequence[Found]) -> None:
        for each in found:
            self._found(self.notes, each)
