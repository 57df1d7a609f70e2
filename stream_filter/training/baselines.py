"""What an honest evaluation sets beside a pack: n-grams and a frozen encoder, each with a linear
model. Each text is scored by a model that has not seen the texts held out with it."""

import warnings
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.exceptions import ConvergenceWarning
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression

Floats = NDArray[np.float64]
_STEPS = 1000


def ngram_scores(
    texts: Sequence[str], important: Floats, held_out: Iterable[NDArray[np.bool_]]
) -> Floats:
    """Character n-grams (2 to 5, within words), TF-IDF, logistic regression. All of shape (texts,):
    `important` the share of a text's events that are; each of `held_out` is True at texts that a
    model of all others scores. 0 where a text is never held out."""

    def features(trains: NDArray[np.bool_]) -> Any:
        vectorizer = TfidfVectorizer(analyzer="char_wb", ngram_range=(2, 5), sublinear_tf=True)
        vectorizer.fit([text for text, used in zip(texts, trains.tolist(), strict=True) if used])
        return vectorizer.transform(texts)

    return _cross_validated(features, important, held_out, strength=10.0)


def linear_scores(
    vectors: NDArray[np.float32], important: Floats, held_out: Iterable[NDArray[np.bool_]]
) -> Floats:
    """Logistic regression on fixed `vectors`, shape (texts, dimensions); else as above."""
    return _cross_validated(lambda _: vectors, important, held_out, strength=10.0)


def _cross_validated(
    features: Callable[[NDArray[np.bool_]], Any],
    important: Floats,
    held_out: Iterable[NDArray[np.bool_]],
    *,
    strength: float,
) -> Floats:
    scores = np.zeros(len(important))
    for tested in held_out:
        trains = ~tested
        known = features(trains)
        # A text with both labels trains as both, each with its share.
        yes, no = np.flatnonzero(trains & (important > 0)), np.flatnonzero(trains & (important < 1))
        rows = np.concatenate([yes, no])
        model = LogisticRegression(C=strength, max_iter=_STEPS)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            model.fit(
                known[rows],
                np.repeat([1, 0], [len(yes), len(no)]),
                sample_weight=np.concatenate([important[yes], 1 - important[no]]),
            )
        scores[tested] = model.predict_proba(known[np.flatnonzero(tested)])[:, 1]
    return scores
