"""What the deterministic part finds of made outages: onset, cause, and nothing where nothing is."""

import pytest

from stream_filter.testing.outage_kinds import OutageKind
from stream_filter.testing.outages import make_outage
from tests.outage.simulated import found, is_quiet_seen

KINDS = [kind for kind in OutageKind if kind is not OutageKind.QUIET]


@pytest.mark.parametrize("kind", KINDS)
def test_an_outage_is_found(kind: OutageKind) -> None:
    """One of each kind: not before it begins, with the cause's events packed."""
    seen = found(7, kind)
    assert seen is not None
    assert not seen.is_early
    assert seen.has_root


def test_noise_is_no_outage() -> None:
    """A window of noise, looked at eleven times."""
    assert not is_quiet_seen(7)


def test_made_outages_are_the_same_each_time() -> None:
    """Seed and kind decide every byte; another seed is another outage."""
    first, again, other = (make_outage(seed, OutageKind.CASCADE) for seed in (1, 1, 2))
    assert first == again
    assert first != other
    assert first.root in first.affected <= set(first.services)


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("base", [1_000, 77_000], ids=["fixed", "fresh"])
def test_a_hundred_outages_and_a_hundred_quiet_windows(base: int) -> None:
    """Twenty of each kind: the cause's events are in 8,000 tokens in 95 or more, the onset is
    within one window in 90 or more, and of a hundred quiet windows 95 or more stay quiet. The seeds
    of `fresh` were not looked at while the view was made."""
    seen = [found(base + n, kind) for kind in KINDS for n in range(20)]
    hits = [each for each in seen if each is not None and not each.is_early]
    quiet = sum(not is_quiet_seen(base + n) for n in range(100))
    figures = {
        "found": len(hits),
        "packed": sum(each.has_root for each in hits),
        "onset": sum(each.is_onset_right for each in hits),
        "root_first": sum(each.is_root_first for each in hits),
        "quiet": quiet,
    }
    print(base, figures)
    assert figures["packed"] >= 95, figures
    assert figures["onset"] >= 90, figures
    assert figures["quiet"] >= 95, figures
