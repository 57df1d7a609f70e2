"""Cases are decided as a worker would decide them, and compared with what they expect."""

from collections.abc import Callable
from pathlib import Path

import pytest

from stream_filter.app.case_file import load_cases
from stream_filter.app.case_run import CaseResult, run_cases
from stream_filter.app.policy_file import load_policy
from stream_filter.gate.gate import Gate

MakeGate = Callable[..., Gate]
SCORES = {"INFO routine": 0.05, "ERROR failure": 0.95}
ROUTINE = "payload: {level: INFO, message: routine}"
FAILURE = "payload: {level: ERROR, message: failure}"


@pytest.fixture
def run(tmp_path: Path, good_policy: str, fixed_gate: MakeGate) -> Callable[..., list[CaseResult]]:
    """Runs cases on a policy of one topic, with more keys for it."""

    def run_all(
        *cases: str, keys: str = "mode: enforce", text: str = "{level} {message}"
    ) -> list[CaseResult]:
        policy_path, cases_path = tmp_path / "policy.yaml", tmp_path / "cases.yaml"
        sound = good_policy.replace("{level} {message}", text)
        policy_path.write_text(sound + "".join(f"    {line}\n" for line in keys.split("\n")))
        cases_path.write_text("version: 1\ncases:\n" + "".join(f"  - {{{c}}}\n" for c in cases))
        policy = load_policy(policy_path)
        cases_read = load_cases(cases_path, policy)
        return list(run_cases(cases_read, policy, fixed_gate(policy, SCORES)))

    return run_all


@pytest.mark.parametrize(
    "case",
    [
        f"{FAILURE}, expect: {{verdict: keep, route: forward, reason: important}}",
        f"{FAILURE}, expect: {{score: {{min: 0.95, max: 0.95}}, text: ERROR failure}}",
        f"{ROUTINE}, expect: {{verdict: drop, route: discard, reason: below_threshold}}",
        "payload: {level: x}, expect: {verdict: abstain, reason: ambiguous, text: x}",
        "payload: {}, expect: {route: forward, reason: unreadable}",
        "payload: , expect: {route: forward, reason: unreadable}",
        "payload: broken, expect: {route: dead_letter, reason: undecodable}",
    ],
)
def test_what_comes_out(run: Callable[..., list[CaseResult]], case: str) -> None:
    """A case whose expectations are what the gate decides holds, and each can fail."""
    (result,) = run(case)
    assert result.holds, result.mismatches
    wrong = case.partition("expect:")[0] + "expect: {verdict: %s, text: other, score: {min: 1}}"
    (result,) = run(wrong % ("drop" if result.got["verdict"] == "keep" else "keep"))
    assert [m.what for m in result.mismatches] == ["verdict", "text", "score"]


@pytest.mark.parametrize(
    ("event", "repeat", "route", "reason"),
    [
        (ROUTINE, 2, "forward", "novel"),
        (ROUTINE, 3, "discard", "below_threshold"),
        (FAILURE, 3, "forward", "important"),
        (FAILURE, 4, "fold", "duplicate"),
    ],
)
def test_what_earlier_events_decide(
    run: Callable[..., list[CaseResult]], event: str, repeat: int, route: str, reason: str
) -> None:
    """Novelty and folds are tested by repeating the event; a case knows nothing of the others."""
    keys = "mode: enforce\nholdout: 0\nnovelty: {forward_first: 2}\nfold: {window: 60s, keep: 3}"
    case = f"{event}, repeat: {repeat}, expect: {{route: {route}, reason: {reason}}}"
    (first, second) = run(case, case, keys=keys)
    assert first.holds, first.mismatches
    assert second.holds, second.mismatches


def test_only_what_is_expected_is_compared(run: Callable[..., list[CaseResult]]) -> None:
    """A mismatch names what was expected and what came out, and nothing else."""
    (result,) = run(f"{ROUTINE}, expect: {{verdict: keep, route: discard}}")
    (mismatch,) = result.mismatches
    assert (mismatch.what, mismatch.expected, mismatch.got) == ("verdict", "keep", "drop")


def test_cause_is_told(run: Callable[..., list[CaseResult]]) -> None:
    """Of what cannot be decoded, the result says why."""
    (result,) = run("payload: broken, expect: {verdict: keep}")
    assert result.cause == "broken JSON: Expecting value at character 0"


def test_literal_text_of_a_template_is_no_text_of_a_dead_letter(
    run: Callable[..., list[CaseResult]],
) -> None:
    """What cannot be decoded has no canonical text, whatever the template adds to fields."""
    (result,) = run("payload: broken, expect: {text: 'level'}", text="level {level}")
    assert result.got["text"] is None
    assert run("payload: {}, expect: {text: 'level'}", text="level {level}")[0].holds


def test_shadow_policy_forwards(run: Callable[..., list[CaseResult]]) -> None:
    """A policy in shadow mode forwards what it would drop: that is what its cases see."""
    (result,) = run(f"{ROUTINE}, expect: {{verdict: drop, reason: shadow}}", keys="mode: shadow")
    assert result.holds


@pytest.mark.parametrize("holdout", ["0.3", "0.9"])
def test_holdout_is_no_accident(run: Callable[..., list[CaseResult]], holdout: str) -> None:
    """A drop is a drop whatever the holdout draws, and a case may ask to see the draw."""
    drop = f"{ROUTINE}, expect: {{route: discard, reason: below_threshold}}"
    held = f"{ROUTINE}, expect: {{route: forward, reason: holdout, verdict: drop}}"
    results = run(*[drop] * 5, *[held] * 5, keys=f"mode: enforce\nholdout: {holdout}")
    assert [result.holds for result in results] == [True] * 10


def test_certain_holdout_is_not_luck(run: Callable[..., list[CaseResult]]) -> None:
    """Where every drop is held out, no draw is asked for again; where none is, none is found."""
    drop = f"{ROUTINE}, expect: {{route: discard}}"
    held = f"{ROUTINE}, expect: {{reason: holdout}}"
    assert [r.holds for r in run(drop, held, keys="mode: enforce\nholdout: 1")] == [False, True]
    assert [r.holds for r in run(drop, held, keys="mode: enforce\nholdout: 0")] == [True, False]


def test_cases_do_not_know_each_other(run: Callable[..., list[CaseResult]]) -> None:
    """A case comes out the same wherever it stands in the file."""
    case = f"{ROUTINE}, expect: {{verdict: keep}}"
    alone = run(case, keys="mode: enforce\nholdout: 0.5")[0]
    among = run(*[f"{FAILURE}, expect: {{verdict: keep}}"] * 3, case)[-1]
    assert {**alone.got, "policy_id": ""} == {
        **among.got,
        "policy_id": "",
        "probability": alone.got["probability"],
    }


def test_last_of_the_repeated_is_looked_at(run: Callable[..., list[CaseResult]]) -> None:
    """A repeated event comes in one batch, at offsets 0, 1, …; the last one is compared."""
    (result,) = run(f"{ROUTINE}, repeat: 6, expect: {{verdict: drop}}")
    assert result.got["position"].endswith("/5")
    assert result.got["block_id"].endswith("/0-5")


def test_a_case_may_expect_the_rule(run: Callable[..., list[CaseResult]]) -> None:
    """Rules see the case's payload, key, headers and time; what a case expects of the deciding
    rule is its name, or its place."""
    rules = [
        "{when: 'has(headers.tenant) && key == \"k\"', then: keep, name: tenants}",
        "{when: 'timestamp < timestamp(\"2026-01-01T00:00:00Z\")', then: drop, holdout: 0}",
    ]
    cases = [
        f"{ROUTINE}, key: k, headers: {{tenant: blue}}, expect: {{rule: tenants, reason: rule}}",
        f"{FAILURE}, timestamp: 2025-12-31, expect: {{rule: '#2', route: discard, verdict: drop}}",
        f"{FAILURE}, timestamp: 2026-01-01, expect: {{reason: important}}",
        f"{FAILURE}, timestamp: 2026-01-01, expect: {{rule: tenants}}",
    ]
    keys = f"mode: enforce\nrules: [{', '.join(rules)}]"
    results = run(*cases, keys=keys)
    assert [result.holds for result in results] == [True, True, True, False]
    (mismatch,) = results[3].mismatches
    assert (mismatch.what, mismatch.expected, mismatch.got) == ("rule", "tenants", None)
