"""The threshold after a fall: of those streams that get one, enough meet the target."""

from dataclasses import replace

import numpy as np
import pytest

from stream_filter.core.block_evidence import StratumKey
from stream_filter.core.epochs import Epoch
from stream_filter.core.evidence_page import Counted, Judged, Page, Shown, empty_page
from stream_filter.core.oracle import Judge
from stream_filter.core.targets import RecallTarget
from stream_filter.core.widening import Widening, widening

EPOCH = Epoch(topic="logs", policy_id="e", model_id="m", opened_ms=0, closes_ms=10**9)
TARGET = RecallTarget(recall=0.95, failure_probability=0.05, max_age_ms=1_000)


def page(
    scores: "np.ndarray[tuple[int], np.dtype[np.float64]]",
    important: "np.ndarray[tuple[int], np.dtype[np.bool_]]",
    *,
    judged: int | None = None,
    probability: float = 1.0,
    at_ms: int = 1_000,
) -> Page:
    """Would-be drops decided one a millisecond, of which the first `judged` have a verdict."""
    size = len(scores)
    known = size if judged is None else judged
    return replace(
        empty_page(EPOCH),
        strata=(StratumKey(is_drop=True, probability=probability, slice=""),),
        judges=(Judge("model", is_person=False),),
        counted=Counted(
            at_ms=np.array([at_ms + size]),
            stratum=np.zeros(1, np.int16),
            events=np.array([size]),
            folded=np.zeros(1, np.int64),
        ),
        shown=Shown(
            ids=np.zeros((size, 16), np.uint8),
            at_ms=at_ms + np.arange(size),
            stratum=np.zeros(size, np.int16),
            score=scores.astype(np.float32),
        ),
        judged=Judged(
            event=np.arange(known, dtype=np.int32),
            judge=np.zeros(known, np.int16),
            repeat=np.zeros(known, np.int32),
            important=important[:known],
            offset=np.arange(known),
            at_ms=np.arange(known),
        ),
    )


def find(*pages: Page, patience_ms: int = 10**6) -> Widening | None:
    return widening(pages, TARGET, patience_ms=patience_ms)


@pytest.mark.parametrize("size", [700, 1_000, 3_000])
def test_most_streams_keep_the_target(size: int) -> None:
    """At one important event in ten, the true recall above the first threshold that the verdicts
    support is at the target in 95 of 100 streams, two standard errors of 400 streams apart."""
    rng = np.random.default_rng(size)
    met = []
    for _ in range(400):
        important = rng.random(size) < 0.1
        # Uniform in its class: recall above a threshold is one minus it.
        found = find(page(np.where(important, rng.random(size), 0.5), important))
        if found is not None:
            met.append(1.0 - found.drop_below >= 0.95)
    assert len(met) > 240
    assert np.mean(met) >= 0.95 - 2.0 * np.sqrt(0.05 * 0.95 / len(met))


def test_only_what_was_shown_since_the_last_drop_counts() -> None:
    """Events seen by chance are of the time before; of the same time nothing is known."""
    scores, important = np.linspace(0.2, 0.9, 100), np.ones(100, np.bool_)
    found = find(page(scores, important))
    assert found == Widening(
        drop_below=float(np.float32(scores[1])), forwarded_share=0.99, important=100
    )
    before = page(scores / 10.0, important, probability=0.1, at_ms=0)
    assert find(before) is None
    assert find(before, page(scores, important, at_ms=2_000)) == found
    assert find(page(scores, important), page(scores, important, probability=0.0)) is None
    assert find() is None


def test_silence_counts_against_the_gate() -> None:
    """What waits is no label yet, nor is anything after it; what waited too long is important."""
    scores, important = np.linspace(0.2, 0.9, 200), np.arange(200) % 2 == 1
    assert find(page(scores, important, judged=100)) is None, "50 important ones are too few"
    found = find(page(scores, important, judged=140))
    assert found is not None
    assert (found.important, found.drop_below) == (70, float(np.float32(scores[1])))
    silent = page(scores, important, judged=140)
    judged = silent.judged
    last = replace(judged, event=np.append(judged.event[:-1], np.int32(199)))
    found = find(replace(silent, judged=last), patience_ms=0)
    assert found is not None
    assert found.important == 70 + 60
