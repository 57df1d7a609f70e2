"""The certificate itself, on simulated epochs: in force and wrong in at most α of them."""

import math
from collections.abc import Callable

import numpy as np
import pytest

from stream_filter.core.certificate import Certificate, CertificateState, certify
from stream_filter.core.evidence import EpochEvidence, Stratum
from stream_filter.core.targets import RecallTarget

pytestmark = pytest.mark.statistics

Say = Callable[[str], None]
EPOCHS = 2_000
SLACK = 2.0 * math.sqrt(0.05 * 0.95 / EPOCHS)
TARGET = RecallTarget(recall=0.95, failure_probability=0.05, max_age_ms=10**9)
FLOORED = RecallTarget(recall=0.95, failure_probability=0.05, max_age_ms=10**9, slice_floor=0.5)


def judged(
    rng: np.random.Generator,
    slices: dict[str, tuple[int, int]],
    holdout: float,
    target: RecallTarget,
) -> Certificate:
    """One epoch in which each slice kept and missed so many important events, of 20 times as
    many events."""
    forwarded, dropped = [], []
    for name, (kept, missed) in slices.items():
        events = 20 * (kept + missed)
        found = int(rng.binomial(missed, holdout))
        shown = found + int(rng.binomial(events - missed, holdout))
        forwarded.append(
            Stratum(
                probability=1.0,
                events=2 * kept,
                shown=2 * kept,
                judged=2 * kept,
                important=kept,
                slice=name,
            )
        )
        dropped.append(
            Stratum(
                probability=holdout, events=events, shown=shown, judged=shown,
                important=found, slice=name,
            )
        )  # fmt: skip
    epoch = EpochEvidence(
        topic="t",
        policy_id="p",
        model_id="m",
        opened_ms=0,
        watermark_ms=1,
        is_closed=True,
        forwarded=tuple(forwarded),
        dropped=tuple(dropped),
        last_verdict_ms=1,
    )
    return certify([epoch], target=target, policy_id="p", model_id="m", now_ms=1)


@pytest.mark.parametrize("holdout", [0.05, 0.2])
def test_in_force_and_wrong(holdout: float, say: Say) -> None:
    """With a recall just below the target, at most α of epochs are certified, and just above it,
    at most α refuted; neither is never."""
    rng = np.random.default_rng([9, round(100 * holdout)])
    wrong = np.mean(
        [
            judged(rng, {"": (9_480, 520)}, holdout, TARGET).state is CertificateState.CERTIFIED
            for _ in range(EPOCHS)
        ]
    )
    refuted = np.mean(
        [
            judged(rng, {"": (9_510, 490)}, holdout, TARGET).state is CertificateState.REFUTED
            for _ in range(EPOCHS)
        ]
    )
    say(f"epochs  π {holdout:g}: certified at 0.948 {wrong:6.2%}   refuted at 0.951 {refuted:6.2%}")
    assert wrong <= 0.05 + SLACK
    assert refuted <= 0.05 + SLACK


def test_slice_at_nothing(say: Say) -> None:
    """97 % overall with one service at 0 %: certified without a floor, refuted by name with one;
    a service that is well is hardly ever named."""
    rng = np.random.default_rng(10)
    slices = {"checkout": (24_000, 300), "search": (24_000, 300), "billing": (0, 900)}
    overall = [judged(rng, slices, 0.05, TARGET).state for _ in range(200)]
    floored = [judged(rng, slices, 0.05, FLOORED) for _ in range(EPOCHS)]
    named = np.mean([c.refuted_slices == ("billing",) for c in floored])
    fallen = np.mean([c.state is CertificateState.REFUTED for c in floored])
    certified = np.mean([state is CertificateState.CERTIFIED for state in overall])
    say(
        f"slices  97 % overall, billing at 0: certified without floor {certified:6.1%}, "
        f"named {named:6.1%}"
    )
    assert certified >= 0.9
    assert fallen >= 0.999
    assert named >= 0.95


def test_slices_that_are_well() -> None:
    """Three services just above their floor: in at most α of epochs is any of them named."""
    rng = np.random.default_rng(11)
    slices = {f"service-{i}": (510, 490) for i in range(3)}
    named = np.mean([bool(judged(rng, slices, 0.2, FLOORED).refuted_slices) for _ in range(EPOCHS)])
    assert named <= 0.05 + SLACK
