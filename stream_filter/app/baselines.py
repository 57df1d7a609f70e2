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
NGRAMS = "n-grams with a linear model"
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
    events: LabelledEvents,
    *,
    trained_on: LabelledEvents | None = None,
    encoder: str,
    seed: int,
    seconds: float,
) -> Baselines:
    """All but the keyword rule learn: from `trained_on`, as the pack did; or, without it, from
    `events` themselves, fold by fold on one split, whole groups held out: then they know the
    stream, as a pack of another stream does not.

    `encoder`: a name or a folder. `seconds`: what is not done by then is left out. The last two
    need the [train] extra. Raises ConfigError where the encoder cannot be loaded.
    """
    until_s = time.monotonic() + seconds
    found = Baselines(scores={KEYWORDS: keyword_scores(events.texts)[events.codes]})
    try:
        lesson = _lesson(events, trained_on, seed)
        scout = train_scout(lesson.events, recall=0.99, seed=seed, seconds=seconds / 3)
    except ConfigError as error:
        return replace(found, left_out=dict.fromkeys((NGRAMS, TFIDF, ENCODER), str(error)))
    if trained_on is None:
        found.scores[NGRAMS] = scout.scores
    else:
        found.scores[NGRAMS] = scout.scout().score(events.texts).astype(np.float64)[events.codes]
    if missing := missing_modules():
        reason = f"needs the train extra ({missing[0]} is missing): {INSTALL}"
        return replace(found, left_out=dict.fromkeys((TFIDF, ENCODER), reason))

    from stream_filter.training.baselines import linear_scores, ngram_scores
    from stream_filter.training.encoders import frozen_vectors

    columns = lesson.important, lesson.held_out
    tested = slice(len(lesson.texts) - len(events.texts), None)
    if time.monotonic() < until_s:
        found.scores[TFIDF] = ngram_scores(lesson.texts, *columns)[tested][events.codes]
        vectors = frozen_vectors(encoder, lesson.texts, max_tokens=_MOST_TOKENS, until_s=until_s)
        if vectors is not None:
            found.scores[ENCODER] = linear_scores(vectors, *columns)[tested][events.codes]
    for name in (TFIDF, ENCODER):
        if name not in found.scores:
            found.left_out[name] = "the time was up: give --minutes more"
    return found


@dataclass(frozen=True, slots=True, kw_only=True)
class _Lesson:
    """What is learned from, and which texts a model of the others scores."""

    events: LabelledEvents
    texts: list[str]
    """The tested ones last."""
    important: Floats
    held_out: list[NDArray[np.bool_]]
    """Each of shape (texts,)."""


def _lesson(events: LabelledEvents, trained_on: LabelledEvents | None, seed: int) -> _Lesson:
    """Raises ConfigError where there is too little, or too much."""
    taught = events if trained_on is None else trained_on
    if len(taught.texts) > MOST_TEXTS:
        raise ConfigError(
            f"{len(taught.texts):,} distinct texts, more than {MOST_TEXTS:,} that are fitted"
        )
    untimed = replace(taught, times_s=np.full(len(taught.codes), np.nan))
    folds, _ = held_out_folds(untimed, seed=seed)
    if trained_on is None:
        of_texts = [np.isin(np.arange(len(events.texts)), events.codes[fold]) for fold in folds]
        return _Lesson(
            events=untimed, texts=events.texts, important=events.by_text()[0], held_out=of_texts
        )
    tested = np.repeat([False, True], [len(taught.texts), len(events.texts)])
    return _Lesson(
        events=untimed,
        texts=[*taught.texts, *events.texts],
        important=np.concatenate([taught.by_text()[0], events.by_text()[0]]),
        held_out=[tested],
    )
