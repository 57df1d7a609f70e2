"""Evidence survives its holder: whatever was saved when it died, the next one counts the same."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stream_filter.app.saved_evidence import SavedEvidence, read_saved
from stream_filter.core.block_evidence import BlockEvidence, StratumKey
from stream_filter.core.epochs import Epoch
from stream_filter.core.evidence import EpochEvidence
from stream_filter.core.evidence_book import EvidenceBook, Tally
from stream_filter.core.oracle import Flaw, Judge, OracleVerdict
from stream_filter.store.msgpack_evidence import Desk

EPOCH = Epoch(topic="logs", policy_id="p", model_id="m", opened_ms=0, closes_ms=10**12)
KEPT = StratumKey(False, 1.0, "")
HELD_OUT = StratumKey(True, 0.1, "")
MODEL, PERSON = Judge("llm", False), Judge("ann", True)
EVENTS = 6
"""In each block: two forwarded, one held out, three dropped."""


def event_id(number: int) -> bytes:
    return number.to_bytes(16, "big")


def block(partition: int, number: int) -> BlockEvidence:
    shown = [(partition * 1000 + number) * 10 + k for k in range(3)]
    return BlockEvidence(
        epoch=EPOCH,
        partition=partition,
        offsets=(number * EVENTS, (number + 1) * EVENTS),
        at_ms=number * 1000,
        strata=(KEPT, HELD_OUT),
        events=np.array([2, 4]),
        folded=np.array([0, 0]),
        ids=np.frombuffer(b"".join(map(event_id, shown)), np.uint8).reshape(-1, 16),
        stratum=np.array([0, 0, 1], np.int16),
        score=np.array([0.9, 0.5, 0.1], np.float32),
    )


def verdict(
    event: int, offset: int, judge: Judge = MODEL, *, important: bool = True
) -> OracleVerdict:
    return OracleVerdict(
        event_id=event_id(event),
        important=important,
        judge=judge,
        offset=offset,
        at_ms=offset,
        tokens=7,
    )


BLOCKS = [[block(partition, number) for number in range(6)] for partition in range(2)]
SHOWN = [(p * 1000 + n) * 10 + k for p in range(2) for n in range(6) for k in range(3)]
FORGED = 999_999
VERDICTS = [
    verdict(event, offset, judge, important=(event + offset) % 3 == 0)
    for offset, (event, judge) in enumerate(
        [
            *((event, MODEL) for event in SHOWN),
            *((event, PERSON) for event in SHOWN[::4]),
            *((event, MODEL) for event in SHOWN[::5]),
            *((FORGED, MODEL) for _ in range(3)),
        ]
    )
]


@dataclass
class Holder:
    """As the keeper does it, with logs in memory."""

    table: dict[bytes, bytes] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.open()

    def open(self) -> None:
        self.saved: SavedEvidence = read_saved(self.table)
        desk = self.saved.desk
        self.book = EvidenceBook(self.saved.pages, waiting=desk.waiting, tally=desk.tally)
        self.ledger_next = dict(desk.ledger_next)
        self.verdict_next = desk.verdict_next

    def read_block(self, partition: int) -> None:
        at = self.ledger_next.get(partition, 0)
        if at < len(BLOCKS[partition]):
            found = BLOCKS[partition][at]
            if found.offsets[0] >= self.book.next_offset("logs", partition):
                self.book.take_block(found)
            self.ledger_next[partition] = at + 1

    def read_verdict(self) -> None:
        if self.verdict_next < len(VERDICTS):
            self.book.take_verdict(VERDICTS[self.verdict_next])
            self.verdict_next += 1

    def changes(self) -> list[tuple[bytes, bytes | None]]:
        desk = Desk(
            ledger_next=self.ledger_next,
            verdict_next=self.verdict_next,
            waiting=tuple(self.book.waiting),
            tally=self.book.tally,
            notes={},
        )
        return list(self.saved.changes(self.book, desk).items())

    def save(self, first: int | None = None) -> None:
        """All that changed, or only the `first` records of it: then the holder died."""
        for key, value in self.changes()[:first]:
            if value is None:
                self.table.pop(key, None)
            else:
                self.table[key] = value

    def finish(self) -> None:
        for partition in range(2):
            for _ in BLOCKS[partition]:
                self.read_block(partition)
        for _ in VERDICTS:
            self.read_verdict()


def stated(book: EvidenceBook) -> tuple[list[EpochEvidence], Tally]:
    return book.epochs("logs", "p", "m", patience_ms=10**9), book.tally


@pytest.fixture(scope="module")
def undisturbed() -> tuple[list[EpochEvidence], Tally]:
    holder = Holder()
    holder.finish()
    return stated(holder.book)


STEPS = st.lists(
    st.one_of(
        st.sampled_from(["block 0", "block 1", "verdict", "save"]),
        st.integers(0, 4).map(lambda first: f"die {first}"),
    ),
    max_size=60,
)


@given(steps=STEPS)
@settings(max_examples=150, deadline=None)
def test_whatever_was_saved_the_counts_are_the_same(
    steps: Sequence[str], undisturbed: tuple[list[EpochEvidence], Tally]
) -> None:
    """Logs read in any order, saved at any moment or in part, holders that die: in the end the
    evidence, and what became of each verdict, are those of a holder whom nothing happened to."""
    holder = Holder()
    for step in steps:
        what, _, number = step.partition(" ")
        if what == "block":
            holder.read_block(int(number))
        elif what == "verdict":
            holder.read_verdict()
        elif what == "save":
            holder.save()
        else:
            holder.save(int(number))
            holder.open()
    holder.finish()
    assert stated(holder.book) == undisturbed
    holder.save()
    assert stated(Holder(holder.table).book) == undisturbed


def test_undisturbed_counts_are_those_of_the_logs(
    undisturbed: tuple[list[EpochEvidence], Tally],
) -> None:
    """What the property compares with is right: every event, people over models, repeats once."""
    (evidence,), tally = undisturbed
    said: dict[bytes, bool] = {}
    for judge in (MODEL, PERSON):
        for each in reversed([v for v in VERDICTS if v.judge == judge]):
            said[each.event_id] = each.important
    (dropped,), (forwarded,) = evidence.dropped, evidence.forwarded
    of = {key: [e for i, e in enumerate(SHOWN) if (i % 3 == 2) == key] for key in (False, True)}
    assert (dropped.events, dropped.shown, dropped.judged) == (48, 12, 12)
    assert (forwarded.events, forwarded.shown, forwarded.judged) == (24, 24, 24)
    assert dropped.important == sum(said[event_id(e)] for e in of[True])
    assert forwarded.important == sum(said[event_id(e)] for e in of[False])
    repeats = len(SHOWN[::5])
    assert tally.flaws == {Flaw.DUPLICATE: repeats, Flaw.UNKNOWN: 3}
    assert (evidence.opened_ms, evidence.watermark_ms) == (0, 5_001)
    assert tally.counted == len(VERDICTS) - repeats - 3
    assert tally.judges[MODEL].tokens == 7 * sum(v.judge == MODEL for v in VERDICTS)


def test_a_holder_that_was_cut_off_does_no_harm(
    undisturbed: tuple[list[EpochEvidence], Tally],
) -> None:
    """One that goes on to save after another has taken over, pages and all, changes nothing."""
    old = Holder()
    for _ in range(3):
        old.read_block(0)
        old.read_verdict()
    old.save()
    new = Holder(old.table)
    new.finish()
    new.save()
    for _ in range(2):
        old.read_block(0)
        old.read_block(1)
        old.read_verdict()
    old.save()
    after = Holder(new.table)
    after.finish()
    assert stated(after.book) == undisturbed


def test_what_is_damaged_is_named_and_read_again(
    undisturbed: tuple[list[EpochEvidence], Tally],
) -> None:
    """A page that cannot be read, a key that is none: said, and the rest is used."""
    holder = Holder()
    holder.finish()
    holder.save()
    page = next(key for key in holder.table if b"page" in key)
    holder.table |= {page: b"\x93", b"nonsense": b"", b"7/shelf": b""}
    saved = read_saved(holder.table)
    assert len(saved.problems) == 3
    assert saved.desk.verdict_next == len(VERDICTS)


def test_what_was_seen_for_certain_is_no_draw_of_the_holdout() -> None:
    """In shadow mode or after a fall, would-be drops are all seen: the drift watch, which knows
    the holdout's chance only, is told of those that were drawn, and of what was forwarded."""
    book = EvidenceBook()
    seen = StratumKey(True, 1.0, "")
    sure = replace(block(0, 0), strata=(KEPT, seen), events=np.array([2, 1]))
    book.take_block(sure)
    book.take_block(block(0, 1))
    told = [
        found.is_drop
        for offset, event in enumerate([0, 1, 2, 10, 11, 12])
        for found in book.take_verdict(verdict(event, offset))
    ]
    assert told == [False, False, False, False, True]
    (evidence,) = book.epochs("logs", "p", "m", patience_ms=10**9)
    assert sum(stratum.important for stratum in evidence.dropped) == 2, "and counted all the same"


def test_what_was_forwarded_without_a_pack_is_nobodys_merit() -> None:
    """Paused or degraded, everything is forwarded: no certificate may come of that, nor fall when
    it is over. Verdicts on such events are known all the same."""
    book = EvidenceBook()
    book.take_block(replace(block(0, 0), epoch=replace(EPOCH, model_id="")))
    book.take_block(block(0, 1))
    book.take_verdict(verdict(0, 0))
    assert book.tally.counted == 1
    assert [epoch.model_id for epoch in book.all_epochs("logs", patience_ms=0)] == ["m"]


def test_an_epoch_begins_with_its_first_event() -> None:
    """Epochs follow each other at fixed times. Where the first event comes long after, the pace,
    and with it the forecast, is counted from that event."""
    book = EvidenceBook()
    epoch = replace(EPOCH, opened_ms=0, closes_ms=10**9)
    for number in range(2):
        book.take_block(replace(block(0, number), epoch=epoch, at_ms=9_000_000 + number * 1000))
    (evidence,) = book.all_epochs("logs", patience_ms=0)
    assert (evidence.opened_ms, evidence.watermark_ms) == (9_000_000, 9_001_001)


def test_old_epochs_are_dropped_once_closed() -> None:
    """Of a topic the last two epochs are kept; late verdicts count until an epoch closes."""
    book = EvidenceBook()
    for number in range(4):
        epoch = replace(EPOCH, opened_ms=number * 1000, closes_ms=number * 1000 + 1500)
        book.take_block(replace(block(0, number), epoch=epoch))
    assert sorted(page.epoch.opened_ms for page in book.pages.values()) == [1000, 2000, 3000]
    book.take_verdict(replace(verdict(10, 0), at_ms=2501))
    assert book.tally.flaws == {Flaw.LATE: 1}
    book.take_verdict(replace(verdict(10, 1), at_ms=2500))
    assert book.tally.counted == 1
