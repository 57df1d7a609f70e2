"""A scout is fitted from nothing, or from where another one is."""

import numpy as np

from stream_filter.models.manifest import Affine
from stream_filter.models.ngrams import Hashing
from stream_filter.models.scout import Scout
from stream_filter.models.scout_fitting import FittedScout, fit_scout, ngrams_of

HASHING = Hashing(shortest=2, longest=4, bits=12)
TEXTS = ("disk broken", "order lost", "page rendered", "item sold")
IMPORTANT = np.array([1.0, 1.0, 0.0, 0.0])


def fitted(texts: tuple[str, ...], important: list[float], **more: object) -> FittedScout:
    """With a strength of 1."""
    settings = {"buckets": HASHING.buckets, "strength": 1.0} | more
    weights = np.ones(len(texts))
    return fit_scout(ngrams_of(texts, HASHING), np.array(important), weights, **settings)  # type: ignore[arg-type]


def other() -> Scout:
    """Knows of leaks, and nothing of disks."""
    found = fitted(("water leak found", "water clear"), [1.0, 0.0])
    return Scout(found.weights, found.rarities, HASHING, Affine(method="none"))


def says(scout: FittedScout, text: str) -> float:
    return float(scout.read([text], HASHING, 128).logits[0]) - scout.offset


def test_a_start_is_kept_where_no_label_speaks() -> None:
    """What the other scout alone knows counts as with it; what labels say is learned beside it."""
    plain = fitted(TEXTS, [1, 1, 0, 0])
    begun = fitted(TEXTS, [1, 1, 0, 0], start=other().products)
    leak, clear = "water leak found", "water clear"
    assert says(begun, leak) - says(plain, leak) > 0.1
    assert says(begun, clear) - says(plain, clear) < -0.1
    assert says(begun, "disk broken") > 0.0 > says(begun, "item sold")


def test_labels_win_over_a_start() -> None:
    """A start that says the opposite is given up where the labels say so, the more the freer the
    weights may move."""
    wrong = fitted(TEXTS, [0, 0, 1, 1])
    start = Scout(wrong.weights, wrong.rarities, HASHING, Affine(method="none")).products
    stiff = fitted(TEXTS, [1, 1, 0, 0], start=start, strength=0.001)
    free = fitted(TEXTS, [1, 1, 0, 0], start=start, strength=100.0)
    assert says(stiff, "disk broken") < 0.0 < says(free, "disk broken")


def test_a_start_that_says_nothing_changes_nothing() -> None:
    """Byte by byte."""
    plain = fitted(TEXTS, [1, 1, 0, 0])
    begun = fitted(TEXTS, [1, 1, 0, 0], start=np.zeros(HASHING.buckets))
    assert plain.weights.tobytes() == begun.weights.tobytes()
    assert plain.rarities.tobytes() == begun.rarities.tobytes()
