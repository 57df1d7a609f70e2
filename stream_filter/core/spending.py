"""What a partition spent of its budget, and what it may still spend on whom.

The present cuts a limit's window into twelve slots. A slot may spend what the twelve before it
left of the limit, so no window holds more, wherever it begins. Of that, a record takes only what
is not kept free for others that are likely to come before the window is over: for records worth
more, as many as came in the last window, and for what goes on whatever the budget says (the
holdout), as many and three standard deviations. These are protection levels as in revenue
management (K. Littlewood, 1972): towards the end of a window, what nobody better came for is
spent on what is there.
"""

import zlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from stream_filter.core.budget import Limit, Unit
from stream_filter.core.entry import Entry, check_entry
from stream_filter.core.worth import LEVELS

SLOTS = 12
_CERTAIN_DEVIATIONS = 3.0
_UNKNOWN_SHARE = 0.25
"""Of a window in which nothing was read, this part is kept free for the holdout."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Share:
    """A partition's part of a limit."""

    limit: Limit
    amount: int

    @property
    def slot_ms(self) -> int:
        return self.limit.window_ms // SLOTS

    @property
    def key(self) -> int:
        """What is spent of it is remembered under this, whatever the amount."""
        limit = self.limit
        target = 0 if limit.target is None else zlib.crc32(limit.target.encode())
        return target << 32 | limit.window_ms << 1 | (limit.unit is Unit.TOKENS)


@dataclass(frozen=True, slots=True, kw_only=True)
class Wishes:
    """What n records of a batch ask of a budget. Arrays have shape (n,)."""

    times_ms: NDArray[np.int64]
    """The partition's clock at each record, ascending."""
    order: NDArray[np.intp]
    """Indices of the records, the most worth first."""
    levels: NDArray[np.int64]
    is_asking: NDArray[np.bool_]
    """Goes on only if the budget has room."""
    is_certain: NDArray[np.bool_]
    """Goes on whatever the budget says, and is charged to it. May ask all the same."""
    costs: Mapping[Limit, NDArray[np.int64]]
    """What each record takes of a limit; 0 where it does not concern it."""


@dataclass(slots=True)
class _Slot:
    """What came in a slot."""

    spent: int = 0
    certain: int = 0
    """Of it, what no budget could refuse."""
    demand: NDArray[np.int64] = field(default_factory=lambda: np.zeros(LEVELS, np.int64))
    """What was asked for, by level, shape (LEVELS,)."""


class Spending:
    """What was spent and asked for lately, by limit. A part of the partition's memory."""

    kind = "spending"
    columns = ("spent", "certain", *(f"demand_{level}" for level in range(LEVELS)))

    def __init__(self) -> None:
        self._slots: dict[tuple[int, int], _Slot] = {}
        self._changed: set[tuple[int, int]] = set()

    def __len__(self) -> int:
        return len(self._slots)

    def spend(
        self, shares: Sequence[Share], wishes: Wishes, *, is_fenced: bool
    ) -> NDArray[np.bool_]:
        """Which of the asking records fit into every share, shape (n,). They are charged, and so
        is what is certain.

        `is_fenced`: room is kept for records that are certain; without, none are expected.
        """
        fits = np.zeros(wishes.is_asking.shape, np.bool_)
        counted = wishes.order[(wishes.is_asking | wishes.is_certain)[wishes.order]]
        if not len(counted):
            return fits
        finest_ms = min(share.slot_ms for share in shares)
        slots = wishes.times_ms[counted] // finest_ms
        # By slot; stable, so that the rows of one stay in the order of their worth.
        by_slot = np.argsort(slots, kind="stable")
        counted, slots = counted[by_slot], slots[by_slot]
        for rows in np.split(counted, np.flatnonzero(np.diff(slots)) + 1):
            fits[rows] = self._spend(shares, wishes, rows, is_fenced=is_fenced)
        self._forget(int(wishes.times_ms[-1]))
        return fits

    def charge(self, shares: Sequence[Share], costs: Mapping[Limit, int], *, at_ms: int) -> None:
        """Charge what goes on whatever the budget says."""
        for share in shares:
            slot = self._slot(share, at_ms)
            slot.spent += costs[share.limit]
            slot.certain += costs[share.limit]

    def _spend(
        self,
        shares: Sequence[Share],
        wishes: Wishes,
        rows: NDArray[np.intp],
        *,
        is_fenced: bool,
    ) -> NDArray[np.bool_]:
        """As `spend`, for rows of one slot, the most worth first."""
        at_ms = int(wishes.times_ms[rows].max())
        asks, certain = wishes.is_asking[rows], wishes.is_certain[rows]
        levels = wishes.levels[rows]
        fits = asks.copy()
        for share in shares:
            cost = wishes.costs[share.limit][rows]
            slot = self._slot(share, at_ms)
            # What alone is more than the limit never goes: nothing is kept free for it.
            wanted = np.where(asks & (cost <= share.amount), cost, 0)
            slot.demand += np.bincount(levels, wanted, LEVELS).astype(np.int64)
            only_certain = int(cost[certain & ~asks].sum())
            slot.spent += only_certain
            slot.certain += only_certain
            room = self._room(share, at_ms, is_fenced=is_fenced)[levels]
            fits &= (cost <= room) | (cost == 0)
            fits &= (np.cumsum(np.where(fits, cost, 0)) <= room) | (cost == 0)
        for share in shares:
            cost = wishes.costs[share.limit][rows]
            slot = self._slot(share, at_ms)
            slot.spent += int(cost[fits | (certain & asks)].sum())
            slot.certain += int(cost[certain & asks & ~fits].sum())
        return fits

    def _room(self, share: Share, at_ms: int, *, is_fenced: bool) -> NDArray[np.int64]:
        """What records of each level may take now, shape (LEVELS,)."""
        slot_ms = share.slot_ms
        start_ms = at_ms // slot_ms * slot_ms
        starts = range(start_ms - SLOTS * slot_ms, start_ms + 1, slot_ms)
        found = [self._slots.get((share.key, start)) for start in starts]
        known = [slot for slot in found if slot is not None]
        # The windows that hold this slot: of the one that ends `ahead` slots later, spent so far.
        spent = np.array([slot.spent if slot else 0 for slot in found])[::-1].cumsum()[::-1]
        ahead = (np.arange(SLOTS + 1) + (start_ms + slot_ms - at_ms) / slot_ms) / (SLOTS + 1)
        demand = np.sum([slot.demand for slot in known], axis=0)
        better = demand.sum() - demand.cumsum()
        kept_free = np.floor(ahead[:, None] * better)
        if is_fenced:
            certain = sum(slot.certain for slot in known) * ahead
            unknown = _UNKNOWN_SHARE * share.amount * (1 - len(known) / len(found)) * ahead
            fence = certain + _CERTAIN_DEVIATIONS * np.sqrt(certain) + unknown
            kept_free += np.floor(np.minimum(fence, np.maximum(certain, share.amount / 2)))[:, None]
        room = share.amount - (spent[:, None] + kept_free).max(axis=0)
        return np.asarray(room, np.int64)

    def _slot(self, share: Share, at_ms: int) -> _Slot:
        place = (share.key, at_ms // share.slot_ms * share.slot_ms)
        self._changed.add(place)
        return self._slots.setdefault(place, _Slot())

    def _forget(self, now_ms: int) -> None:
        """What lies too far back to count, also of limits that are none any more."""
        for key, start_ms in list(self._slots):
            window_ms = (key & 0xFFFFFFFF) >> 1
            if start_ms + window_ms + window_ms // SLOTS <= now_ms:
                del self._slots[key, start_ms]
                self._changed.add((key, start_ms))

    def changes(self) -> list[Entry]:
        found = [self._entry(place) for place in sorted(self._changed)]
        self._changed.clear()
        return found

    def everything(self) -> list[Entry]:
        return [self._entry(place) for place in self._slots]

    def apply(self, entries: Iterable[Entry]) -> None:
        for entry in entries:
            check_entry(entry, len(self.columns))
            if min(entry.numbers, default=0) < 0:
                raise ValueError("something spent is negative")
            if not entry.numbers:
                self._slots.pop((entry.key, entry.at), None)
                continue
            spent, certain, *demand = entry.numbers
            self._slots[entry.key, entry.at] = _Slot(spent, certain, np.array(demand, np.int64))

    def _entry(self, place: tuple[int, int]) -> Entry:
        slot = self._slots.get(place)
        if slot is None:
            return Entry(*place, ())
        return Entry(*place, (slot.spent, slot.certain, *slot.demand.tolist()))
