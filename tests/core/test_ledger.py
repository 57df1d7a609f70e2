"""Which blocks of a ledger count."""

from dataclasses import dataclass, field
from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from stream_filter.core.ledger import Span, effective_chain


@dataclass
class Worker:
    """A partition's account as at-least-once workers write it: blocks first, commits after."""

    committed: int = 0
    written: int = 0
    spans: list[Span] = field(default_factory=list)

    def write(self, size: int) -> None:
        """One more block after the last one of this life."""
        self.spans.append(Span(self.written, self.written + size, len(self.spans)))
        self.written += size

    def crash(self) -> None:
        """The next life begins where the last commit stands."""
        self.written = self.committed


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("write"), st.integers(1, 9)),
        st.tuples(st.just("commit"), st.integers(0, 2)),
        st.tuples(st.just("crash"), st.just(0)),
    ),
    max_size=60,
)


def lived(steps: list[tuple[str, int]]) -> Worker:
    worker = Worker()
    life: list[Span] = []
    for step, number in steps:
        if step == "write":
            worker.write(number)
            life.append(worker.spans[-1])
        elif step == "commit" and life:
            span = life[-1 - min(number, len(life) - 1)]
            worker.committed = max(worker.committed, span.next)
        elif step == "crash":
            worker.crash()
            life = []
    return worker


@settings(max_examples=250, deadline=None)
@given(STEPS)
def test_at_least_once(steps: list[tuple[str, int]]) -> None:
    """However often workers crash between writing and committing, and whatever borders their
    batches have, the chain covers every committed offset once, without gap or overlap."""
    worker = lived(steps)
    chain = effective_chain(worker.spans)
    for before, after in pairwise(chain):
        assert before.next == after.first
    if worker.spans:
        assert chain[0].first == 0
        assert chain[-1].next >= worker.committed


@given(STEPS)
def test_order_of_reading_does_not_matter(steps: list[tuple[str, int]]) -> None:
    """The chain is a function of the blocks, not of the order in which they are listed."""
    spans = lived(steps).spans
    assert effective_chain(reversed(spans)) == effective_chain(spans)


@given(st.integers(0, 100), st.lists(st.integers(1, 9), max_size=40))
def test_exactly_once(start: int, sizes: list[int]) -> None:
    """Where no block repeats an offset, every block counts."""
    spans, at = [], start
    for sequence, size in enumerate(sizes):
        spans.append(Span(at, at + size, sequence))
        at += size
    assert effective_chain(spans) == spans


def test_later_repeat_counts() -> None:
    """Of two equal blocks the one written last counts: it is the one that was committed."""
    spans = [Span(0, 10, 0), Span(0, 10, 1), Span(10, 12, 2)]
    assert effective_chain(spans) == [Span(0, 10, 1), Span(10, 12, 2)]


def test_other_borders_after_a_crash() -> None:
    """The blocks from which the account goes on count, whatever was written before the crash."""
    lost = [Span(0, 10, 0), Span(10, 20, 1)]
    again = [Span(0, 15, 2), Span(15, 30, 3)]
    assert effective_chain(lost + again) == again


def test_gap_stays_visible() -> None:
    """A block beyond a gap is kept, so that the gap can be seen."""
    assert effective_chain([Span(0, 5, 0), Span(7, 9, 1)]) == [Span(0, 5, 0), Span(7, 9, 1)]


def test_nothing() -> None:
    """No blocks, no chain."""
    assert effective_chain([]) == []
