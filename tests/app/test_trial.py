"""A trial counts what the gate decides, and forgets the events."""

from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from stream_filter.app.policy_file import load_policy
from stream_filter.app.rehearsal import Rehearsal, RehearsedRecord
from stream_filter.app.trial import Trial, TrialReport
from stream_filter.core.decision import Reason, Route, Verdict
from stream_filter.formats.text_reader import text_reader
from stream_filter.gate.batch import RecordBatch
from stream_filter.gate.gate import Gate

SCORES = {"INFO a": 0.05, "INFO b": 0.1, "ERROR c": 0.95, "ERROR d": 1.0}
LINES: list[bytes | None] = [
    b'{"level": "INFO", "message": "a"}',
    b'{"level": "INFO", "message": "b"}',
    b'{"level": "ERROR", "message": "c"}',
    b'{"level": "ERROR", "message": "d"}',
    b'{"level": "odd"}',
    b"broken",
    b"broken \xff" + b"x" * 600,
    b"broken",
    None,
]
BELOW = (Route.DISCARD, Reason.BELOW_THRESHOLD)
IMPORTANT = (Route.FORWARD, Reason.IMPORTANT)
DEAD = (Route.DEAD_LETTER, Reason.UNDECODABLE)


@pytest.fixture
def tried(
    tmp_path: Path, good_policy: str, fixed_gate: Callable[..., Gate]
) -> Callable[..., TrialReport]:
    """Tries LINES so many times, in batches of so many."""
    path = tmp_path / "policy.yaml"

    def run(*, times: int = 1, batch: int = 1000, examples: int = 3, keys: str = "") -> TrialReport:
        path.write_text(good_policy + "    mode: enforce\n    holdout: 0\n" + keys)
        policy = load_policy(path)
        rehearsal = Rehearsal(fixed_gate(policy, SCORES))
        trial = Trial(text_reader(policy.topics[0]), examples=examples)
        records = [RehearsedRecord(offset=i, value=v) for i, v in enumerate(LINES * times)]
        for at in range(0, len(records), batch):
            part = records[at : at + batch]
            taken = RecordBatch(
                topic="payments.logs",
                partition=2,
                first_offset=at,
                next_offset=at + len(part),
                records=part,
            )
            trial.add(taken, rehearsal.decide(taken))
        return trial.report()

    return run


def test_counts(tried: Callable[..., TrialReport]) -> None:
    """Each event is counted once, by route and reason, by verdict and by score."""
    report = tried(times=10)
    assert report.events == 90
    assert report.fates == {
        DEAD: 30,
        BELOW: 20,
        IMPORTANT: 20,
        (Route.FORWARD, Reason.AMBIGUOUS): 10,
        (Route.FORWARD, Reason.UNREADABLE): 10,
    }
    assert list(report.fates.values()) == sorted(report.fates.values(), reverse=True)
    assert report.verdicts == {Verdict.KEEP: 20, Verdict.DROP: 20, Verdict.ABSTAIN: 50}
    assert report.score_counts.tolist() == [10, 10, 0, 0, 0, 10, 0, 0, 0, 20]
    assert report.score_counts.sum() + report.unscored == report.events
    assert (report.distinct_texts, report.forwarded) == (5, 40)


@pytest.mark.parametrize("batch", [1, 7, 1000])
def test_remembers_from_batch_to_batch(tried: Callable[..., TrialReport], batch: int) -> None:
    """Novelty and folds count over the whole trial, however it is batched."""
    keys = "    novelty: {forward_first: 2}\n    fold: {window: 60s, keep: 3}\n"
    report = tried(times=10, batch=batch, keys=keys)
    assert report.fates[Route.FORWARD, Reason.NOVEL] == 2 * 2
    assert report.fates[BELOW] == 20 - 4
    assert report.fates[IMPORTANT] == 2 * 3
    assert report.fates[Route.FOLD, Reason.DUPLICATE] == 20 - 6 + 10 - 3


def test_tokens_are_of_what_is_forwarded(tried: Callable[..., TrialReport]) -> None:
    """Tokens are estimated from the length of values, of all and of those forwarded."""
    report = tried()
    sizes = [len(value or b"") for value in LINES]
    assert report.value_bytes == sum(sizes)
    assert report.tokens == sum(max(1, -(-size // 3)) for size in sizes)
    assert report.forwarded_tokens == sum(max(1, -(-sizes[i] // 3)) for i in (2, 3, 4, 8))


def test_examples_differ(tried: Callable[..., TrialReport]) -> None:
    """Of each route and reason the first events with distinct texts are kept, or what is there."""
    report = tried(times=10, examples=2)
    assert [e.text for e in report.examples[BELOW]] == ["INFO a", "INFO b"]
    first = report.examples[IMPORTANT][0]
    assert (first.topic, first.partition, first.offset, first.score) == (
        "payments.logs",
        2,
        2,
        0.95,
    )
    assert first.payload == '{"level": "ERROR", "message": "c"}'
    broken, long = report.examples[DEAD]
    assert (broken.payload, broken.text, broken.score) == ("broken", None, None)
    assert long.payload == "broken \ufffd" + "x" * 492 + "…"
    (tombstone,) = report.examples[Route.FORWARD, Reason.UNREADABLE]
    assert tombstone.payload is None


def test_no_examples_wanted(tried: Callable[..., TrialReport]) -> None:
    """With no examples wanted none are kept, and everything is counted all the same."""
    report = tried(examples=0)
    assert Counter(len(kept) for kept in report.examples.values()) == {0: len(report.fates)}


@pytest.mark.parametrize("batch", [1, 4, 9])
def test_batches_do_not_matter(tried: Callable[..., TrialReport], batch: int) -> None:
    """However the events are batched, the report is the same."""
    report, other = tried(times=3), tried(times=3, batch=batch)
    assert report.score_counts.tolist() == other.score_counts.tolist()
    for name in ("events", "fates", "verdicts", "distinct_texts", "tokens", "forwarded_tokens"):
        assert getattr(report, name) == getattr(other, name)
    assert list(report.fates) == list(other.fates)
    assert {f: [e.offset for e in kept] for f, kept in report.examples.items()} == {
        f: [e.offset for e in kept] for f, kept in other.examples.items()
    }
