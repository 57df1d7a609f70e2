"""Cases, decided and compared with what they expect."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from time import perf_counter
from typing import Any

from stream_filter.app.block_rows import rows_of
from stream_filter.app.case_file import Case, ScoreRange
from stream_filter.app.rehearsal import Rehearsal, read_one
from stream_filter.core.decision import Reason, Route
from stream_filter.core.policy import Mode, Policy, TopicPolicy
from stream_filter.formats.text_reader import text_reader
from stream_filter.gate.batch import RecordBatch
from stream_filter.gate.gate import Gate

_POSITIONS = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Mismatch:
    """One thing that came out otherwise."""

    what: str
    """A key of `expect`."""
    expected: object
    got: object


@dataclass(frozen=True, slots=True, kw_only=True)
class CaseResult:
    """A case, decided."""

    case: Case
    rules: TopicPolicy
    got: Mapping[str, Any]
    """The decision as `rows_of` gives it, and `text`: the canonical one, None where there is
    none."""
    cause: str | None
    """Why there is no score, or why the value cannot be decoded."""
    mismatches: tuple[Mismatch, ...]
    seconds: float

    @property
    def holds(self) -> bool:
        return not self.mismatches


def run_cases(cases: Iterable[Case], policy: Policy, gate: Gate) -> Iterator[CaseResult]:
    """Decide each case by itself, on a partition that nothing came from before.

    Holdout and ramp are drawn by position: luck, which is not what a case is about. So a case is
    decided at partition 0, and if the draw falls on it there, at 1, and so on, up to 1,000 times;
    a case that expects the reason `holdout` is decided until the draw does fall on it.
    """
    readers = {rules.topic: text_reader(rules) for rules in policy.topics}
    for case in cases:
        rules = policy.for_topic(case.topic)
        assert rules is not None, f"the case file was checked: {case.topic}"
        began = perf_counter()
        got, degraded_because = _decide(case, rules, gate)
        seconds = perf_counter() - began
        got["text"], cause = read_one(readers[rules.topic], case.record.value)
        yield CaseResult(
            case=case,
            rules=rules,
            got=got,
            cause=cause or degraded_because,
            mismatches=tuple(_mismatches(case.expected, got)),
            seconds=seconds,
        )


def _decide(case: Case, rules: TopicPolicy, gate: Gate) -> tuple[dict[str, object], str | None]:
    """The last record's decision, and why the model gave no score."""
    records = [replace(case.record, offset=offset) for offset in range(case.repeat)]
    for partition in range(_POSITIONS):
        outcome = Rehearsal(gate).decide(
            RecordBatch(
                topic=case.topic,
                partition=partition,
                first_offset=0,
                next_offset=case.repeat,
                records=records,
            )
        )
        *_, got = rows_of(outcome.block)
        if not _is_luck(got, rules, wanted=case.expected.get("reason")):
            break
    return got, outcome.degraded_because


def _is_luck(got: Mapping[str, Any], rules: TopicPolicy, *, wanted: object) -> bool:
    """Whether another position may have another outcome, of which the case is."""
    probability: float = got["probability"]
    if wanted == Reason.HOLDOUT.label:
        return bool(got["route"] == Route.DISCARD.label and probability > 0)
    if got["reason"] == wanted:
        return False
    if got["reason"] == Reason.HOLDOUT.label:
        return probability < 1
    # Enforced, and yet shadow: the ramp has not come to this position.
    return bool(got["reason"] == Reason.SHADOW.label and rules.mode is Mode.ENFORCE)


def _mismatches(expected: Mapping[str, object], got: Mapping[str, Any]) -> Iterator[Mismatch]:
    for what, wanted in expected.items():
        found = got.get(what)
        if isinstance(wanted, ScoreRange):
            fits = found is not None and wanted.min <= found <= wanted.max
        else:
            fits = found == wanted
        if not fits:
            yield Mismatch(what=what, expected=wanted, got=found)
