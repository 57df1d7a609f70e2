"""`stream-filter test`: does this policy do what its cases expect?"""

from pathlib import Path

import click

from stream_filter.app.case_file import load_cases
from stream_filter.app.case_run import CaseResult, run_cases
from stream_filter.app.junit import write_junit
from stream_filter.app.policy_file import load_policy
from stream_filter.app.rehearsal import rehearsal_gate, with_all_topics
from stream_filter.cli.options import json_option, model_dir_option, settings_of, settings_option
from stream_filter.cli.output import EXIT_FAILED, print_json, printable, runs

_FUTURE_MS = 253_402_300_800_000  # the year 10000: no case comes from the future


@click.command("test")
@click.argument("policy_path", metavar="POLICY", type=click.Path(path_type=Path))
@click.argument("cases_path", metavar="CASES", type=click.Path(path_type=Path))
@settings_option
@model_dir_option
@click.option(
    "--junit",
    "junit_path",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="Write the results as JUnit XML too, for CI.",
)
@json_option
@runs
async def run_case_file(
    policy_path: Path,
    cases_path: Path,
    settings_path: Path | None,
    model_dir: Path | None,
    junit_path: Path | None,
    as_json: bool,
) -> None:
    """Decide the events of CASES by POLICY, and compare with what they expect.

    CASES is YAML, or JSON lines (.jsonl); docs/policy.md explains it. Needs the model packs, and
    no broker. Exit code 1 if a case fails, 2 if policy or cases are unsound.

    \b
    stream-filter test policy.yaml cases.yaml
    stream-filter test policy.yaml cases.jsonl --junit report.xml

    \b
    version: 1
    cases:
      - name: a refused card is kept
        topic: payments.logs
        payload: {level: ERROR, message: card refused}
        expect: {verdict: keep}
    """
    settings = settings_of(settings_path, model_dir=model_dir)
    policy = load_policy(policy_path)
    cases = load_cases(cases_path, policy)
    # By position the draw is luck, and a case is put where it falls otherwise.
    drawn = with_all_topics(policy, ramp_by="position")
    gate = rehearsal_gate(drawn, settings, clock_ms=lambda: _FUTURE_MS)
    results = list(run_cases(cases, policy, gate))
    failed = [result for result in results if not result.holds]
    if junit_path is not None:
        said = [(result, explain_failure(result)) for result in results]
        write_junit(junit_path, str(cases_path), said)
    if as_json:
        print_json(
            {
                "ok": not failed,
                "policy_id": policy.policy_id,
                "passed": len(results) - len(failed),
                "failed": len(failed),
                "cases": [_as_document(result) for result in results],
            }
        )
    else:
        for result in failed:
            case = result.case
            click.echo(f"FAILED {case.place}: {case.topic}: {printable(case.name)}")
            click.echo(explain_failure(result) + "\n")
        of = f"{len(results)} case{'s' * (len(results) != 1)}"
        outcome = f"{len(failed)} of {of} failed" if failed else f"{of} passed"
        click.echo(f"{outcome}, policy id {policy.policy_id}")
    if failed:
        raise SystemExit(EXIT_FAILED)


def explain_failure(result: CaseResult) -> str:
    """What was expected and what came out, and what the decision was made of: lines."""
    rows = [("", "expected", "got")]
    rows += [(m.what, _shown(m.expected), _shown(m.got)) for m in result.mismatches]
    width = max(len(expected) for _, expected, _ in rows)
    lines = [f"  {what:<9}{expected:<{width}}  {got}".rstrip() for what, expected, got in rows]
    got, thresholds = result.got, result.rules.thresholds
    facts = {
        "decided": f"{got['verdict']}: {got['route']}, {got['reason']}",
        "text": _shown(got["text"]),
        "score": f"{_shown(got['score'])} (drop below {thresholds.drop_below:g}, keep from "
        f"{thresholds.keep_above:g}; {result.rules.mode})",
    }
    if result.cause is not None:
        facts["cause"] = printable(result.cause)
    return "\n".join([*lines, *(f"  {name:<9}{fact}" for name, fact in facts.items())])


def _shown(value: object) -> str:
    if value is None:
        return "none"
    return printable(str(value), width=300)


def _as_document(result: CaseResult) -> dict[str, object]:
    case = result.case
    return {
        "name": case.name,
        "place": case.place,
        "topic": case.topic,
        "ok": result.holds,
        "expected": case.expected,
        "got": {
            key: result.got.get(key)
            for key in ("verdict", "route", "reason", "rule", "text", "score", "probability")
        },
        "cause": result.cause,
        "mismatches": [m.what for m in result.mismatches],
    }
