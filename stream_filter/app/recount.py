"""Counting a certificate's evidence again, from the ledger and the verdicts themselves."""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass

from aiokafka import TopicPartition

from stream_filter.app.settings import Settings
from stream_filter.core.block_evidence import block_evidence
from stream_filter.core.errors import StreamFilterError
from stream_filter.core.evidence import EpochEvidence
from stream_filter.core.evidence_book import EvidenceBook
from stream_filter.core.statement import Statement
from stream_filter.kafka.reader import TopicReader
from stream_filter.kafka.verdict_record import VerdictError, decode_verdict
from stream_filter.store.arrow_block import ArrowLedgerCodec

Progress = Callable[[str, int], None]
"""Told what is being read and how many records of it so far."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Recount:
    """What was read, and what the statement says otherwise."""

    blocks: int
    verdicts: int
    problems: tuple[str, ...]
    gaps: tuple[str, ...]
    """What retention has taken of the logs: a recount cannot come to the same without it."""


async def recount(statement: Statement, settings: Settings, progress: Progress) -> Recount:
    """Read both logs as far as the statement names and count with nothing else in hand. Raises
    BrokerError or ConfigError."""
    book = EvidenceBook(remembered=None)
    opened_ms = min((epoch.opened_ms for epoch in statement.evidence), default=statement.at_ms)
    async with TopicReader(settings.connection()) as reader:
        ledger = reader.partitions(settings.ledger_topic)
        bounds = await reader.bounds(ledger)
        begins = await reader.offsets_at(bounds, opened_ms)
        ranges = {}
        for source, (first, end) in bounds.items():
            until = min(end, statement.extent.ledger_next.get(source.partition, 0))
            # None: nothing was written since.
            begin = begins[source] if begins[source] is not None else until
            ranges[source] = (max(first, begin or 0), until)
        gaps = [
            f"{s.topic}/{s.partition} begins at {first}"
            for s, (first, _) in bounds.items()
            if first > 0 and ranges[s][0] == first
        ]
        blocks = await _take_blocks(reader, ranges, book, settings, progress)
        source = TopicPartition(settings.verdict_topic, 0)
        first, end = (await reader.bounds([source]))[source]
        if first > 0:
            gaps.append(f"{source.topic}/0 begins at {first}")
        until = min(end, statement.extent.verdict_next)
        verdicts = await _take_verdicts(reader, source, (first, until), book, progress)
    found = book.all_epochs(statement.topic, patience_ms=statement.extent.patience_ms)
    return Recount(
        blocks=blocks,
        verdicts=verdicts,
        problems=tuple(_differences(statement.evidence, found)),
        gaps=tuple(gaps),
    )


async def _take_blocks(
    reader: TopicReader,
    ranges: dict[TopicPartition, tuple[int, int]],
    book: EvidenceBook,
    settings: Settings,
    progress: Progress,
) -> int:
    codec, blocks = ArrowLedgerCodec(), 0
    async for source, records in reader.read(ranges):
        for record in records:
            try:
                block = codec.decode(record.value or b"")
            except StreamFilterError:
                continue
            header = block.header
            evidence = block_evidence(
                block,
                key=settings.secret_key,
                from_offset=book.next_offset(header.topic, header.partition),
            )
            if evidence is not None:
                book.take_block(evidence)
        blocks += len(records)
        progress(source.topic, blocks)
    return blocks


async def _take_verdicts(
    reader: TopicReader,
    source: TopicPartition,
    span: tuple[int, int],
    book: EvidenceBook,
    progress: Progress,
) -> int:
    verdicts = 0
    async for _, records in reader.read({source: span}):
        for record in records:
            try:
                verdict = decode_verdict(record.value, offset=record.offset, at_ms=record.timestamp)
            except VerdictError as error:
                book.refuse(error.flaw)
            else:
                book.take_verdict(verdict)
        verdicts += len(records)
        progress(source.topic, verdicts)
    return verdicts


def _differences(said: Sequence[EpochEvidence], found: Sequence[EpochEvidence]) -> list[str]:
    by_epoch = {_name(epoch): epoch for epoch in found}
    problems = []
    for epoch in said:
        again = by_epoch.get(_name(epoch))
        if again is None:
            problems.append(f"epoch {_name(epoch)}: the logs hold nothing of it")
            continue
        before, now = asdict(epoch), asdict(again)
        problems += [
            f"epoch {_name(epoch)}: {key}: stated is {before[key]}, the logs say {now[key]}"
            for key in before
            if before[key] != now[key]
        ]
    return problems


def _name(epoch: EpochEvidence) -> str:
    return f"{epoch.policy_id}/{epoch.model_id}/{epoch.opened_ms}"
