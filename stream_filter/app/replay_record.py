"""What a replay sent: a record of the replay topic for each of its units of work, written with what
it sent. Published in schemas/replay.schema.json."""

from collections.abc import Container, Iterable
from dataclasses import dataclass, field
from typing import Annotated

from aiokafka import ConsumerRecord
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from stream_filter.core.offset_ranges import Range
from stream_filter.kafka.reader import TopicReader

_MOST = (1 << 63) - 1
_Offset = Annotated[int, Field(ge=0, le=_MOST)]


def _ascends(offsets: tuple[Range, ...]) -> tuple[Range, ...]:
    if any(first > last for first, last in offsets):
        raise ValueError("a range ends before it begins")
    return offsets


class ReplayRecord(BaseModel):
    """Source records that were sent to another topic again, in one unit of work."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    replay_version: str = Field(default="1", pattern="^1$", description="Version of this schema.")
    replay_id: str = Field(pattern="^[0-9a-f]{16}$", description="Of the replay: one run's.")
    at_ms: int = Field(description="When this was sent, Unix milliseconds.")
    user: str = Field(description="Who asked, by the user's name on the machine: said, not proven.")
    host: str = Field(description="The machine.")
    topic: str = Field(description="The source topic.")
    partition: int = Field(ge=0, description="The source partition.")
    to_topic: str = Field(description="Where they were sent.")
    records: int = Field(ge=0, description="How many.")
    tokens: int = Field(ge=0, description="Estimated, of their values.")
    offsets: Annotated[tuple[tuple[_Offset, _Offset], ...], AfterValidator(_ascends)] = Field(
        description="Their source offsets: ranges of first and last, ascending."
    )
    where: str | None = Field(default=None, description="The condition that chose them.")
    again: bool = Field(default=False, description="Whether what was sent before was sent again.")


@dataclass(slots=True)
class ReplayLog:
    """All that the replay topic says."""

    records: list[ReplayRecord] = field(default_factory=list)
    damaged: int = 0
    """Records that are none: passed over."""

    def add(self, records: Iterable[ConsumerRecord]) -> None:
        for record in records:
            try:
                self.records.append(ReplayRecord.model_validate_json(record.value or b""))
            except ValidationError:
                self.damaged += 1

    def ranges(self, *, topic: str, partition: int, to_topics: Container[str]) -> list[Range]:
        """Ranges of offsets of a source partition that were sent to any of these topics."""
        return [
            each
            for record in self.records
            if (record.topic, record.partition) == (topic, partition)
            and record.to_topic in to_topics
            for each in record.offsets
        ]


async def read_replays(
    reader: TopicReader, replay_topic: str, *, patience_s: float | None = None
) -> ReplayLog:
    """What was committed until now; nothing where there is no such topic. With `patience_s` it
    raises BrokerError where a transaction that is open holds the end back for longer."""
    log = ReplayLog()
    if reader.has(replay_topic):
        ranges = await reader.bounds(reader.partitions(replay_topic))
        reading = (
            reader.read(ranges)
            if patience_s is None
            else reader.read(ranges, patience_s=patience_s, to_the_end=True)
        )
        async for _, records in reading:
            log.add(records)
    return log
