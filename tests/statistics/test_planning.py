"""What `plan` foretells, against streams that are calibrated and run."""

from collections.abc import Callable

import numpy as np
import pytest

from stream_filter.core.planning import Stream, plan
from stream_filter.simulation.launching import launch
from stream_filter.simulation.setting import Setting

pytestmark = pytest.mark.statistics

Say = Callable[[str], None]
DAY_S = 86_400.0


@pytest.mark.parametrize(
    ("stream", "positives"),
    [
        (Stream(prevalence=0.001, auc=0.95, events_per_s=50_000), 300),
        (Stream(prevalence=0.01, auc=0.99, events_per_s=100), 300),
        (Stream(prevalence=0.05, auc=0.9, events_per_s=20), 60),
        (Stream(prevalence=0.2, auc=0.8, events_per_s=5), 1_000),
    ],
)
def test_plan_comes_true(stream: Stream, positives: int, say: Say) -> None:
    """Forwarded share and time to the certificate are within 25 % of what most streams meet."""
    made = plan(
        stream, recall=0.95, failure_probability=0.05, positives=positives, certify_within_s=DAY_S
    )
    assert made.holdout is not None
    assert made.certified_after_s is not None
    setting = Setting(prevalence=stream.prevalence, auc=stream.auc, holdout=made.holdout)
    met = launch(stream, setting, np.random.default_rng([15, positives]), positives=positives)
    say(
        f"plan    {stream.prevalence:g}, AUC {stream.auc:g}, {positives:,} positives: forwarded "
        f"{made.forwarded_share.median:.2%} came {met.forwarded_share:.2%}; certified after "
        f"{made.certified_after_s.median / 3600:.1f} h came {met.certified_after_s / 3600:.1f} h"
    )
    assert met.forwarded_share == pytest.approx(made.forwarded_share.median, rel=0.25)
    assert met.certified_after_s == pytest.approx(made.certified_after_s.median, rel=0.25)
    assert met.recall == pytest.approx(made.recall.median, abs=0.003)
