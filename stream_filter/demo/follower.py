"""Reads what gate and analyst wrote, as anybody could: the ledger, what was forwarded, verdicts."""

import math
import time
from collections import deque
from dataclasses import dataclass

import orjson
from aiokafka import ConsumerRecord

from stream_filter.app.settings import Settings
from stream_filter.core.position import Position, parse_position
from stream_filter.demo.judging import Judging
from stream_filter.demo.scoreboard import Scoreboard
from stream_filter.gate.headers import SF_ID, SF_REASON, SF_SCORE, SF_SOURCE
from stream_filter.kafka.reader import TopicReader
from stream_filter.store.arrow_block import ArrowLedgerCodec

_REMEMBERED = 40


@dataclass(frozen=True, slots=True, kw_only=True)
class LogLine:
    """An event of the demo's stream, as a person reads it."""

    time: str
    service: str
    level: str
    message: str

    def __str__(self) -> str:
        return f"{self.service} {self.level} {self.message}"


def read_line(payload: bytes) -> LogLine:
    """The inverse of what the generator writes."""
    fields = orjson.loads(payload)
    return LogLine(
        time=fields["ts"][11:19],
        service=fields["service"],
        level=fields["level"],
        message=fields["message"],
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Forwarded:
    """An event on the analysis topic."""

    source: Position
    line: LogLine
    reason: str
    score: float
    """NaN where there is none."""


class Follower:
    """Follows ledger, analysis topic and verdicts, tells scoreboard and judging, remembers the last
    few."""

    def __init__(
        self,
        settings: Settings,
        *,
        source: str,
        analysis: str,
        scoreboard: Scoreboard,
        judging: Judging,
    ) -> None:
        self._settings = settings
        self._source = source
        self._analysis = analysis
        self._scoreboard = scoreboard
        self._judging = judging
        self._codec = ArrowLedgerCodec()
        self._seen: set[tuple[int, int]] = set()
        self.last: deque[Forwarded] = deque(maxlen=_REMEMBERED)
        self.examples: dict[tuple[str, str], LogLine] = {}
        """By kind and reason, the first such event on the analysis topic."""
        self.delivery: str | None = None
        """As the ledger's blocks say; None before the first."""
        self.model_id = ""
        self.first_at_s: float | None = None
        """When the first forwarded event was seen, on the monotonic clock."""

    @property
    def forwarded(self) -> int:
        """Events seen on the analysis topic, repeats not counted."""
        return len(self._seen)

    async def run(self) -> None:
        """Follow without end. Raises BrokerError or StreamFilterError."""
        async with TopicReader(self._settings.connection()) as reader:
            ledger = reader.partitions(self._settings.ledger_topic)
            targets = reader.partitions(self._analysis)
            verdicts = reader.partitions(self._settings.verdict_topic)
            starts = dict.fromkeys([*ledger, *targets, *verdicts], 0)
            async for source, records in reader.follow(starts):
                for record in records:
                    if source.topic == self._analysis:
                        self._take_forwarded(record)
                    elif source.topic == self._settings.verdict_topic:
                        self._judging.verdict(record.value or b"")
                    else:
                        self._take_block(record.value or b"")

    def _take_block(self, value: bytes) -> None:
        block = self._codec.decode(value)
        if block.header.topic != self._source:
            return
        self.delivery, self.model_id = block.header.delivery, block.header.model_id
        self._scoreboard.decide(block.header.partition, block.offsets, block.decisions)

    def _take_forwarded(self, record: ConsumerRecord) -> None:
        headers = dict(record.headers)
        source = parse_position(headers[SF_SOURCE].decode())
        if (source.partition, source.offset) in self._seen:
            return
        if self.first_at_s is None:
            self.first_at_s = time.monotonic()
        self._seen.add((source.partition, source.offset))
        self._judging.forwarded(headers[SF_ID].decode(), (source.partition, source.offset))
        score = headers.get(SF_SCORE)
        forwarded = Forwarded(
            source=source,
            line=read_line(record.value),
            reason=headers[SF_REASON].decode(),
            score=float(score) if score else math.nan,
        )
        self.last.append(forwarded)
        kind = self._scoreboard.kind_at(source.partition, source.offset)
        if kind:
            self.examples.setdefault((kind[0], forwarded.reason), forwarded.line)
