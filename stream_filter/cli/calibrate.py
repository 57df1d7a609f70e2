"""`stream-filter calibrate`: a threshold from labelled events, and what it promises."""

import time
from dataclasses import replace
from pathlib import Path

import click

from stream_filter.app.evidence_labels import labels_from_evidence
from stream_filter.app.labels import read_labels
from stream_filter.app.policy_edit import policy_to_calibrate, rules_of, write_calibration
from stream_filter.app.recalibration import bind, thresholds_for
from stream_filter.cli.calibration_report import print_calibration
from stream_filter.cli.options import (
    connection_options,
    json_option,
    model_dir_option,
    settings_of,
)
from stream_filter.cli.output import EXIT_FAILED, print_json, runs
from stream_filter.cli.quantities import OpenShare
from stream_filter.core.calibration import calibrate as calibrated
from stream_filter.core.targets import Target


@click.command()
@click.argument("events_path", metavar="[EVENTS]", required=False, type=click.Path(path_type=Path))
@click.option(
    "--from-evidence",
    is_flag=True,
    help="Instead of EVENTS: what the running gate showed to the analyst, and its verdicts.",
)
@click.option("--recall", type=OpenShare(), help="The target.  [the policy's, else 0.95]")
@click.option(
    "--failure-probability",
    type=OpenShare(),
    help="Chance that the target is missed all the same.  [the policy's, else 0.05]",
)
@click.option("--policy", "policy_path", type=click.Path(path_type=Path), help="A policy file.")
@click.option("--topic", help="A topic of the policy, as it is named there.")
@click.option(
    "--write",
    is_flag=True,
    help="Put the threshold in the policy, under --topic, with what it was calibrated for.",
)
@connection_options
@model_dir_option
@json_option
@runs
async def calibrate(
    events_path: Path | None,
    from_evidence: bool,
    recall: float | None,
    failure_probability: float | None,
    policy_path: Path | None,
    topic: str | None,
    write: bool,
    settings_path: Path | None,
    bootstrap: str | None,
    group: str | None,
    model_dir: Path | None,
    as_json: bool,
) -> None:
    """Choose the highest threshold that keeps a recall target, from labelled events.

    EVENTS: JSON lines with `score` and `important`, drawn at random; or from a running gate,
    each with the `probability` under which it came to be seen. With --from-evidence the gate's own
    evidence takes their place. Exit code 1 where there are too few important ones to certify
    anything; nothing is written then.

    \b
    stream-filter calibrate labels.jsonl --recall 0.95 --failure-probability 0.05
    stream-filter calibrate labels.jsonl --policy policy.yaml --topic payments.logs --write
    stream-filter calibrate --from-evidence --policy policy.yaml --topic payments.logs --write
    """
    _require_sense(events_path, policy_path, topic, from_evidence=from_evidence, write=write)
    rules = policy = None
    if policy_path and topic:
        policy = policy_to_calibrate(policy_path, topic)
        rules = rules_of(policy, topic, policy_path)
    settings = settings_of(settings_path, bootstrap=bootstrap, group=group, model_dir=model_dir)
    target = (rules.target if rules else None) or Target()
    recall = target.recall if recall is None else recall
    if failure_probability is None:
        failure_probability = target.failure_probability
    if events_path is not None:
        labels = read_labels(events_path)
    else:
        assert policy is not None, "--from-evidence comes with a policy"
        assert rules is not None
        labels = await labels_from_evidence(policy, rules, settings)
    found = calibrated(
        labels.scores,
        labels.important,
        recall=recall,
        failure_probability=failure_probability,
        probabilities=labels.probabilities,
    )
    wanted = thresholds_for(found, rules)
    problem = None
    if not found.certifiable:
        missing = found.positives_needed - found.positives
        problem = (
            f"not certifiable: {found.positives:,} important events among the labels, "
            f"{found.positives_needed:,} are needed: label {missing:,} more; until then only "
            "threshold 0, which forwards everything, keeps the promise"
        )
    policy_id = None
    if write and policy_path and topic and rules and problem is None:
        bound = bind(
            wanted,
            labels,
            rules,
            promise=replace(target, recall=recall, failure_probability=failure_probability),
            model_dir=settings.model_dir,
            at_ms=int(time.time() * 1000),
        )
        policy_id = write_calibration(policy_path, topic, wanted, bound).policy_id
    if as_json:
        print_json(
            {
                "ok": problem is None,
                "recall": recall,
                "failure_probability": failure_probability,
                "labels": len(labels.scores),
                "left_out_without_score": labels.without_score,
                "is_weighted": labels.probabilities is not None,
                "positives": found.positives,
                "positives_needed": found.positives_needed,
                "certifiable": found.certifiable,
                "threshold": found.threshold,
                "expected_forwarded_share": found.expected_forwarded_share,
                "raw": {"drop_below": wanted.drop_below, "keep_above": wanted.keep_above},
                "written": policy_id is not None,
                "policy_id": policy_id,
                "errors": [problem] if problem else [],
            }
        )
    else:
        in_force = rules.thresholds if rules and not rules.is_uncalibrated else None
        print_calibration(labels, found, recall, failure_probability, in_force)
        if policy_id:
            click.echo(
                f"\n{policy_path}: topics.{topic}: drop_below {wanted.drop_below!r}, keep_above "
                f"{wanted.keep_above!r} written, bound to pack, masks and text; policy id "
                f"{policy_id}; push it, or restart the workers"
            )
    if problem:
        click.echo(f"error: {problem}", err=True)
        raise SystemExit(EXIT_FAILED)


def _require_sense(
    events_path: Path | None,
    policy_path: Path | None,
    topic: str | None,
    *,
    from_evidence: bool,
    write: bool,
) -> None:
    if (events_path is None) != from_evidence:
        raise click.UsageError("give EVENTS, or --from-evidence in their place")
    if from_evidence and policy_path is None:
        raise click.UsageError("--from-evidence needs --policy and --topic")
    if (policy_path is None) != (topic is None):
        raise click.UsageError("--policy and --topic belong together")
    if write and policy_path is None:
        raise click.UsageError("--write needs --policy and --topic")
