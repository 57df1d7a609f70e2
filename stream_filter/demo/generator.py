"""The demo's event stream: a believable platform's logs, with known truth and a storyline.

Pure: no clock and no global randomness. The same seed and the same sequence of
calls give the same bytes.
"""

import random
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import accumulate
from typing import Final, TypeAlias

import orjson

from stream_filter.demo.platform import (
    POOL_SIZE,
    SERVICES,
    SLOTS,
    TEMPLATES,
    Family,
    Template,
)

_POOL_MASK: Final = POOL_SIZE - 1
_HOSTS_PER_SERVICE: Final = 8

Shares: TypeAlias = tuple[tuple[Family, float], ...]

CALM: Final[Shares] = (("routine", 0.895), ("noise", 0.09), ("important", 0.015))
"""Shares of the families when nothing is going on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """A stretch of the timeline, `starts` and `ends` in fractions of its duration.

    `rate_factor` says how much more traffic than usual there is; `shares` are
    the families' shares of it and sum to 1.
    """

    name: str
    starts: float
    ends: float
    rate_factor: float
    shares: Shares


def _calm(name: str, starts: float, ends: float) -> Scenario:
    return Scenario(name=name, starts=starts, ends=ends, rate_factor=1.0, shares=CALM)


TIMELINE: Final = (
    _calm("calm", 0.0, 0.20),
    Scenario(
        name="burst",
        starts=0.20,
        ends=0.30,
        rate_factor=4.0,
        shares=(("routine", 0.85), ("noise", 0.14), ("important", 0.01)),
    ),
    _calm("calm", 0.30, 0.45),
    Scenario(
        name="bad_deploy",
        starts=0.45,
        ends=0.60,
        rate_factor=1.3,
        shares=(
            ("routine", 0.74),
            ("noise", 0.14),
            ("important", 0.02),
            ("deploy", 0.06),
            ("cascade", 0.04),
        ),
    ),
    _calm("recovery", 0.60, 0.75),
    Scenario(
        name="unseen_failure",
        starts=0.75,
        ends=0.90,
        rate_factor=1.0,
        shares=(("routine", 0.875), ("noise", 0.09), ("important", 0.015), ("unseen", 0.02)),
    ),
    _calm("calm", 0.90, 1.0),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class GeneratedEvent:
    """One record to produce, and the truth about it, which the record does not contain.

    `value` is a JSON object in UTF-8, `key` names the host; `kind` is the
    template's name, for people and tests.
    """

    value: bytes
    key: bytes
    important: bool
    kind: str


def scenario_at(fraction: float) -> Scenario:
    """What happens at that fraction of the timeline; before 0 and after 1, its ends."""
    for scenario in TIMELINE:
        if fraction < scenario.ends:
            return scenario
    return TIMELINE[-1]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Mix:
    """The templates of a scenario with their cumulative weights, ready for `random.choices`."""

    templates: tuple[Template, ...]
    cumulative: tuple[float, ...]


def _mix(scenario: Scenario) -> _Mix:
    templates: list[Template] = []
    weights: list[float] = []
    for family, share in scenario.shares:
        total = sum(template.weight for template in TEMPLATES[family])
        for template in TEMPLATES[family]:
            templates.append(template)
            weights.append(share * template.weight / total)
    return _Mix(templates=tuple(templates), cumulative=tuple(accumulate(weights)))


class PlatformStream:
    """A platform's log stream over `duration_s` seconds from `start_ms` (UTC, milliseconds).

    Stateful: each call of `events` goes on where the last one stopped. Not
    thread-safe.
    """

    def __init__(self, seed: int, start_ms: int, duration_s: float) -> None:
        if duration_s <= 0:
            raise ValueError("duration_s must be positive")
        self._start_ms = start_ms
        self._duration_s = duration_s
        self._rng = random.Random(seed)
        pools = random.Random(seed ^ 0x5F)
        self._pools = {
            name: tuple(draw(pools) for _ in range(POOL_SIZE)) for name, draw in SLOTS.items()
        }
        self._hosts = {
            service: tuple(f"{service}-{n}" for n in range(_HOSTS_PER_SERVICE))
            for service in SERVICES
        }
        self._mixes = {id(scenario): _mix(scenario) for scenario in TIMELINE}

    def scenario(self, at_s: float) -> Scenario:
        """What happens `at_s` seconds after the start; its `rate_factor` is for the caller."""
        return scenario_at(at_s / self._duration_s)

    def events(self, at_s: float, count: int) -> list[GeneratedEvent]:
        """The next `count` events, all of the instant `at_s` seconds after the start.

        Events of one call carry one timestamp: for smooth time, ask often for few.
        """
        if count <= 0:
            return []
        rng = self._rng
        mix = self._mixes[id(self.scenario(at_s))]
        chosen = rng.choices(mix.templates, cum_weights=mix.cumulative, k=count)
        ids = rng.randbytes(24 * count).hex()
        moment = datetime.fromtimestamp((self._start_ms + int(at_s * 1000)) / 1000, tz=UTC)
        ts = moment.strftime("%Y-%m-%dT%H:%M:%S.") + f"{moment.microsecond // 1000:03d}Z"
        pools, hosts = self._pools, self._hosts
        events = []
        for index, template in enumerate(chosen):
            bits = rng.getrandbits(96)
            host = hosts[template.service][bits & (_HOSTS_PER_SERVICE - 1)]
            latency_ms = int(pools["ms"][(bits >> 3) & _POOL_MASK])
            values = []
            for position, slot in enumerate(template.slots):
                values.append(pools[slot][(bits >> (13 + 11 * position)) & _POOL_MASK])
            value = orjson.dumps(
                {
                    "ts": ts,
                    "service": template.service,
                    "level": template.level,
                    "message": template.text % tuple(values),
                    "host": host,
                    "peer": template.peer(values),
                    "trace_id": ids[index * 48 : index * 48 + 32],
                    "event_id": ids[index * 48 + 32 : index * 48 + 48],
                    "latency_ms": latency_ms,
                }
            )
            events.append(
                GeneratedEvent(
                    value=value,
                    key=host.encode(),
                    important=template.important,
                    kind=template.kind,
                )
            )
        return events
