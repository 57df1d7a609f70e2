"""Events labelled by a pack: each counts for both classes, by its score."""

import numpy as np

from stream_filter.app.distilling import labelled_by
from stream_filter.app.labelled_events import NO_LABEL, LabelledEvents
from stream_filter.app.splits import held_out_folds

EVENTS = LabelledEvents(
    texts=["a", "b", "c"],
    codes=np.array([0, 1, 1, 2], np.int32),
    important=np.full(4, NO_LABEL, np.int8),
    weights=np.array([1.0, 2.0, 1.0, 1.0]),
    groups=np.array([0, -1, -1, -2], np.int64),
    times_s=np.array([1.0, 2.0, 3.0, np.nan]),
    slices={"source": ["x"] * 4},
    without_text=2,
    contradicted=0,
    sha256="",
)


def test_weight_is_split_by_the_score() -> None:
    """The weight of each text, and of its important part; what weighs nothing is left out."""
    found = labelled_by(np.array([1.0, 0.25, 0.5], np.float32), EVENTS)
    assert len(found.codes) == 7
    mass = np.bincount(found.codes, found.weights)
    important = np.bincount(found.codes, found.weights * (found.important == 1))
    assert mass.tolist() == [1.0, 3.0, 1.0]
    assert (important / mass).tolist() == [1.0, 0.25, 0.5]
    assert (found.weights > 0).all()
    assert (found.contradicted, found.without_text, found.slices) == (0, 2, {})


def test_an_event_keeps_its_group_and_time() -> None:
    """Both halves of an event stand on one side of every split."""
    found = labelled_by(np.array([0.5, 0.25, 0.5], np.float32), EVENTS)
    for code in range(3):
        rows, before = found.codes == code, EVENTS.codes == code
        assert set(found.groups[rows]) == set(EVENTS.groups[before])
        expected = np.concatenate([EVENTS.times_s[before]] * 2)
        assert np.array_equal(found.times_s[rows], expected, equal_nan=True)


def test_soft_labels_can_be_held_out() -> None:
    """Every text of a distillation has both classes, and is dealt to a fold."""
    texts = 12
    many = LabelledEvents(
        texts=[f"t{n}" for n in range(texts)],
        codes=np.arange(texts, dtype=np.int32),
        important=np.full(texts, NO_LABEL, np.int8),
        weights=np.ones(texts),
        groups=np.arange(texts, dtype=np.int64),
        times_s=np.full(texts, np.nan),
        slices={},
        without_text=0,
        contradicted=0,
        sha256="",
    )
    folds, _ = held_out_folds(
        labelled_by(np.linspace(0.1, 0.9, texts, dtype=np.float32), many), seed=1
    )
    assert np.sum(folds, axis=0).tolist() == [1] * (2 * texts)
