"""A scout that is taught knows the kinds of texts that it was taught, and its cost is measured on
texts that it was not; no lesson costs more than it may."""

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from stream_filter.app.labelled_events import LabelledEvents
from stream_filter.app.scout_training import TrainedScout, train_scout
from stream_filter.app.splits import held_out_folds
from stream_filter.app.teaching import Lesson, Teacher, rehearsed, taught_scout
from stream_filter.app.unlabelled_texts import UnlabelledTexts

KINDS = 40
PER_KIND = 6
MOST_LOSS = 0.005


def word(seed: int) -> str:
    """Seven letters."""
    return "".join(chr(97 + letter) for letter in np.random.default_rng(seed).integers(0, 26, 7))


def text(kind: int, one: int) -> str:
    """Of a kind's texts, each has the kind's words and one of its own."""
    return f"{word(kind)} {word(kind + 100)} {word(1000 + kind * 50 + one)} {word(kind + 200)}"


def is_important(kind: int) -> bool:
    return kind % 4 == 0


def truth(texts: Sequence[str]) -> NDArray[np.float32]:
    """What an SLM would say that is always right: a kind is known by its first word."""
    kinds = {word(kind): is_important(kind) for kind in range(2 * KINDS)}
    return np.array([0.9 if kinds[each.split()[0]] else 0.1 for each in texts], np.float32)


def labelled() -> LabelledEvents:
    texts = [text(kind, one) for kind in range(KINDS) for one in range(PER_KIND)]
    kinds = np.repeat(np.arange(KINDS), PER_KIND)
    return LabelledEvents(
        texts=texts,
        codes=np.arange(len(texts), dtype=np.int32),
        important=(kinds % 4 == 0).astype(np.int8),
        weights=np.ones(len(texts)),
        groups=~kinds.astype(np.int64),
        times_s=np.full(len(texts), np.nan),
        slices={},
        without_text=0,
        contradicted=0,
        sha256="",
    )


@pytest.fixture(scope="module")
def events() -> LabelledEvents:
    """Forty kinds, a quarter of them important, each held out whole."""
    return labelled()


@pytest.fixture(scope="module")
def scout(events: LabelledEvents) -> TrainedScout:
    """Of labels alone."""
    return train_scout(events, recall=0.99, seed=1, seconds=60.0, clock_s=lambda: 0.0)


def teacher(
    events: LabelledEvents,
    says: Callable[[Sequence[str]], NDArray[np.float32]] = truth,
    texts_per_s: float = 1e6,
) -> Teacher:
    return Teacher(
        score=says,
        texts_per_s=texts_per_s,
        folds=held_out_folds(events, seed=1)[0],
        scores=says(events.texts)[events.codes].astype(np.float64),
    )


def lesson(texts: Sequence[str], **changes: object) -> Lesson:
    given = UnlabelledTexts(
        texts=list(texts), events=len(texts), without_text=0, labelled=0, sha256="0" * 64
    )
    return replace(Lesson(unlabelled=given, seed=1, until_s=100.0, clock_s=lambda: 0.0), **changes)


NEW = [text(kind, one) for kind in range(KINDS, 2 * KINDS) for one in range(PER_KIND)]


def test_what_was_taught_is_not_new(events: LabelledEvents, scout: TrainedScout) -> None:
    """Kinds that nobody labelled are new to the scout; taught, it says of their texts, also of
    others than those taught, what its teacher says. What labels said of other kinds still holds."""
    taught, notes = taught_scout(
        events, scout, teacher(events), lesson(NEW), unseen=0.2, most_loss=MOST_LOSS
    )
    assert taught is not None, notes
    others = [text(kind, PER_KIND) for kind in range(2 * KINDS)]
    before, after = (each.scout().read(NEW).unseen for each in (scout, taught.scout))
    assert before.min() > 0.2
    assert after.max() == 0
    assert taught.scout.scout().read(others).unseen.max() < before.min()
    said = taught.scout.scout().score([*NEW, *others, *events.texts])
    right = truth([*NEW, *others, *events.texts]) > 0.5
    assert said[right].min() > said[~right].max()
    assert taught.facts.texts == len(NEW)
    assert taught.unseen <= 0.2
    assert f"{len(NEW):,} of {len(NEW):,} distinct texts" in notes[-1]


def test_the_cost_is_that_of_texts_that_were_not_taught(
    events: LabelledEvents, scout: TrainedScout
) -> None:
    """In a rehearsal every held-out text is read by a twin to which its kind is known, but its own
    words are new: each text has words that no other has."""
    found = rehearsed(events, scout.held_out, teacher(events), seed=1)
    assert found.tested.all()
    assert found.unseen.min() > 0
    # A kind may stand on one side with all of its texts.
    assert np.mean(found.unseen < scout.held_out.unseen.min()) > 0.9
    important = events.important == 1
    assert found.logits[important].min() > found.logits[~important].max()


def test_what_repeats_is_read_as_taught(events: LabelledEvents, scout: TrainedScout) -> None:
    """A rehearsal halves the events, not their texts: of texts that come often, nothing is new."""
    often = 12
    many = replace(
        events,
        codes=np.tile(events.codes, often),
        important=np.tile(events.important, often),
        weights=np.ones(len(events.codes) * often),
        groups=np.tile(events.groups, often),
        times_s=np.full(len(events.codes) * often, np.nan),
    )
    twice = replace(
        scout.held_out,
        tested=np.tile(scout.held_out.tested, often),
        logits=np.tile(scout.held_out.logits, often),
        unseen=np.tile(scout.held_out.unseen, often),
    )
    found = rehearsed(many, twice, teacher(many), seed=1)
    assert np.mean(found.unseen == 0) > 0.99


def test_a_scout_that_cannot_follow_is_not_taught(
    events: LabelledEvents, scout: TrainedScout
) -> None:
    """Where the SLM is right for reasons that n-grams of other texts do not show, teaching would
    cost too much: the scout stays as it was, and the reason is told."""
    pairs = [f"{word(one)} comes after {word(other)}" for one in range(12) for other in range(12)]
    coin = dict(zip(pairs, np.random.default_rng(3).random(len(pairs)) < 0.4, strict=True))
    unruly = replace(
        events,
        texts=pairs,
        codes=np.arange(len(pairs), dtype=np.int32),
        important=np.array(list(coin.values()), np.int8),
        weights=np.ones(len(pairs)),
        groups=np.arange(len(pairs), dtype=np.int64),
        times_s=np.full(len(pairs), np.nan),
    )

    def says(texts: Sequence[str]) -> NDArray[np.float32]:
        return np.array([coin[each] for each in texts], np.float32)

    taught, notes = taught_scout(
        unruly, scout, teacher(unruly, says), lesson(NEW), unseen=0.2, most_loss=MOST_LOSS
    )
    assert taught is None
    assert "would lose 0." in notes[-1]


@pytest.mark.parametrize(
    ("texts", "unseen", "changes", "said"),
    [
        ([text(0, 0), text(1, 0)], 0.05, {}, "all of their texts have labels"),
        (NEW, 0.0, {}, "the SLM reads every text"),
        (NEW, 0.2, {"until_s": -1.0}, "the time was up"),
    ],
    ids=["nothing new", "no band", "no time"],
)
def test_why_a_scout_is_not_taught(
    events: LabelledEvents,
    scout: TrainedScout,
    texts: list[str],
    unseen: float,
    changes: dict[str, object],
    said: str,
) -> None:
    """Never silently: each reason is told."""
    taught, notes = taught_scout(
        events,
        scout,
        teacher(events),
        lesson(texts, **changes),
        unseen=unseen,
        most_loss=MOST_LOSS,
    )
    assert taught is None
    assert said in notes[-1]


def test_what_time_allows_is_taught(events: LabelledEvents, scout: TrainedScout) -> None:
    """An SLM that reads ten texts in the time that is left teaches ten, and it is told."""
    slow = teacher(events, texts_per_s=0.1)
    taught, notes = taught_scout(events, scout, slow, lesson(NEW), unseen=0.2, most_loss=MOST_LOSS)
    assert taught is not None
    assert taught.facts.texts == 10
    assert "the time was up before more" in notes[-1]


def test_same_seed_same_scout(events: LabelledEvents, scout: TrainedScout) -> None:
    """Taught again, every weight is the same."""
    weights = []
    for _ in range(2):
        taught, _ = taught_scout(
            events, scout, teacher(events), lesson(NEW), unseen=0.2, most_loss=MOST_LOSS
        )
        assert taught is not None
        weights.append(taught.scout.fitted.weights.tobytes())
    assert weights[0] == weights[1]
