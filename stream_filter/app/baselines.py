"""What stands beside a pack in an evaluation: what one would have without it."""

import time
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from stream_filter.app.figures import keyword_scores
from stream_filter.app.labelled_events import LabelledEvents
from stream_filter.app.scout_training import MOST_TEXTS, train_scout
from stream_filter.app.splits import held_out_folds
from stream_filter.core.errors import ConfigError
from stream_filter.training.extra import INSTALL, missing_modules

KEYWORDS = "keyword rule"
NGRAMS = "n-grams, trained on these events"
TFIDF = "n-gram TF-IDF + logistic regression"
ENCODER = "frozen encoder + logistic regression"
_MOST_TOKENS = 128

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Baselines:
    """Scores by name, each of shape (events,), and why others are missing."""

    scores: dict[str, Floats]
    left_out: dict[str, str] = field(default_factory=dict)


def baseline_scores(
    events: LabelledEvents, *, encoder: str, seed: int, seconds: float
) -> Baselines:
    """All but the keyword rule learn from these very events, fold by fold on one split, whole
    groups held out: they know the stream, as a pack of another stream does not.

    `encoder`: a name or a folder. `seconds`: what is not done by then is left out. The last two
    need the [train] extra. Raises ConfigError where the encoder cannot be loaded.
    """
    until_s = time.monotonic() + seconds
    found = Baselines(scores={KEYWORDS: keyword_scores(events.texts)[events.codes]})
    untimed = replace(events, times_s=np.full(len(events.codes), np.nan))
    try:
        if len(events.texts) > MOST_TEXTS:
            raise ConfigError(
                f"{len(events.texts):,} distinct texts, more than {MOST_TEXTS:,} that are fitted"
            )
        folds, _ = held_out_folds(untimed, seed=seed)
    except ConfigError as error:
        return replace(found, left_out=dict.fromkeys((NGRAMS, TFIDF, ENCODER), str(error)))
    scout = train_scout(untimed, recall=0.99, seed=seed, seconds=seconds / 3)
    found.scores[NGRAMS] = scout.scores
    if missing := missing_modules():
        reason = f"needs the train extra ({missing[0]} is missing): {INSTALL}"
        return replace(found, left_out=dict.fromkeys((TFIDF, ENCODER), reason))

    from stream_filter.training.baselines import linear_scores, ngram_scores
    from stream_filter.training.encoders import frozen_vectors

    important, fold = _by_text(events, folds)
    if time.monotonic() < until_s:
        by_text = ngram_scores(events.texts, important, fold)
        found.scores[TFIDF] = by_text[events.codes]
        vectors = frozen_vectors(encoder, events.texts, max_tokens=_MOST_TOKENS, until_s=until_s)
        if vectors is not None:
            found.scores[ENCODER] = linear_scores(vectors, important, fold)[events.codes]
    for name in (TFIDF, ENCODER):
        if name not in found.scores:
            found.left_out[name] = "the time was up: give --minutes more"
    return found


def _by_text(
    events: LabelledEvents, folds: list[NDArray[np.bool_]]
) -> tuple[Floats, NDArray[np.int64]]:
    """Of each text: the share of its events' weight that is important; its fold."""
    count = len(events.texts)
    mass = np.bincount(events.codes, events.weights, count)
    important = np.bincount(events.codes, events.weights * (events.important == 1), count)
    fold = np.zeros(count, np.int64)
    for number, held_out in enumerate(folds):
        fold[events.codes[held_out]] = number
    return important / mass, fold
