"""File names that say what a file accounts for, so that the files alone say what the store holds.

    decisions/topic=payments.logs/day=2026-11-26/00003-00000000000000000120-00000000000000000480.parquet

holds all blocks of that topic and day that stand in partition 3 of the ledger topic at offsets
[120, 480). Written twice, it is the same file; what was compacted lies inside the range of what
replaced it. So nothing that a crash leaves behind can double a block, or hide one.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, date, datetime

from stream_filter.core.errors import StreamFilterError

_NAME = re.compile(
    r"(?P<kind>[a-z]+)/topic=(?P<topic>[A-Za-z0-9._-]{1,249})/day=(?P<day>\d{4}-\d\d-\d\d)/"
    r"(?P<partition>\d{5,})-(?P<first>\d{20})-(?P<next>\d{20})\.parquet"
)
_TOPIC = re.compile(r"[A-Za-z0-9._-]{1,249}")


@dataclass(frozen=True, slots=True, order=True, kw_only=True)
class Stretch:
    """What a file accounts for: of one topic and day, a range of one partition of the topic that it
    was read from."""

    kind: str
    topic: str
    day: str
    """UTC, as 2026-11-26."""
    partition: int
    first: int
    next: int

    @property
    def name(self) -> str:
        """Of its file, relative to the store."""
        return (
            f"{folder_of(self.kind, self.topic, self.day)}/"
            f"{self.partition:05d}-{self.first:020d}-{self.next:020d}.parquet"
        )

    @property
    def key(self) -> tuple[str, str, str, int]:
        """What the stretches of one account have in common."""
        return (self.kind, self.topic, self.day, self.partition)


def folder_of(kind: str, topic: str, day: str) -> str:
    """Where the files of a topic and day are."""
    return f"{kind}/topic={topic}/day={day}"


def parse_stretch(name: str) -> Stretch | None:
    """The inverse of `name`; None for a file that is none."""
    found = _NAME.fullmatch(name)
    if found is None:
        return None
    partition, first, after = (int(found[part]) for part in ("partition", "first", "next"))
    return Stretch(
        kind=found["kind"],
        topic=found["topic"],
        day=found["day"],
        partition=partition,
        first=first,
        next=after,
    )


def that_count(names: Iterable[str]) -> tuple[list[Stretch], list[Stretch]]:
    """The stretches that count, sorted, and those that lie inside another, left behind by a crash.
    Raises StreamFilterError where two overlap otherwise: two archivers were at work."""
    found = [stretch for name in names if (stretch := parse_stretch(name))]
    counting: list[Stretch] = []
    replaced: list[Stretch] = []
    for stretch in sorted(found, key=lambda s: (*s.key, s.first, -s.next)):
        last = counting[-1] if counting else None
        if last is None or last.key != stretch.key or stretch.first >= last.next:
            counting.append(stretch)
        elif stretch.next <= last.next:
            replaced.append(stretch)
        else:
            raise StreamFilterError(
                f"store: {last.name} and {stretch.name} overlap: two archivers wrote to one store; "
                "delete the second and archive again"
            )
    return counting, replaced


def day_of(at_ms: int) -> str:
    """The UTC day of a time. Raises ValueError where there is none."""
    try:
        return datetime.fromtimestamp(at_ms / 1000, UTC).date().isoformat()
    except (OverflowError, OSError) as error:
        raise ValueError(f"{at_ms} is not a time") from error


def days_before(day: str, today_ms: int) -> int:
    """How many days ago it was."""
    return (date.fromisoformat(day_of(today_ms)) - date.fromisoformat(day)).days


def is_topic_name(name: str) -> bool:
    """Whether Kafka could have such a topic: a foreign block may name anything."""
    return _TOPIC.fullmatch(name) is not None and name not in (".", "..")
