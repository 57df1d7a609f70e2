"""One incident a failure: opened, updated, closed; and the same after a restart."""

import pytest

from stream_filter.core.errors import StreamFilterError
from stream_filter.outage.docket import Docket
from stream_filter.outage.incident import Assessment, Incident
from stream_filter.outage.sighting import Shape, Sighting
from stream_filter.outage.watch import Watch
from stream_filter.store.incident_json import decode_incident, encode_incident
from tests.outage.test_watch import sighting

SHAPE = Shape(window_ms=60_000, baseline_ms=600_000, every_ms=10_000)
QUIET_MS = 120_000
START_MS = 1_790_000_000_000
FAILS_MS = (START_MS + 900_000, START_MS + 1_500_000)
"""From and until."""
END_MS = START_MS + 2_400_000


def stream() -> list[Sighting]:
    """A usual line every ten seconds, and ten minutes of failure a quarter of an hour in."""
    usual = [sighting(at, "web", "as ever") for at in range(START_MS, END_MS, 10_000)]
    root = [sighting(at, "db", "disk full") for at in range(*FAILS_MS, 3_000)]
    later = (FAILS_MS[0] + 90_000, FAILS_MS[1])
    follows = [sighting(at, "web", "no db", peers=("db",)) for at in range(*later, 3_000)]
    return sorted([*usual, *root, *follows], key=lambda each: each.at_ms)


def run(docket: Docket, watch: Watch, from_ms: int, until_ms: int) -> list[Incident]:
    """What is written while time goes on."""
    written = []
    waiting = [each for each in stream() if each.at_ms > from_ms]
    for now_ms in range(from_ms, until_ms, SHAPE.every_ms):
        watch.add([e for e in waiting if now_ms - SHAPE.every_ms < e.at_ms <= now_ms], now_ms)
        changed = docket.step(now_ms)
        if changed is not None:
            written.append(changed)
    return written


def assessment() -> Assessment:
    """What a model may say."""
    return Assessment(
        judge="m",
        at_ms=1,
        is_outage=True,
        since_ms=None,
        root="db",
        affected=("web",),
        advice="free the disk",
        rests_on=("0" * 32,),
        tokens=10,
        cost=0.1,
    )


def test_a_failure_is_one_incident_from_beginning_to_end() -> None:
    """Opened soon after it begins, updated as it spreads, closed after the quiet time; the revision
    counts up."""
    watch = Watch(SHAPE)
    written = run(Docket(watch, quiet_ms=QUIET_MS), watch, START_MS, END_MS)
    assert len({each.incident_id for each in written}) == 1
    first, last = written[0], written[-1]
    assert abs(first.onset_ms - FAILS_MS[0]) <= SHAPE.window_ms
    assert first.opened_ms - FAILS_MS[0] <= 3 * SHAPE.window_ms
    assert [each.service for each in first.services] == ["db"]
    assert [each.service for each in last.services] == ["db", "web"]
    assert last.suspects[0].service == "db"
    assert [each.state for each in written[:-1]] == ["open"] * (len(written) - 1)
    assert last.state == "closed"
    assert last.closed_ms is not None
    assert last.closed_ms - FAILS_MS[1] <= SHAPE.window_ms + QUIET_MS + 2 * SHAPE.every_ms
    assert [each.revision for each in written] == list(range(1, len(written) + 1))


@pytest.mark.parametrize("at_ms", [FAILS_MS[0] + 200_000, FAILS_MS[1] + 100_000, END_MS - 300_000])
def test_a_restart_goes_on_with_the_same_incident(at_ms: int) -> None:
    """Whenever it comes: with the newest record of the topic and what is read again, no second
    incident is opened and the first is closed."""
    watch = Watch(SHAPE)
    written = run(Docket(watch, quiet_ms=QUIET_MS), watch, START_MS, at_ms)
    known = decode_incident(encode_incident(written[-1]))
    again = Watch(SHAPE)
    if known.state == "open":
        before = (known.onset_ms - SHAPE.baseline_ms, known.onset_ms)
        again.add([e for e in stream() if before[0] <= e.at_ms < before[1]], known.onset_ms)
        again.hold(known.onset_ms)
        since_ms = known.onset_ms
    else:
        since_ms = at_ms - SHAPE.kept_slots * SHAPE.slot_ms
    again.add([e for e in stream() if since_ms <= e.at_ms < at_ms], at_ms)
    docket = Docket(again, quiet_ms=QUIET_MS, known=[known])
    after = run(docket, again, at_ms, END_MS)
    everything = [*written, *after]
    assert len({each.incident_id for each in everything}) == 1
    assert everything[-1].state == "closed"


def test_what_a_model_says_belongs_to_the_incident_it_was_asked_about() -> None:
    """It stays through updates; of one that is over, or another, nothing is taken."""
    watch = Watch(SHAPE)
    docket = Docket(watch, quiet_ms=QUIET_MS)
    middle = FAILS_MS[0] + 200_000
    opened = run(docket, watch, START_MS, middle)[-1]
    assert docket.assess("another", assessment()) is None
    unasked = docket.assess(opened.incident_id, "invented")
    assert unasked is not None
    assert unasked.unassessed == "invented"
    said = docket.assess(opened.incident_id, assessment())
    assert said is not None
    assert said.unassessed is None
    last = run(docket, watch, middle, END_MS)[-1]
    assert last.state == "closed"
    assert last.assessment == assessment()
    assert docket.assess(opened.incident_id, assessment()) is None


@pytest.mark.parametrize("value", [None, b"", b"{}", b"[" * 10_000, b'{"incident_id": 1}', b"\xff"])
def test_what_is_no_incident_is_refused(value: bytes | None) -> None:
    """By one error, whatever stands in the topic."""
    with pytest.raises(StreamFilterError, match="not an incident"):
        decode_incident(value)
