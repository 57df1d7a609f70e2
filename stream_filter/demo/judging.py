"""What the analyst said of what was forwarded, held against the truth."""

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import orjson

Place = tuple[int, int]
"""Partition and offset in the source topic."""
KindAt = Callable[[int, int], tuple[str, bool] | None]
"""By place, an event's kind and whether it is important; None while nobody knows."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """The analyst's work at one moment. Each event counts once."""

    given: int
    """Events with a verdict."""
    waiting: int
    """Forwarded, and neither given nor refused."""
    refused: int
    """Events that the analyst has given up on: no verdict, with a cause."""
    causes: Mapping[str, int]
    tokens: int
    spent: float
    """As the verdicts say, in the currency of the price."""
    compared: int
    """Events with a verdict of which the truth is known."""
    agreed: int

    @property
    def agreement(self) -> float | None:
        """Of verdicts with the truth, in [0, 1]."""
        return self.agreed / self.compared if self.compared else None

    @property
    def read(self) -> int:
        """Events that the analyst is done with."""
        return self.given + self.refused


class Judging:
    """Joins forwarded events, verdicts and truth, in whichever order they come."""

    def __init__(self, kind_at: KindAt) -> None:
        self._kind_at = kind_at
        self._places: dict[str, Place] = {}
        self._judged: set[str] = set()
        self._uncompared: dict[str, bool] = {}
        self._causes: Counter[str] = Counter()
        self._given = self._compared = self._agreed = self._tokens = 0
        self._spent = 0.0

    def forwarded(self, event_id: str, place: Place) -> None:
        """An event on the analysis topic."""
        self._places[event_id] = place

    def verdict(self, value: bytes) -> None:
        """A record of the verdict topic. Money counts each time, an event's first verdict only."""
        said: dict[str, Any] = orjson.loads(value)
        self._tokens += said["tokens"]
        self._spent += said["cost"]
        event_id = said["sf-id"]
        if event_id in self._judged:
            return
        self._judged.add(event_id)
        if said["important"] is None:
            self._causes[said["cause"]] += 1
        else:
            self._given += 1
            self._uncompared[event_id] = said["important"]

    def standing(self) -> Judged:
        """The state now."""
        for event_id, important in list(self._uncompared.items()):
            place = self._places.get(event_id)
            kind = self._kind_at(*place) if place else None
            if kind is not None:
                self._compared += 1
                self._agreed += kind[1] is important
                del self._uncompared[event_id]
        return Judged(
            given=self._given,
            waiting=len(self._places.keys() - self._judged),
            refused=self._causes.total(),
            causes=dict(self._causes.most_common()),
            tokens=self._tokens,
            spent=self._spent,
            compared=self._compared,
            agreed=self._agreed,
        )
