"""The two signs of drift that need no verdict: how scores are spread, and how much of the stream
has a text that was never seen before. Signs, not proofs: they see what changes in the stream at
large, and nothing of a change in the important events alone.

A stream under one entry of the policy and one pack is cut into windows of time. The first is what
the scores of the later ones are compared with, and its texts are the first that are known. A
text is new in the window in which it first came and in the next one, so that there is a whole
window in which what is new counts as new; the third window says how much that is when nothing is
wrong.
"""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from stream_filter.core.drift import novelty_growth, score_histogram, spread_shift
from stream_filter.core.ledger import Block

LEAST_EVENTS = 1_000
"""A window with fewer goes on: of fewer, chance alone explains most of what one sees."""
KNOWN_TEXTS = 1_000
"""Of more texts, a sample by digest is remembered: the half with the smaller digests, again and
again. Then the share of the sampled is meant for all."""
_BINS = 20
_CHANCE = 1e-4
"""That a window of independent events is further off than it is, by what is stated."""
_ALL = (1 << 64) - 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Passing:
    """What of a block the signs are read from."""

    at_ms: int
    scores: NDArray[np.int64]
    """Histogram, shape (20,)."""
    texts: NDArray[np.uint64]
    """Digests of its distinct texts, shape (t,), ascending."""
    events: NDArray[np.int64]
    """How many events have each of them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Readings:
    """Lower bounds: so much has changed, chance apart. From 0 to 1."""

    score_shift: float = 0.0
    """Total variation distance of the scores from those of the first window."""
    novelty_growth: float = 0.0
    """By how much the share of events with new texts has grown."""

    def or_more(self, other: "Readings") -> "Readings":
        return Readings(
            score_shift=max(self.score_shift, other.score_shift),
            novelty_growth=max(self.novelty_growth, other.novelty_growth),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class SignState:
    """Where the watch of one topic stands."""

    opened_ms: int = 0
    """When the window began; 0 before the first event."""
    window: int = 0
    """How many have ended."""
    scores: tuple[int, ...] = (0,) * _BINS
    texts: int = 0
    """Events of the window, of sampled texts."""
    novel: int = 0
    """Of these, those with a new text."""
    usual_scores: tuple[int, ...] = ()
    usual_texts: int = 0
    usual_novel: int = 0
    ended: Readings = Readings()
    """Of the last window that ended."""
    known: bytes = b""
    """Digests of texts that came before the last window, ascending, 8 bytes each."""
    recent: bytes = b""
    """Of those that came in the last window first."""
    fresh: bytes = b""
    """And of those that came in this one."""
    up_to: int = _ALL
    """Texts with digests up to this are sampled."""

    @property
    def readings(self) -> Readings:
        """Of the last window and of the one that goes on, whichever is further off."""
        return self._reading().or_more(self.ended)

    def _reading(self) -> Readings:
        return Readings(
            score_shift=spread_shift(self.usual_scores, self.scores, failure_probability=_CHANCE)
            if self.window > 0 and any(self.scores) and any(self.usual_scores)
            else 0.0,
            novelty_growth=novelty_growth(
                reference_novel=self.usual_novel,
                reference_events=self.usual_texts,
                novel=self.novel,
                events=self.texts,
                failure_probability=_CHANCE,
            )
            if self.window > 2 and self.texts and self.usual_texts
            else 0.0,
        )


def passing(block: Block) -> Passing:
    """Read a block."""
    digests = block.text_digests[block.text_digests != 0]
    texts, events = np.unique(digests, return_counts=True)
    return Passing(
        at_ms=block.header.decided_at_ms,
        scores=score_histogram(block.decisions.score, bins=_BINS),
        texts=texts,
        events=events,
    )


def watch_signs(state: SignState, seen: Passing, *, window_ms: int) -> SignState:
    """The state after one more block."""
    if not state.opened_ms:
        state = replace(state, opened_ms=seen.at_ms)
    is_over = seen.at_ms - state.opened_ms >= window_ms and sum(state.scores) >= LEAST_EVENTS
    if is_over:
        state = _next_window(state, seen.at_ms)
    known, recent, fresh = map(_digests, (state.known, state.recent, state.fresh))
    sampled = seen.texts <= np.uint64(state.up_to)
    texts, events = seen.texts[sampled], seen.events[sampled]
    is_new = ~_among(texts, known)
    fresh = np.union1d(fresh, texts[is_new & ~_among(texts, recent)])
    up_to = state.up_to
    while len(known) + len(recent) + len(fresh) > KNOWN_TEXTS:
        up_to //= 2
        known, recent, fresh = (x[x <= np.uint64(up_to)] for x in (known, recent, fresh))
    return replace(
        state,
        scores=tuple((seen.scores + state.scores).tolist()),
        texts=state.texts + int(events.sum()),
        novel=state.novel + int(events[is_new].sum()),
        known=known.tobytes(),
        recent=recent.tobytes(),
        fresh=fresh.tobytes(),
        up_to=up_to,
    )


def _next_window(state: SignState, at_ms: int) -> SignState:
    return SignState(
        opened_ms=at_ms,
        window=state.window + 1,
        usual_scores=state.usual_scores if state.window else state.scores,
        usual_texts=state.texts if state.window == 2 else state.usual_texts,
        usual_novel=state.novel if state.window == 2 else state.usual_novel,
        ended=state._reading(),
        known=np.union1d(_digests(state.known), _digests(state.recent)).tobytes(),
        recent=state.fresh,
        up_to=state.up_to,
    )


def _digests(data: bytes) -> NDArray[np.uint64]:
    return np.frombuffer(data, np.uint64)


def _among(values: NDArray[np.uint64], known: NDArray[np.uint64]) -> NDArray[np.bool_]:
    """Which values (shape (n,)) are among the known, which ascend."""
    if not len(known):
        return np.zeros(values.shape, np.bool_)
    at = np.minimum(np.searchsorted(known, values), len(known) - 1)
    is_known: NDArray[np.bool_] = known[at] == values
    return is_known
