"""The demo's stream: believable, repeatable, and silent about the truth."""

import json
import time
from collections import Counter, defaultdict
from itertools import pairwise

import pytest

from stream_filter.core.canonical import canonicalize
from stream_filter.demo.generator import TIMELINE, GeneratedEvent, PlatformStream, scenario_at
from stream_filter.demo.platform import LEARNABLE, SERVICES, SLOTS, TEMPLATES

START_MS = 1_700_000_000_000
FIELDS = ["ts", "service", "level", "message", "host", "peer", "trace_id", "event_id", "latency_ms"]


def timeline(seed: int = 1, a_second: int = 300) -> list[GeneratedEvent]:
    """A whole timeline of 100 seconds."""
    stream = PlatformStream(seed=seed, start_ms=START_MS, duration_s=100)
    return [event for second in range(100) for event in stream.events(second, a_second)]


def test_same_seed_same_bytes() -> None:
    """The same seed and calls give the same events; another seed gives others."""
    assert timeline(1, 20) == timeline(1, 20)
    assert timeline(1, 20) != timeline(2, 20)


def test_truth_is_not_in_the_payload() -> None:
    """Important and unimportant events have the same fields, in the same order and of one type."""
    for event in timeline(a_second=50):
        fields = json.loads(event.value)
        assert list(fields) == FIELDS
        assert isinstance(fields["latency_ms"], int)
        assert event.kind.encode() not in event.value


def test_ids_say_nothing_and_are_unique() -> None:
    """Event ids never repeat within a stream."""
    ids = [json.loads(event.value)["event_id"] for event in timeline(a_second=100)]
    assert len(set(ids)) == len(ids)


def test_level_does_not_decide() -> None:
    """In calm, most ERROR events are unimportant and many important events are not ERROR."""
    stream = PlatformStream(seed=3, start_ms=START_MS, duration_s=100)
    levels: dict[bool, Counter[str]] = defaultdict(Counter)
    for event in stream.events(1, 40_000):
        levels[event.important][json.loads(event.value)["level"]] += 1
    assert levels[False]["ERROR"] > levels[True]["ERROR"]
    assert levels[True]["INFO"] + levels[True]["WARN"] > 0.3 * levels[True].total()


def test_prevalence_in_calm() -> None:
    """In calm, one to two percent of the events are important."""
    stream = PlatformStream(seed=4, start_ms=START_MS, duration_s=100)
    events = stream.events(1, 40_000)
    assert 0.01 <= sum(event.important for event in events) / len(events) <= 0.02


def test_storyline() -> None:
    """Deploy failures and unseen failures appear in their scenario and nowhere else."""
    stream = PlatformStream(seed=5, start_ms=START_MS, duration_s=100)
    for second in range(100):
        scenario = stream.scenario(second)
        families = {event.kind.split("/")[0] for event in stream.events(second, 400)}
        assert ("deploy" in families) == ("cascade" in families) == (scenario.name == "bad_deploy")
        assert ("unseen" in families) == (scenario.name == "unseen_failure")


def test_timeline_is_closed() -> None:
    """Scenarios cover [0, 1] without gaps, and their shares sum to one."""
    assert TIMELINE[0].starts == 0.0
    assert TIMELINE[-1].ends == 1.0
    for one, other in pairwise(TIMELINE):
        assert one.ends == other.starts
    for scenario in TIMELINE:
        assert sum(share for _, share in scenario.shares) == pytest.approx(1.0)
    assert scenario_at(-1.0) is TIMELINE[0]
    assert scenario_at(7.0) is TIMELINE[-1]


def test_unseen_kinds_are_not_learnable() -> None:
    """No template of an unseen failure is offered for training."""
    unseen = {template.kind for template in TEMPLATES["unseen"]}
    assert unseen
    assert not unseen & {template.kind for template in LEARNABLE}


def test_vocabulary() -> None:
    """Templates have names of their own, known services and enough variety."""
    templates = [template for family in TEMPLATES.values() for template in family]
    assert len({template.kind for template in templates}) == len(templates) >= 200
    assert {template.service for template in templates} == set(SERVICES)
    assert {slot for template in templates for slot in template.slots} <= set(SLOTS)


def test_some_lines_cannot_be_told_apart() -> None:
    """A few important and unimportant lines have the same canonical text: real life has them."""
    truths: dict[str, set[bool]] = defaultdict(set)
    for event in timeline():
        fields = json.loads(event.value)
        text = canonicalize("{service} {level} {message}".format_map(fields))
        truths[text].add(event.important)
    ambiguous = [text for text, found in truths.items() if len(found) == 2]
    assert 1 <= len(ambiguous) <= 6


def test_stream_repeats() -> None:
    """Canonical texts repeat, so that a score cache is worth having."""
    texts = set()
    for event in timeline():
        fields = json.loads(event.value)
        texts.add(canonicalize("{service} {level} {message}".format_map(fields)))
    assert 200 <= len(texts) <= 1_500


def test_key_is_the_host() -> None:
    """The key names the host, so that one host's lines stay in order."""
    for event in timeline(a_second=5):
        assert json.loads(event.value)["host"].encode() == event.key


def test_time_comes_in() -> None:
    """The timestamp is the start plus the offset that the caller gave."""
    stream = PlatformStream(seed=1, start_ms=START_MS, duration_s=100)
    (event,) = stream.events(12.345, 1)
    assert json.loads(event.value)["ts"] == "2023-11-14T22:13:32.345Z"


@pytest.mark.parametrize("count", [0, -1])
def test_no_events(count: int) -> None:
    """Asking for no events gives none."""
    assert PlatformStream(seed=1, start_ms=START_MS, duration_s=1).events(0, count) == []


@pytest.mark.parametrize("duration_s", [0.0, -1.0])
def test_duration_must_be_positive(duration_s: float) -> None:
    """A timeline without length is refused."""
    with pytest.raises(ValueError, match="positive"):
        PlatformStream(seed=1, start_ms=START_MS, duration_s=duration_s)


def test_pace() -> None:
    """At least 20,000 events a CPU second."""
    stream = PlatformStream(seed=1, start_ms=START_MS, duration_s=100)
    start = time.process_time()
    stream.events(1, 20_000)
    assert time.process_time() - start < 1.0
