"""The drift alarm: rarely false, and as quick as the method's table says."""

import math
from collections.abc import Callable

import numpy as np
import pytest

from stream_filter.core.drift import RecallWatch
from stream_filter.simulation.detecting import detect, run_length

pytestmark = pytest.mark.statistics

Say = Callable[[str], None]

TABLE = {
    0.01: {0.9: 2_271, 0.8: 1_380, 0.5: 223},
    0.05: {0.9: 1_606, 0.8: 371, 0.5: 53},
    0.20: {0.9: 754, 0.8: 137, 0.5: 22},
}
"""Median important events from the fall to the alarm, α = 1e-4, as the method's page has them."""


@pytest.mark.parametrize("holdout", TABLE)
def test_delays(holdout: float, say: Say) -> None:
    """Delays agree with the table to 25 %, and false alarms at 0.98 are rare."""
    watch = RecallWatch(recall=0.95, holdout=holdout, failure_probability=1e-4)
    for after, published in TABLE[holdout].items():
        rng = np.random.default_rng([12, round(100 * holdout), round(100 * after)])
        found = detect(watch, rng, before=0.98, after=after)
        say(
            f"drift   π {holdout:<5g} 0.98 → {after:g}: noticed {found.noticed:6.1%} after "
            f"{found.delay:6.0f} (table {published:,})   false before {found.false_alarms:6.2%}"
        )
        assert found.delay == pytest.approx(published, rel=0.25)
        assert found.false_alarms <= 0.02


@pytest.mark.parametrize("holdout", TABLE)
def test_false_alarms_while_all_is_well(holdout: float, say: Say) -> None:
    """At a recall of 0.98, 5,000 important events raise an alarm in at most 5 % of streams."""
    watch = RecallWatch(recall=0.95, holdout=holdout, failure_probability=1e-4)
    rng = np.random.default_rng([13, round(100 * holdout)])
    false, _ = run_length(watch, rng, recall=0.98, events=5_000)
    say(f"drift   π {holdout:<5g} at 0.98: false alarms in 5,000 events {false:6.2%}")
    assert false <= 0.05


@pytest.mark.parametrize("holdout", TABLE)
def test_run_length_at_the_target(holdout: float, say: Say) -> None:
    """With recall exactly at the target at least 1/α important events pass on average before a
    false alarm, also where forwarded events are judged in part."""
    for share in (1.0, 0.5):
        watch = RecallWatch(
            recall=0.95, holdout=holdout, failure_probability=1e-3, judged_share=share
        )
        rng = np.random.default_rng([14, round(100 * holdout), round(10 * share)])
        _, mean = run_length(watch, rng, recall=0.95, events=3_000)
        say(f"drift   π {holdout:<5g} judged {share:g}: mean run ≥ {mean:,.0f} of 1,000 promised")
        assert mean >= 1_000 * (1.0 - 2.0 / math.sqrt(2_000))
