"""The certificate: which state, by which numbers, and what is still needed."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream_filter.core.bounds import missed_lower, missed_upper
from stream_filter.core.certificate import Certificate, CertificateState, StaleCause, certify
from stream_filter.core.evidence import EpochEvidence, Stratum
from stream_filter.core.findings import Interval, assess, assess_each
from stream_filter.core.targets import RecallTarget

HOUR = 3_600_000
TARGET = RecallTarget(recall=0.95, failure_probability=0.05, max_age_ms=24 * HOUR)
FLOORED = replace(TARGET, slice_floor=0.5)
CERTIFIED, REFUTED, STALE, UNCERTIFIED = (
    CertificateState.CERTIFIED,
    CertificateState.REFUTED,
    CertificateState.STALE,
    CertificateState.UNCERTIFIED,
)


def forwarded(important: int, *, silent: int = 0, name: str = "", share: float = 1.0) -> Stratum:
    """As many unimportant as important ones besides."""
    judged = 2 * important
    shown = judged + silent
    return Stratum(
        probability=share,
        events=shown if share == 1.0 else round(shown / share),
        shown=shown,
        judged=judged,
        important=important,
        slice=name,
    )


def dropped(
    found: int, *, holdout: float = 0.05, silent: int = 0, events: int = 100_000, name: str = ""
) -> Stratum:
    shown = round(events * holdout)
    return Stratum(
        probability=holdout,
        events=events,
        shown=shown,
        judged=shown - silent,
        important=found,
        slice=name,
    )


def epoch(
    kept: int = 2_000,
    found: int = 0,
    *,
    number: int = 0,
    strata: tuple[tuple[Stratum, ...], tuple[Stratum, ...]] | None = None,
    **changes: Any,
) -> EpochEvidence:
    """Hour `number` of a topic: certified as it stands, 1,520 kept events being enough."""
    inside, outside = strata or ((forwarded(kept),), (dropped(found),))
    facts: dict[str, Any] = {
        "topic": "t",
        "policy_id": "policy",
        "model_id": "pack",
        "opened_ms": number * HOUR,
        "watermark_ms": (number + 1) * HOUR,
        "is_closed": True,
        "forwarded": inside,
        "dropped": outside,
        "last_verdict_ms": (number + 1) * HOUR,
    }
    return EpochEvidence(**facts | changes)


def judge(*epochs: EpochEvidence, target: RecallTarget = TARGET, **changes: Any) -> Certificate:
    now = max((e.watermark_ms for e in epochs), default=0)
    facts: dict[str, Any] = {"policy_id": "policy", "model_id": "pack", "now_ms": now}
    return certify(epochs, target=target, **facts | changes)


GOOD, THIN, BAD = epoch(), epoch(200), epoch(500, 60)


@pytest.mark.parametrize(
    ("evidence", "state"), [(GOOD, CERTIFIED), (THIN, UNCERTIFIED), (BAD, REFUTED)]
)
def test_state_follows_the_interval(evidence: EpochEvidence, state: CertificateState) -> None:
    """Certified at the lower end, refuted at the upper one, else uncertified."""
    certificate = judge(evidence)
    assert certificate.state is state
    assert certificate.finding is not None
    recall = certificate.finding.recall
    assert (recall.lower >= 0.95) == (state is CERTIFIED)
    assert (recall.upper < 0.95) == (state is REFUTED)


def test_numbers_are_the_bounds() -> None:
    """K, M and both rates come from the exact bounds at α."""
    finding = assess([forwarded(1_900)], [dropped(3)], failure_probability=0.05)
    lower = missed_lower(3, 0.05, failure_probability=0.05)
    upper = missed_upper(3, 0.05, failure_probability=0.05)
    assert finding.kept == Interval(lower=1_900, upper=1_900)
    assert finding.missed == Interval(lower=lower, upper=upper)
    assert finding.recall == Interval(lower=1_900 / (1_900 + upper), upper=1_900 / (1_900 + lower))
    assert finding.miss_rate == Interval(lower=lower / 100_000, upper=upper / 100_000)
    assert (finding.found, finding.silent) == (3, 0)


def test_nothing_yet() -> None:
    """Without an epoch, or without an event in it, nothing is claimed and nothing breaks."""
    assert judge().state is UNCERTIFIED
    assert judge().finding is None
    empty = judge(epoch(strata=((), ()), last_verdict_ms=None))
    assert empty.finding is not None
    assert empty.finding.miss_rate == Interval(lower=0.0, upper=0.0)
    assert judge(epoch(0)).state is UNCERTIFIED


counts = st.integers(0, 400)


@given(counts, counts, counts, counts)
def test_silence_counts_against_us(kept: int, found: int, inside: int, outside: int) -> None:
    """An answer that has not come leaves both ends as wide as its worst outcome."""
    silent = assess(
        [forwarded(kept, silent=inside)], [dropped(found, silent=outside)], failure_probability=0.05
    ).recall
    worst = assess([forwarded(kept)], [dropped(found + outside)], failure_probability=0.05).recall
    best = assess([forwarded(kept + inside)], [dropped(found)], failure_probability=0.05).recall
    assert silent.lower == pytest.approx(worst.lower)
    assert silent.upper == pytest.approx(best.upper)


def test_a_share_of_the_forwarded() -> None:
    """Where the analyst sees a share of the forwarded, K is bounded too, and α is shared."""
    finding = assess([forwarded(500, share=0.25)], [dropped(3)], failure_probability=0.05)
    assert finding.kept.lower == missed_lower(500, 0.25, failure_probability=0.025)
    assert finding.missed.upper == missed_upper(3, 0.05, failure_probability=0.025)


def test_strata_of_one_chance_are_one() -> None:
    """Slices with the same π are bounded together: one bound on the sum."""
    apart = [dropped(2, events=30_000, name="a"), dropped(5, events=50_000, name="b")]
    together = [dropped(7, events=80_000)]
    for strata in (apart, together):
        finding = assess([forwarded(100)], strata, failure_probability=0.05)
        assert finding.missed.upper == missed_upper(7, 0.05, failure_probability=0.05)


def test_no_more_missed_than_dropped() -> None:
    """What a bound allows beyond the drops that there were, less those judged unimportant, is
    not believed; drops that nobody could see are all counted."""
    few = assess([forwarded(10)], [dropped(0, events=40)], failure_probability=0.05)
    assert few.missed.upper == 38  # of 40 drops two were seen and found unimportant
    unseen = Stratum(probability=0.0, events=70, shown=0, judged=0, important=0)
    blind = assess([forwarded(930)], [unseen], failure_probability=0.05)
    assert blind.missed == Interval(lower=0.0, upper=70.0)
    assert blind.recall.lower == 0.93


def test_everything_was_shown() -> None:
    """With π = 1 the interval is a point."""
    finding = assess([forwarded(95)], [dropped(5, holdout=1.0)], failure_probability=0.05)
    assert finding.recall == Interval(lower=0.95, upper=0.95)


OPEN = {"is_closed": False}
SEQUENCES: list[tuple[list[EpochEvidence], CertificateState, int]] = [
    ([GOOD, epoch(200, number=1, **OPEN)], CERTIFIED, 0),
    ([BAD, epoch(200, number=1, **OPEN)], REFUTED, 0),
    ([BAD, epoch(number=1, **OPEN)], CERTIFIED, 1),
    ([GOOD, epoch(500, 60, number=1, **OPEN)], REFUTED, 1),
    ([GOOD, epoch(200, number=1)], UNCERTIFIED, 1),
    ([GOOD, epoch(200, number=1), epoch(100, number=2, **OPEN)], UNCERTIFIED, 2),
    ([epoch(200), epoch(200, number=1, **OPEN)], UNCERTIFIED, 1),
]


@pytest.mark.parametrize(("epochs", "state", "judged"), SEQUENCES)
def test_which_epoch_speaks(
    epochs: list[EpochEvidence], state: CertificateState, judged: int
) -> None:
    """The newest epoch does; while it is open and says nothing, the one before it."""
    certificate = judge(*epochs)
    assert certificate.state is state
    assert certificate.epoch == epochs[judged]


def test_alarms_make_it_stale() -> None:
    """Each drift sign withdraws a certificate at once; a refutation stays one."""
    for alarm in (StaleCause.DRIFT, StaleCause.SCORES, StaleCause.NOVELTY):
        fallen = judge(GOOD, alarms=frozenset({alarm}))
        assert (fallen.state, fallen.stale_causes) == (STALE, (alarm,))
        assert judge(BAD, alarms=frozenset({alarm})).state is REFUTED


def test_silence_for_too_long() -> None:
    """Without a verdict for `max_age` a certificate is stale; a moment earlier it is not."""
    last = GOOD.watermark_ms
    assert judge(GOOD, now_ms=last + TARGET.max_age_ms).state is CERTIFIED
    late = judge(GOOD, now_ms=last + TARGET.max_age_ms + 1)
    assert (late.state, late.stale_causes) == (STALE, (StaleCause.AGE,))


def test_lost_evidence() -> None:
    """An epoch whose counts were lost certifies nothing, and says why."""
    lost = judge(epoch(is_complete=False))
    assert (lost.state, lost.stale_causes) == (STALE, (StaleCause.EVIDENCE,))


@pytest.mark.parametrize(
    ("changes", "cause"),
    [({"policy_id": "other"}, StaleCause.POLICY), ({"model_id": "other"}, StaleCause.PACK)],
)
def test_another_policy_or_pack(changes: dict[str, str], cause: StaleCause) -> None:
    """Evidence under another policy or pack speaks for nothing now: what was certified is stale
    until the new one is; where nothing was, there is nothing to withdraw."""
    fallen = judge(GOOD, **changes)
    assert (fallen.state, fallen.stale_causes) == (STALE, (cause,))
    assert fallen.finding is None
    assert judge(THIN, **changes).state is UNCERTIFIED
    again = judge(GOOD, epoch(number=1, **changes), **changes)
    assert (again.state, again.stale_causes) == (CERTIFIED, ())


def slices(*figures: tuple[str, int, int]) -> EpochEvidence:
    """An epoch of slices: name, kept, found among 20,000 drops."""
    return epoch(
        strata=(
            tuple(forwarded(kept, name=name) for name, kept, _ in figures),
            tuple(dropped(found, events=20_000, name=name) for name, _, found in figures),
        )
    )


def test_a_service_at_nothing_behind_a_good_average() -> None:
    """97 % overall and one service at 0 %: without a floor nobody notices, with one the
    certificate is refuted and says by which."""
    # About 1,240 were missed, nearly all of `billing`, of which nothing was forwarded.
    evidence = slices(("checkout", 20_000, 1), ("search", 20_000, 1), ("billing", 0, 60))
    overall = judge(evidence)
    assert overall.state is CERTIFIED
    assert overall.finding is not None
    assert overall.finding.recall.lower < 0.97 < overall.finding.recall.upper
    certificate = judge(evidence, target=FLOORED)
    assert certificate.state is REFUTED
    assert certificate.refuted_slices == ("billing",)
    assert certificate.slices[0].finding.recall.upper == 0.0
    assert {s.slice: s.state for s in certificate.slices} == {
        "billing": REFUTED,
        "checkout": CERTIFIED,
        "search": CERTIFIED,
    }


def test_a_slice_too_small_to_know() -> None:
    """A slice that shows nothing yet neither certifies nor refutes; it is listed as unknown."""
    certificate = judge(slices(("checkout", 4_000, 1), ("rare", 2, 0)), target=FLOORED)
    assert certificate.state is CERTIFIED
    assert {s.slice: s.state for s in certificate.slices}["rare"] is UNCERTIFIED


def test_slices_share_alpha() -> None:
    """All slices hold together at α: each alone has its share."""
    certificate = judge(slices(("a", 2_000, 1), ("b", 2_000, 1)), target=FLOORED)
    alone = missed_upper(1, 0.05, failure_probability=0.025)
    assert all(s.finding.missed.upper == alone for s in certificate.slices)


def test_what_is_needed() -> None:
    """With nothing found the published number of events is needed, to 1 %."""
    assert judge(THIN).kept_needed == pytest.approx(1_520, rel=0.01)
    assert judge(epoch(1_519)).state is UNCERTIFIED
    assert judge(epoch(1_521)).state is CERTIFIED


def test_forecast_goes_by_the_pace() -> None:
    """Half of what is needed in an hour, and nothing missed: about another hour, a little more
    for what may yet be found; none once certified, closed, or hopeless."""
    half = judge(epoch(760, is_closed=False))
    assert half.forecast_ms is not None
    assert 1.9 * HOUR <= half.forecast_ms <= 4 * HOUR
    assert judge(GOOD).forecast_ms is None
    assert judge(THIN).forecast_ms is None
    assert judge(epoch(400, 3, is_closed=False)).forecast_ms is None
    later = judge(epoch(760, 1, is_closed=False)).forecast_ms
    assert later is not None
    assert later > half.forecast_ms


@pytest.mark.parametrize("name", ["recall", "failure_probability", "slice_floor"])
def test_bad_targets_are_named(name: str) -> None:
    """A target outside (0, 1) is refused by name."""
    for value in (0.0, 1.0, 95.0):
        changes: dict[str, Any] = {name: value}
        with pytest.raises(ValueError, match=f"{name}: must lie between 0 and 1"):
            replace(TARGET, **changes)


def test_slices_together_are_as_each_alone() -> None:
    """Two hundred slices with silences, of several holdouts, have the findings that they would have
    one by one."""
    rng = np.random.default_rng(4)
    groups = []
    for _ in range(200):
        dropped = [
            Stratum(probability=chance, events=4_000, shown=200, judged=190, important=int(found))
            for chance, found in zip((0.01, 0.05), rng.integers(0, 20, 2), strict=True)
        ]
        if rng.random() < 0.1:
            dropped.append(Stratum(probability=0.0, events=9, shown=0, judged=0, important=0))
        kept = int(rng.integers(0, 300))
        forwarded = [Stratum(probability=1.0, events=400, shown=400, judged=390, important=kept)]
        groups.append((forwarded, dropped))
    together = assess_each(groups, failure_probability=0.001)
    assert together == [assess(*group, failure_probability=0.001) for group in groups]


def test_a_forecast_does_not_hang_on_who_was_drawn() -> None:
    """The bound knows π; the few that happen to be drawn early are a poor guess at it."""

    def said(shown: int) -> int | None:
        dropped = Stratum(probability=0.2, events=90, shown=shown, judged=shown, important=0)
        epoch = EpochEvidence(
            topic="logs",
            policy_id="p",
            model_id="m",
            opened_ms=0,
            watermark_ms=HOUR,
            is_closed=False,
            dropped=(dropped,),
            forwarded=(forwarded(30),),
        )
        return certify([epoch], target=TARGET, policy_id="p", model_id="m", now_ms=HOUR).forecast_ms

    assert said(9) == said(18) == said(27) is not None
