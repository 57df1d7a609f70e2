"""What `calibrate` prints: a table and a plot."""

import click
import numpy as np
from numpy.typing import NDArray

from stream_filter.app.labels import Labels
from stream_filter.cli.chart import chart
from stream_filter.cli.output import print_table
from stream_filter.cli.quantities import share_text
from stream_filter.core.calibration import Calibration
from stream_filter.core.policy import Thresholds


def print_calibration(
    labels: Labels,
    found: Calibration,
    recall: float,
    failure_probability: float,
    in_force: Thresholds | None,
) -> None:
    """What was found, beside what is in force, and a plot."""
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
