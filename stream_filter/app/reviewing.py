"""A person's turn: which events to show, in which order, and what is said of them, until it is
sent."""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import blake2b

import orjson

from stream_filter.app.settings import Settings
from stream_filter.core.judging import Opinions
from stream_filter.core.oracle import Flaw, Judge
from stream_filter.gate.headers import SF_FOLD, SF_ID, SF_SOURCE
from stream_filter.kafka.reader import TopicReader
from stream_filter.kafka.topic_writer import TopicWriter
from stream_filter.kafka.verdict_record import (
    VerdictError,
    VerdictModel,
    decode_verdict,
)

UNSURE = "unsure"
"""Cause of no verdict where a person cannot tell."""
_UNDO = 20
"""So many of the last answers wait to be sent, and can be taken back."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ShownEvent:
    """An event as a person sees it: without what the gate and other judges say."""

    event_id: str
    source: str
    """Where it stood: topic/partition/offset."""
    at_ms: int
    value: bytes
    before: bytes | None = None
    """The event forwarded before it from the same source partition, for context."""


@dataclass(slots=True)
class ReviewStock:
    """What there is to review, and what was said already."""

    events: list[ShownEvent]
    opinions: Opinions
    done: set[str]
    """Events that this reviewer has answered, unsure ones included."""


def is_for_people(event_id: str, share: float) -> bool:
    """Whether an event belongs to the share that people are shown: the same for every reviewer."""
    return _draw(event_id) < share


async def read_stock(
    settings: Settings, topics: Sequence[str], *, reviewer: str, share: float
) -> ReviewStock:
    """All that there is now, in an order that is the same for all and says nothing. Raises
    BrokerError or ConfigError."""
    events: dict[str, ShownEvent] = {}
    last: dict[str, bytes] = {}
    stock = ReviewStock(events=[], opinions=Opinions(), done=set())
    async with TopicReader(settings.connection()) as reader:
        for topic in topics:
            bounds = await reader.bounds(reader.partitions(topic))
            async for _, records in reader.read(bounds):
                for record in records:
                    headers = dict(record.headers)
                    event_id = (headers.get(SF_ID) or b"").decode("ascii", "replace")
                    if not event_id or SF_FOLD in headers or event_id in events:
                        continue
                    source = (headers.get(SF_SOURCE) or b"").decode("utf-8", "replace")
                    partition = source.rpartition("/")[0]
                    if is_for_people(event_id, share):
                        events[event_id] = ShownEvent(
                            event_id=event_id,
                            source=source,
                            at_ms=record.timestamp,
                            value=record.value or b"",
                            before=last.get(partition),
                        )
                    last[partition] = record.value or b""
        bounds = await reader.bounds(reader.partitions(settings.verdict_topic))
        async for _, records in reader.read(bounds):
            for record in records:
                _take_verdict(stock, record.value, reviewer)
    stock.events = sorted(events.values(), key=lambda event: _draw(event.event_id))
    return stock


def _take_verdict(stock: ReviewStock, value: bytes | None, reviewer: str) -> None:
    try:
        verdict = decode_verdict(value, offset=0, at_ms=0)
    except VerdictError as error:
        if error.flaw is Flaw.NO_VERDICT:
            said = VerdictModel.model_validate_json(value or b"")
            if said.judge.kind == "person" and said.judge.name == reviewer:
                stock.done.add(said.sf_id)
        return
    event_id = verdict.event_id.hex()
    stock.opinions.take(verdict.judge, event_id, verdict.important)
    if verdict.judge == Judge(reviewer, True):
        stock.done.add(event_id)


class Review:
    """One reviewer's way through the stock. The last answers wait, so that they can be taken back;
    `close` sends them."""

    def __init__(self, stock: ReviewStock, writer: TopicWriter, *, reviewer: str) -> None:
        self._writer = writer
        self._reviewer = reviewer
        self.stock = stock
        self._to_show = deque(e for e in stock.events if e.event_id not in stock.done)
        self._waiting: deque[tuple[ShownEvent, bool | None, float]] = deque()
        self.answered = 0
        """In this sitting."""

    @property
    def next(self) -> ShownEvent | None:
        """What is to be shown now; None at the end."""
        return self._to_show[0] if self._to_show else None

    @property
    def left(self) -> int:
        return len(self._to_show)

    async def answer(self, important: bool | None, *, seconds: float) -> None:
        """Of the event shown; None: unsure. Raises BrokerError or ConfigError."""
        self._waiting.append((self._to_show.popleft(), important, seconds))
        self.answered += 1
        while len(self._waiting) > _UNDO:
            await self._send()

    def undo(self) -> bool:
        """Take the last answer back, and show its event again; whether there was one."""
        if not self._waiting:
            return False
        event, _, _ = self._waiting.pop()
        self._to_show.appendleft(event)
        self.answered -= 1
        return True

    async def close(self) -> None:
        """Send what waits. Raises BrokerError or ConfigError."""
        while self._waiting:
            await self._send()

    async def _send(self) -> None:
        event, important, seconds = self._waiting[0]
        record = {
            "sf-id": event.event_id,
            "important": important,
            "judge": {"name": self._reviewer, "kind": "person"},
            "seconds": round(seconds, 1),
            **({"cause": UNSURE} if important is None else {}),
        }
        await self._writer.write(event.event_id.encode(), orjson.dumps(record))
        self._waiting.popleft()
        if important is not None:
            self.stock.opinions.take(Judge(self._reviewer, True), event.event_id, important)


def _draw(event_id: str) -> float:
    digest = blake2b(f"people/{event_id}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") / 2.0**64
