"""`stream-filter calibrate`: a threshold from labelled events, and what it promises."""

from pathlib import Path

import click
import numpy as np
from numpy.typing import NDArray

from stream_filter.app.labels import Labels, read_labels
from stream_filter.app.policy_edit import rules_of, write_thresholds, written_threshold
from stream_filter.app.policy_file import load_policy
from stream_filter.cli.chart import chart
from stream_filter.cli.options import json_option
from stream_filter.cli.output import EXIT_FAILED, print_json, print_table, runs
from stream_filter.cli.quantities import OpenShare, share_text
from stream_filter.core.calibration import Calibration
from stream_filter.core.calibration import calibrate as calibrated
from stream_filter.core.policy import Thresholds


@click.command()
@click.argument("events_path", metavar="EVENTS", type=click.Path(path_type=Path))
@click.option("--recall", type=OpenShare(), default=0.95, show_default=True, help="The target.")
@click.option(
    "--failure-probability",
    type=OpenShare(),
    default=0.05,
    show_default=True,
    help="Chance that the target is missed all the same.",
)
@click.option("--policy", "policy_path", type=click.Path(path_type=Path), help="A policy file.")
@click.option("--topic", help="A topic of the policy, as it is named there.")
@click.option("--write", is_flag=True, help="Put the threshold in the policy, under --topic.")
@json_option
@runs
async def calibrate(
    events_path: Path,
    recall: float,
    failure_probability: float,
    policy_path: Path | None,
    topic: str | None,
    write: bool,
    as_json: bool,
) -> None:
    """Choose the highest threshold that keeps a recall target, from labelled events.

    EVENTS: JSON lines with `score` and `important`, drawn at random; or from a running gate,
    each with the `probability` under which it came to be seen. Exit code 1 where there are too
    few important ones to certify anything; nothing is written then.

    \b
    stream-filter calibrate labels.jsonl --recall 0.95 --failure-probability 0.05
    stream-filter calibrate labels.jsonl --policy policy.yaml --topic payments.logs --write
    """
    if (policy_path is None) != (topic is None):
        raise click.UsageError("--policy and --topic belong together")
    if write and policy_path is None:
        raise click.UsageError("--write needs --policy and --topic")
    in_force = None
    if policy_path and topic:
        in_force = rules_of(load_policy(policy_path), topic, policy_path).thresholds
    labels = read_labels(events_path)
    found = calibrated(
        labels.scores,
        labels.important,
        recall=recall,
        failure_probability=failure_probability,
        probabilities=labels.probabilities,
    )
    wanted = _thresholds(found, in_force)
    problem = None
    if not found.certifiable:
        missing = found.positives_needed - found.positives
        problem = (
            f"not certifiable: {found.positives:,} important events among the labels, "
            f"{found.positives_needed:,} are needed: label {missing:,} more; until then only "
            "threshold 0, which forwards everything, keeps the promise"
        )
    policy_id = None
    if write and policy_path and topic and problem is None:
        policy_id = write_thresholds(policy_path, topic, wanted).policy_id
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
        _print(labels, found, recall, failure_probability, in_force)
        if policy_id:
            click.echo(
                f"\n{policy_path}: topics.{topic}.raw: drop_below {wanted.drop_below!r}, "
                f"keep_above {wanted.keep_above!r} written; policy id {policy_id}; "
                "restart the workers"
            )
    if problem:
        click.echo(f"error: {problem}", err=True)
        raise SystemExit(EXIT_FAILED)


def _thresholds(found: Calibration, in_force: Thresholds | None) -> Thresholds:
    """Below the threshold: drop. The band above it stays as far as there is room."""
    drop_below = written_threshold(found.threshold)
    keep_above = in_force.keep_above if in_force else drop_below
    return Thresholds(drop_below=drop_below, keep_above=max(keep_above, drop_below))


def _print(
    labels: Labels,
    found: Calibration,
    recall: float,
    failure_probability: float,
    in_force: Thresholds | None,
) -> None:
    rows: list[tuple[str, str]] = [
        ("labels", f"{len(labels.scores):,}, of these {found.positives:,} important"),
        ("needed", f"{found.positives_needed:,} important, to certify anything"),
        ("threshold", f"{found.threshold:.5g}: forward scores at or above"),
        (
            "promise",
            f"recall ≥ {recall:g}, except with a chance of {failure_probability:g}"
            if found.certifiable
            else "none: everything is forwarded",
        ),
        ("forwarded", f"{share_text(found.expected_forwarded_share)} of all events, expected"),
    ]
    if labels.without_score:
        rows.append(("left out", f"{labels.without_score:,} labels without a score"))
    if in_force:
        share = _share_at(labels, np.array([in_force.drop_below]))[0]
        rows.append(
            ("in force", f"drop_below {in_force.drop_below:g}: would forward {share_text(share)}")
        )
    print_table(("", ""), rows)
    click.echo()
    at = np.linspace(0.0, 1.0, 401)
    curves = {"recall of the labels": (at, _recall_at(labels, at))} if found.positives else {}
    curves["events forwarded"] = (at, _share_at(labels, at))
    ticks = (0.0, 0.25, 0.5, 0.75, 1.0)
    for line in chart(curves, x_name="threshold", x_ticks=ticks, mark_at=found.threshold):
        click.echo(line)


def _share_at(
    labels: Labels, thresholds: NDArray[np.float64], among: NDArray[np.bool_] | None = None
) -> NDArray[np.float64]:
    """Share of events with a score at or above each threshold, the unlabelled included."""
    chosen = np.ones(len(labels.scores), np.bool_) if among is None else among
    chances = labels.probabilities
    weights = np.ones(chosen.sum()) if chances is None else 1.0 / chances[chosen]
    ascending = np.argsort(labels.scores[chosen])
    below = np.concatenate(([0.0], np.cumsum(weights[ascending])))
    at = np.searchsorted(labels.scores[chosen][ascending], thresholds)
    shares: NDArray[np.float64] = 1.0 - below[at] / below[-1]
    return shares


def _recall_at(labels: Labels, thresholds: NDArray[np.float64]) -> NDArray[np.float64]:
    return _share_at(labels, thresholds, labels.important)
