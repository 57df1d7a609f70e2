"""What an archiver has read of one partition and not yet written, sorted into files."""

from collections import defaultdict
from collections.abc import Sequence
from typing import Any, NamedTuple

import pyarrow as pa
from aiokafka import ConsumerRecord

from stream_filter.core.errors import StreamFilterError
from stream_filter.kafka.verdict_record import decode_verdict
from stream_filter.store.arrow_block import ArrowLedgerCodec
from stream_filter.store.block_facts import facts_of
from stream_filter.store.decision_file import StoredBlock, encode_file, stored
from stream_filter.store.judgement_rows import (
    Place,
    certificate_row,
    damaged_row,
    encode_rows,
    verdict_row,
)
from stream_filter.store.statement_json import decode_statement
from stream_filter.store.stretches import day_of, is_topic_name

_CODEC = ArrowLedgerCodec()


class Account(NamedTuple):
    """Whose files: of one kind, topic and day."""

    kind: str
    topic: str
    day: str


class Pending:
    """Records of one partition of a topic of blocks, verdicts or certificates."""

    def __init__(self, kind: str, source_topic: str) -> None:
        """`kind`: what the topic holds: decisions, verdicts or certificates."""
        self._kind = kind
        self._source_topic = source_topic
        self.events = 0
        """Decisions that wait here."""
        self.damaged = 0
        self._items: dict[Account, list[tuple[int, Any]]] = defaultdict(list)

    def add(self, record: ConsumerRecord) -> None:
        """Never raises for what a record holds: what cannot be read is archived as damaged."""
        place = (record.partition, record.offset, record.timestamp)
        try:
            account, item = self._read(record.value, place)
        except (StreamFilterError, ValueError) as error:
            self.damaged += 1
            account = Account("damaged", self._source_topic, _day_or_epoch(record.timestamp))
            item = damaged_row(str(error), place)
        self._items[account].append((record.offset, item))

    def _read(self, value: bytes | None, place: Place) -> tuple[Account, Any]:
        """Raises StreamFilterError or ValueError."""
        partition, offset, at_ms = place
        if self._kind == "decisions":
            block = _CODEC.decode(value or b"")
            header = block.header
            if not is_topic_name(header.topic):
                raise ValueError("a block of a topic that cannot be")
            facts = facts_of(block, place=(partition, offset), block_bytes=len(value or b""))
            account = Account("decisions", header.topic, day_of(header.decided_at_ms))
            self.events += header.rows
            return account, stored(block, facts)
        if self._kind == "verdicts":
            verdict = decode_verdict(value, offset=offset, at_ms=at_ms)
            account = Account("verdicts", self._source_topic, day_of(at_ms))
            return account, verdict_row(verdict, place)
        statement = decode_statement(value)
        if not is_topic_name(statement.topic):
            raise ValueError("a certificate of a topic that cannot be")
        account = Account("certificates", statement.topic, day_of(statement.at_ms))
        return account, certificate_row(statement, value or b"", place)

    def accounts(self) -> list[Account]:
        """Whose files there is something for."""
        return sorted(self._items)

    def file(self, account: Account, *, not_before: int) -> tuple[int, pa.Buffer] | None:
        """How many records of an account stand at offsets from there on, and the bytes of their
        file; None where there are none."""
        items: Sequence[Any] = [i for at, i in self._items[account] if at >= not_before]
        if not items:
            return None
        if account.kind == "decisions":
            blocks: list[StoredBlock] = list(items)
            return len(items), encode_file(blocks)
        return len(items), encode_rows(account.kind, items)


def _day_or_epoch(at_ms: int) -> str:
    try:
        return day_of(at_ms)
    except ValueError:
        return "1970-01-01"
