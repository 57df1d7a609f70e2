"""Made outages in noise, with known truth: what the gate would forward of a platform's logs.

Pure: the same seed and kind give the same bytes. A platform has services that depend on each
other; each says its usual lines, in clumps, at rates that wander; now and then somebody says what
nobody has said before, or repeats himself for a minute. Into that, an hour later, comes an outage,
or none.
"""

import random
from collections.abc import Iterator
from dataclasses import dataclass
from zlib import crc32

import orjson

from stream_filter.testing.outage_kinds import OutageKind
from stream_filter.testing.outage_texts import FAILURES, NAMES, SYMPTOMS, WORDS, noise_texts

_MINUTE_MS = 60_000
_LEVELS = ("ERROR", "WARN", "INFO")


@dataclass(frozen=True, slots=True, kw_only=True)
class OutageEvent:
    """A forwarded event. `value` is a JSON object; `is_root`: the cause says it."""

    at_ms: int
    value: bytes
    is_root: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class MadeOutage:
    """Events in order of time, and the truth about them."""

    kind: OutageKind
    events: tuple[OutageEvent, ...]
    services: tuple[str, ...]
    onset_ms: int | None
    """When the first sign came; None: nothing happened."""
    root: str | None
    affected: frozenset[str]


@dataclass(slots=True)
class _Platform:
    """Services, whom each depends on, and what each usually says."""

    services: tuple[str, ...]
    depends: dict[str, tuple[str, ...]]
    usual: dict[str, list[tuple[str, float]]]
    """Text and events a minute."""

    def dependents(self, root: str) -> list[tuple[str, str]]:
        """Who depends on it, and through whom, the nearest first."""
        found: dict[str, str] = {}
        front = [root]
        while front:
            through = front.pop(0)
            for service, needs in self.depends.items():
                if through in needs and service != root and service not in found:
                    found[service] = through
                    front.append(service)
        return list(found.items())


def make_outage(
    seed: int,
    kind: OutageKind,
    *,
    start_ms: int = 1_790_000_000_000,
    before_min: float = 70.0,
    after_min: float = 20.0,
) -> MadeOutage:
    """So many minutes of noise, then the outage, for as long as it lasts within `after_min`."""
    dice = random.Random(f"{seed}/{kind}")  # noqa: S311  nothing secret
    platform = _platform(dice)
    end_ms = start_ms + int((before_min + after_min) * _MINUTE_MS)
    events = list(_noise(dice, platform, start_ms, end_ms))
    onset_ms: int | None = None
    root: str | None = None
    affected: frozenset[str] = frozenset()
    if kind is not OutageKind.QUIET:
        onset_ms = start_ms + int((before_min + dice.uniform(0.0, 3.0)) * _MINUTE_MS)
        root = dice.choice([s for s in platform.services if len(platform.dependents(s)) >= 2])
        failing = list(_failing(dice, platform, kind, root, onset_ms, end_ms))
        onset_ms = min(event.at_ms for event in failing)
        affected = frozenset(str(orjson.loads(event.value)["service"]) for event in failing)
        events += failing
    return MadeOutage(
        kind=kind,
        events=tuple(sorted(events, key=lambda event: event.at_ms)),
        services=platform.services,
        onset_ms=onset_ms,
        root=root,
        affected=affected,
    )


def _platform(dice: random.Random) -> _Platform:
    services = tuple(dice.sample(NAMES, dice.randint(8, 14)))
    depends = {
        service: tuple(dice.sample(services[place + 1 :], min(len(services) - place - 1, 2)))
        for place, service in enumerate(services)
    }
    usual = {
        service: [
            (text, dice.lognormvariate(-0.9, 0.9))
            for text in noise_texts(dice, dice.randint(8, 16))
        ]
        for service in services
    }
    return _Platform(services, depends, usual)


def _noise(
    dice: random.Random, platform: _Platform, start_ms: int, end_ms: int
) -> Iterator[OutageEvent]:
    for service in platform.services:
        wander = {
            minute: dice.gammavariate(4.0, 0.25)
            for minute in range(0, (end_ms - start_ms) // _MINUTE_MS + 6, 5)
        }
        for text, per_minute in platform.usual[service]:
            at_ms = float(start_ms)
            while True:
                minute = int(at_ms - start_ms) // _MINUTE_MS
                rate = max(0.02, per_minute * wander[minute - minute % 5] / 1.5)
                at_ms += dice.expovariate(rate) * _MINUTE_MS
                if at_ms >= end_ms:
                    break
                while True:
                    yield _usual_event(dice, platform, int(at_ms), service, text)
                    if dice.random() > 0.33:  # a clump of 1.5 on the average
                        break
                    at_ms += dice.expovariate(1.0) * 400
    at_ms = float(start_ms)
    while (at_ms := at_ms + dice.expovariate(0.6) * _MINUTE_MS) < end_ms:
        service = dice.choice(platform.services)
        (text,) = noise_texts(dice, 1)
        for _ in range(dice.choice((1, 1, 1, 1, 2, 3))):
            later_ms = int(at_ms + dice.random() * 20_000)
            if later_ms < end_ms:
                yield _usual_event(dice, platform, later_ms, service, text)
    at_ms = float(start_ms)
    while (at_ms := at_ms + dice.expovariate(0.1) * _MINUTE_MS) < end_ms:
        service = dice.choice(platform.services)
        text = dice.choice(platform.usual[service])[0]
        for _ in range(dice.randint(5, 15)):
            later_ms = int(at_ms + dice.random() * 45_000)
            if later_ms < end_ms:
                yield _usual_event(dice, platform, later_ms, service, text)


def _usual_event(
    dice: random.Random, platform: _Platform, at_ms: int, service: str, text: str
) -> OutageEvent:
    peers = platform.depends[service]
    peer = dice.choice(peers) if peers and dice.random() < 0.15 else None
    return _event(dice, at_ms, service, text, peer=peer)


def _failing(
    dice: random.Random,
    platform: _Platform,
    kind: OutageKind,
    root: str,
    onset_ms: int,
    end_ms: int,
) -> Iterator[OutageEvent]:
    texts = dice.choice(FAILURES[kind])
    traces: list[tuple[int, str]] = []
    root_rate = dice.uniform(4.0, 20.0)
    for at_ms in _times(dice, kind, root_rate, onset_ms, end_ms):
        event = _event(dice, at_ms, root, dice.choice(texts), is_root=True)
        traces.append((at_ms, orjson.loads(event.value)["trace_id"]))
        yield event
    dependents = platform.dependents(root)
    most = {OutageKind.ROOT: 1, OutageKind.SLOW_LEAK: 3, OutageKind.DEPLOY: 3}.get(kind, 6)
    delay_ms = 10 * _MINUTE_MS if kind is OutageKind.SLOW_LEAK else 0
    begins = {root: onset_ms + delay_ms}
    for service, through in dependents[:most]:
        if through not in begins:
            continue
        begins[service] = begins[through] + int(dice.uniform(10_000, 60_000))
        loud = dice.uniform(2.0, 5.0) if kind is OutageKind.ROOT else dice.uniform(8.0, 40.0)
        shape = OutageKind.ROOT if kind is OutageKind.SLOW_LEAK else kind
        said = dice.sample(SYMPTOMS, 3)
        for at_ms in _times(dice, shape, loud, begins[service], end_ms):
            known = [trace for then_ms, trace in traces if 0 <= at_ms - then_ms < 20_000]
            trace = dice.choice(known) if known and dice.random() < 0.5 else None
            peer = through if dice.random() < 0.7 else None
            text = dice.choice(said).replace("{peer}", through)
            yield _event(dice, at_ms, service, text, peer=peer, trace=trace)


def _times(
    dice: random.Random, kind: OutageKind, per_minute: float, begin_ms: int, end_ms: int
) -> Iterator[int]:
    """Poisson, on and off where it flaps, from nothing to all where it leaks."""
    at_ms, on_ms, off_ms = float(begin_ms), dice.uniform(30, 60) * 1e3, dice.uniform(60, 120) * 1e3
    full_ms = 15.0 * _MINUTE_MS
    first = True
    while at_ms < end_ms:
        since_ms = at_ms - begin_ms
        if kind is OutageKind.FLAPPING:
            says = since_ms % (on_ms + off_ms) < on_ms
        elif kind is OutageKind.SLOW_LEAK:
            says = dice.random() < since_ms / full_ms
        else:
            says = True
        if says or first:
            yield int(at_ms)
            first = False
        at_ms += dice.expovariate(per_minute) * _MINUTE_MS


def _event(
    dice: random.Random,
    at_ms: int,
    service: str,
    text: str,
    *,
    peer: str | None = None,
    trace: str | None = None,
    is_root: bool = False,
) -> OutageEvent:
    fields: dict[str, str] = {
        "service": service,
        # Of a line of code, so the same whenever it speaks.
        "level": _LEVELS[crc32(text.encode()) % len(_LEVELS)],
        "message": _filled(dice, text),
        "trace_id": trace or f"{dice.getrandbits(64):016x}",
    }
    if peer is not None:
        fields["peer"] = peer
    return OutageEvent(at_ms=at_ms, value=orjson.dumps(fields), is_root=is_root)


def _filled(dice: random.Random, text: str) -> str:
    while "{n}" in text:
        text = text.replace("{n}", str(dice.randint(1, 99_999)), 1)
    while "{word}" in text:
        text = text.replace("{word}", dice.choice(WORDS), 1)
    return text
