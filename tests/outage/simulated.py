"""Made outages through the watch, look by look, as the analyst does it."""

from collections.abc import Iterator
from dataclasses import dataclass

import orjson

from stream_filter.analyst.token_counts import ByLength
from stream_filter.core.canonical import canonicalize
from stream_filter.outage.looking import look
from stream_filter.outage.packing import Packed, pack
from stream_filter.outage.sighting import Shape, Sighting
from stream_filter.outage.view import View
from stream_filter.outage.watch import Watch
from stream_filter.testing.outage_kinds import OutageKind
from stream_filter.testing.outages import MadeOutage, OutageEvent, make_outage

SHAPE = Shape()
BEFORE_MIN = 70.0
MOST_TOKENS = 8_000


def event_id(number: int) -> str:
    """Of the number-th event."""
    return f"{number:032x}"


def sightings(events: tuple[OutageEvent, ...]) -> Iterator[Sighting]:
    """As the analyst would make them."""
    for number, event in enumerate(events):
        fields = orjson.loads(event.value)
        text = "{service} {level} {message}".format(**fields)
        yield Sighting(
            event_id=event_id(number),
            at_ms=event.at_ms,
            service=fields["service"],
            kind=canonicalize(text).encode(),
            text=text,
            peers=(fields["peer"],) if "peer" in fields else (),
            traces=(fields["trace_id"],),
        )


def looks(made: MadeOutage, first_ms: int, last_ms: int) -> Iterator[View]:
    """What each look between the two times shows."""
    watch = Watch(SHAPE)
    waiting = list(sightings(made.events))
    taken = 0
    for now_ms in range(first_ms, last_ms + 1, SHAPE.every_ms):
        until = taken
        while until < len(waiting) and waiting[until].at_ms <= now_ms:
            until += 1
        watch.add(waiting[taken:until], now_ms)
        taken = until
        yield look(watch, now_ms)


@dataclass(frozen=True, slots=True)
class Found:
    """What the first look that showed an excess showed of a made outage."""

    is_early: bool
    has_root: bool
    """An event of the cause is in the packed context."""
    is_onset_right: bool
    is_root_first: bool


def found(seed: int, kind: OutageKind) -> Found | None:
    """None: nothing was found."""
    made = make_outage(seed, kind, before_min=BEFORE_MIN)
    assert made.onset_ms is not None
    start_ms = made.events[0].at_ms
    first_ms = start_ms + int((BEFORE_MIN - 5.0) * 60_000)
    for view in looks(made, first_ms, made.events[-1].at_ms):
        if view.is_excess:
            assert view.onset_ms is not None
            packed = packed_view(view)
            assert packed.tokens <= MOST_TOKENS
            roots = {event_id(n) for n, event in enumerate(made.events) if event.is_root}
            return Found(
                is_early=view.now_ms < made.onset_ms,
                has_root=bool(roots & set(packed.events.values())),
                is_onset_right=abs(view.onset_ms - made.onset_ms) <= SHAPE.window_ms,
                is_root_first=view.suspects[0][0] == made.root,
            )
    return None


def packed_view(view: View) -> Packed:
    """As it would go into a prompt, but for the ids."""
    return pack(
        view,
        most_tokens=MOST_TOKENS,
        count=ByLength().count,
        ids=[f"e{number}" for number in range(2_000)],
    )


def is_quiet_seen(seed: int) -> bool:
    """Whether anything is seen in one window of noise, whenever it is looked at."""
    made = make_outage(seed, OutageKind.QUIET, before_min=BEFORE_MIN, after_min=6.0)
    first_ms = made.events[0].at_ms + int(BEFORE_MIN * 60_000)
    return any(view.is_excess for view in looks(made, first_ms, first_ms + SHAPE.window_ms))
