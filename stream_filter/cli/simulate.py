"""`stream-filter simulate`: thousands of made streams through the gate's own statistics."""

import math
import sys
from dataclasses import asdict, dataclass
from typing import Any

import click
import numpy as np

from stream_filter.cli.options import json_option
from stream_filter.cli.output import EXIT_FAILED, print_json, print_table, runs
from stream_filter.cli.quantities import Figure, OpenShare, share_text
from stream_filter.core.drift import RecallWatch
from stream_filter.core.errors import ConfigError
from stream_filter.simulation.calibrating import calibrate_from_labels, calibrate_from_production
from stream_filter.simulation.detecting import Detected, detect, run_length
from stream_filter.simulation.setting import Drift, ScoreKind, Setting
from stream_filter.simulation.watching import watch

_ALARM = 1e-3
"""Failure probability of the drift alarm: small enough to see its run length in a minute."""
_FALLS = (0.9, 0.8, 0.5)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Promise:
    """A share that was promised, beside the one that came."""

    what: str
    promised: float
    came: float
    is_kept: bool


@click.command()
@click.option("--prevalence", type=OpenShare(), default=0.01, show_default=True)
@click.option("--auc", type=OpenShare(), default=0.95, show_default=True)
@click.option(
    "--scores",
    type=click.Choice([kind.value for kind in ScoreKind]),
    default=ScoreKind.CONTINUOUS.value,
    show_default=True,
    help="How the model's scores fall.",
)
@click.option("--recall", type=OpenShare(), default=0.95, show_default=True, help="The target.")
@click.option("--failure-probability", type=OpenShare(), default=0.05, show_default=True)
@click.option("--holdout", type=OpenShare(), default=0.05, show_default=True)
@click.option(
    "--operating-recall",
    type=OpenShare(),
    help="At which the gate runs before any drift.  [half way from --recall to 1]",
)
@click.option(
    "--drift",
    type=click.Choice([kind.value for kind in Drift]),
    default=Drift.NONE.value,
    show_default=True,
    help="What happens to the scores.",
)
@click.option(
    "--drift-size",
    type=Figure(0.0, 10.0),
    default=1.0,
    show_default=True,
    help="Standard deviations by which they fall.",
)
@click.option("--late", type=Figure(0.0, 0.9), default=0.0, help="Share of verdicts.")
@click.option("--lost", type=Figure(0.0, 0.9), default=0.0, help="Share of verdicts.")
@click.option("--doubled", type=Figure(0.0, 0.9), default=0.0, help="Share of verdicts.")
@click.option("--wrong", type=Figure(0.0, 0.9), default=0.0, help="Share of verdicts.")
@click.option(
    "--positives",
    type=click.IntRange(1, 1_000_000),
    default=300,
    show_default=True,
    help="Important events among the labels of a calibration.",
)
@click.option(
    "--important",
    type=click.IntRange(10, 1_000_000),
    default=2_000,
    show_default=True,
    help="Important events of a stream.",
)
@click.option("--streams", type=click.IntRange(10, 1_000_000), default=2_000, show_default=True)
@click.option("--seed", type=click.IntRange(0), default=1, show_default=True)
@json_option
@runs
async def simulate(
    positives: int, seed: int, as_json: bool, operating_recall: float | None, **stream: Any
) -> None:
    """Run thousands of made streams through the same statistics that a gate uses, and set what
    they promise beside what comes: coverage, tightness, the drift alarm's delay.

    Exit code 1 if a promise is broken more often than chance explains (two standard errors).

    \b
    stream-filter simulate --holdout 0.01 --auc 0.9
    stream-filter simulate --drift positives --lost 0.001 --streams 5000
    """
    try:
        setting = Setting(
            **stream
            | {
                "scores": ScoreKind(stream["scores"]),
                "drift": Drift(stream["drift"]),
                "operating_recall": operating_recall or (1.0 + stream["recall"]) / 2.0,
            }
        )
    except ValueError as error:
        raise ConfigError(f"--{error}") from error
    rng = np.random.default_rng(seed)
    recall, streams = setting.recall, setting.streams
    _say(f"{streams:,} streams: bounds", quiet=as_json)
    watched = watch(setting, rng)
    _say("calibration from labels", quiet=as_json)
    from_labels = calibrate_from_labels(setting, rng, positives=positives)
    _say("calibration from production", quiet=as_json)
    from_production = calibrate_from_production(setting, rng)
    _say("drift alarm", quiet=as_json)
    alarm = RecallWatch(recall=recall, holdout=setting.holdout, failure_probability=_ALARM)
    events = round(1.0 / _ALARM)
    # Ended at three times what is promised, the mean is below the true one: never above.
    _, mean_run = run_length(alarm, rng, recall=recall, events=3 * events, streams=streams)
    falls = {
        after: detect(alarm, rng, before=setting.operating_recall, after=after, streams=streams)
        for after in _FALLS
        if after < recall
    }

    sure = 1.0 - setting.failure_probability
    promises = [
        _promise("M within its bounds, at every step", sure, 1.0 - watched.ever_wrong, streams),
        _promise("recall within its interval, at every look", sure,
                 1.0 - watched.recall_ever_wrong, streams),
        _promise("no certificate while recall is below target", sure,
                 1.0 - watched.certified_wrongly, streams),
        _promise(f"target met, {positives:,} positives", sure, from_labels.met, streams),
        _promise("target met, labels from production", sure, from_production.met, streams),
    ]  # fmt: skip
    figures: dict[str, object] = {
        "tightness": watched.tightness,
        "recall": watched.recall,
        "recall_lower": watched.recall_lower,
        "certified": watched.certified,
        "refuted": watched.refuted,
        "fixed_time_bound_ever_wrong": watched.fixed_time_ever_wrong,
        "naive_threshold_met": from_labels.naive_met,
        "calibrated_recall": from_labels.recall,
        "forwarded_share": from_labels.forwarded_share,
        "certifiable": from_labels.certifiable,
        "certifiable_from_production": from_production.certifiable,
        "mean_run_length": mean_run,
        "promised_run_length": events,
    }
    is_kept = all(p.is_kept for p in promises) and mean_run >= events
    if as_json:
        print_json(
            {
                "ok": is_kept,
                "setting": asdict(setting),
                "seed": seed,
                "promises": [asdict(p) for p in promises],
                "figures": figures,
                "drift": {str(after): asdict(found) for after, found in falls.items()},
            }
        )
    else:
        _print(promises, figures, falls)
    if not is_kept:
        click.echo("error: a promise was broken more often than chance explains", err=True)
        raise SystemExit(EXIT_FAILED)


def _promise(what: str, promised: float, came: float, streams: int) -> _Promise:
    slack = 2.0 * math.sqrt(promised * (1.0 - promised) / streams)
    return _Promise(what=what, promised=promised, came=came, is_kept=came >= promised - slack)


def _print(
    promises: list[_Promise], figures: dict[str, object], falls: dict[float, Detected]
) -> None:
    print_table(
        ("promise, of streams", "promised", "came", ""),
        [
            (p.what, share_text(p.promised), share_text(p.came), "kept" if p.is_kept else "BROKEN")
            for p in promises
        ],
    )
    click.echo()
    print_table(
        ("figure", ""),
        [
            (name.replace("_", " "), f"{value:.4g}" if isinstance(value, float) else f"{value:,}")
            for name, value in figures.items()
        ],
    )
    if falls:
        click.echo()
        print_table(
            ("recall falls to", "noticed", "after important events", "false alarms before"),
            [
                (f"{after:g}", share_text(f.noticed), f"{f.delay:.0f}", share_text(f.false_alarms))
                for after, f in falls.items()
            ],
        )


def _say(what: str, *, quiet: bool) -> None:
    if not quiet and sys.stderr.isatty():
        click.echo(what, err=True)
