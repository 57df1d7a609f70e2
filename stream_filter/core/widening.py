"""After a fall, the threshold that the evidence at hand supports.

A certificate falls because something has changed, so labels from before are of another stream.
While it is down and no threshold is known, everything is forwarded: from the last drop on, all
events are shown, and their verdicts are uniform labels. As soon as there are enough, they
support a threshold by the same bound as any calibration. The first that they support is kept:
labels are counted, not picked.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from stream_filter.core.calibration import calibrate
from stream_filter.core.evidence import IMPORTANT, NO_VERDICT
from stream_filter.core.evidence_page import Page
from stream_filter.core.targets import RecallTarget


@dataclass(frozen=True, slots=True, kw_only=True)
class Widening:
    """What `on_failure: widen` does from then on."""

    drop_below: float
    """Only scores below are dropped, and nothing by a rule."""
    forwarded_share: float
    """Of the events with a score, those at the threshold or above, the holdout apart."""
    important: int
    """Among the labels that it rests on."""


def widening(pages: Iterable[Page], target: RecallTarget, *, patience_ms: int) -> Widening | None:
    """The threshold that the verdicts since the last drop support; None where there are too few.

    `pages`: of one topic, entry of the policy and pack. Silence counts against the gate: what was
    shown more than `patience_ms` before the newest event judged, and has no verdict, counts as
    important; what waits for less is no label, nor is what was shown after it.
    """
    held = list(pages)
    dropped_ms = max((_last_drop_ms(page) for page in held), default=-1)
    since = [page for page in held if page.last_ms > dropped_ms]
    if not since:
        return None
    at_ms = np.concatenate([page.shown.at_ms for page in since])
    score = np.concatenate([page.shown.score for page in since])
    verdict = np.concatenate([page.effective() for page in since])
    is_label = (at_ms > dropped_ms) & ~np.isnan(score)
    is_silent = verdict == NO_VERDICT
    heard_ms = int(at_ms[~is_silent].max(initial=0))
    waits = is_label & is_silent & (at_ms >= heard_ms - patience_ms)
    is_label &= at_ms < at_ms[waits].min(initial=np.iinfo(np.int64).max)
    important = ((verdict == IMPORTANT) | is_silent)[is_label]
    if not important.any():
        return None
    found = calibrate(
        score[is_label],
        important,
        recall=target.recall,
        failure_probability=target.failure_probability,
    )
    if not found.certifiable:
        return None
    return Widening(
        drop_below=found.threshold,
        forwarded_share=found.expected_forwarded_share,
        important=found.positives,
    )


def _last_drop_ms(page: Page) -> int:
    """When the gate last dropped something, or held it back from being dropped by chance; −1 where
    it did not."""
    is_drop = np.array([key.is_drop and key.probability < 1.0 for key in page.strata], np.bool_)
    return int(page.counted.at_ms[is_drop[page.counted.stratum]].max(initial=-1))
