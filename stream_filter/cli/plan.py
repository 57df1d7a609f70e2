"""`stream-filter plan`: what a recall target will cost, before anything runs."""

import math
from dataclasses import asdict, dataclass

import click
import numpy as np

from stream_filter.cli.chart import chart
from stream_filter.cli.options import json_option
from stream_filter.cli.output import EXIT_FAILED, print_json, print_table, runs
from stream_filter.cli.quantities import (
    Figure,
    OpenShare,
    Rate,
    Span,
    money_text,
    share_text,
    span_text,
)
from stream_filter.core.errors import ConfigError
from stream_filter.core.planning import Plan, Range, Stream
from stream_filter.core.planning import plan as planned
from stream_filter.simulation.launching import Launched, launch
from stream_filter.simulation.setting import Setting

_LABELS = (1, 100, 300, 1_000, 3_000)
"""Important events to label; the first becomes the least number that certifies anything."""
_MILLION = 1e6
_MONTH_DAYS = 30
_TOLERANCE = 0.25


@dataclass(frozen=True, slots=True, kw_only=True)
class _Bill:
    """Money, in the currency of --price."""

    plan: Plan
    labels: float
    per_day: Range

    @property
    def first_month(self) -> float:
        return self.labels + _MONTH_DAYS * self.per_day.median


@click.command("plan")
@click.option("--prevalence", type=OpenShare(), required=True, help="Share of important events.")
@click.option(
    "--auc",
    type=OpenShare(),
    required=True,
    help="The model's: the chance that an important event scores above another.",
)
@click.option("--rate", type=Rate(), required=True, help="Events a second: 50000/s, 3e6/day.")
@click.option("--recall", type=OpenShare(), default=0.95, show_default=True, help="The target.")
@click.option(
    "--failure-probability",
    type=OpenShare(),
    default=0.05,
    show_default=True,
    help="Chance that a promise is wrong.",
)
@click.option(
    "--price",
    type=Figure(0.0),
    required=True,
    help="What the analyst takes for a million tokens, in your currency.",
)
@click.option(
    "--tokens",
    type=Figure(0.0, min_open=True),
    default=300.0,
    show_default=True,
    help="Tokens that reading one event takes.",
)
@click.option(
    "--certify-within",
    type=Span(),
    default="24h",
    show_default=True,
    help="When the certificate is wanted; the holdout follows.",
)
@click.option("--holdout", type=OpenShare(), help="Take this holdout instead.")
@click.option(
    "--labels",
    type=click.IntRange(1),
    multiple=True,
    help="Important events to label for calibration.  [several, to compare]",
)
@click.option(
    "--simulate",
    "streams",
    type=click.IntRange(100, 10_000),
    help="Calibrate and run so many made streams for each row, and set beside it what came.",
)
@json_option
@runs
async def plan(
    prevalence: float,
    auc: float,
    rate: float,
    recall: float,
    failure_probability: float,
    price: float,
    tokens: float,
    certify_within: float,
    holdout: float | None,
    labels: tuple[int, ...],
    streams: int | None,
    as_json: bool,
) -> None:
    """Say what a recall target will cost: labels, holdout, time to the certificate, events
    forwarded, money a day. Nothing has to run for it.

    The model's scores are taken to be normal with equal variance, as far apart as the AUC says.
    Figures are medians: half of all gates fare better. Exit code 1 if no row can be certified,
    or if a simulated run is off by more than a quarter.

    \b
    stream-filter plan --prevalence 0.001 --auc 0.95 --rate 50000/s --recall 0.95 --price 2.5
    stream-filter plan --prevalence 0.01 --auc 0.99 --rate 100/s --price 2.5 --simulate 2000
    """
    stream = _stream(prevalence, auc, rate)
    per_event = price * tokens / _MILLION
    least = math.ceil(math.log(failure_probability) / math.log(recall))
    choices = sorted(set(labels or [max(n, least) for n in _LABELS]))
    bills = [
        _bill(
            planned(
                stream,
                recall=recall,
                failure_probability=failure_probability,
                positives=positives,
                holdout=holdout,
                certify_within_s=None if holdout is not None else certify_within,
            ),
            per_event,
        )
        for positives in choices
    ]
    came = [
        _launched(bill.plan, stream, recall, failure_probability, streams or 0) for bill in bills
    ]
    everything = rate * 86_400.0 * per_event
    sound = [b for b in bills if b.plan.certified_after_s and b.plan.holdout]
    best = min(sound, key=lambda b: b.first_month, default=None)
    if as_json:
        print_json(
            {
                "ok": best is not None and not any(map(_is_off, bills, came)),
                "asked": {
                    "prevalence": prevalence,
                    "auc": auc,
                    "events_per_s": rate,
                    "recall": recall,
                    "failure_probability": failure_probability,
                    "price_per_million_tokens": price,
                    "tokens_per_event": tokens,
                    "certify_within_s": certify_within,
                    "holdout": holdout,
                },
                "cost_per_day_of_reading_everything": everything,
                "cheapest_labels": best.plan.positives if best else None,
                "plans": [_document(*row) for row in zip(bills, came, strict=True)],
            }
        )
    else:
        _print(bills, best, everything)
        if streams:
            click.echo(f"\nand so it came in {streams:,} made streams each, medians:\n")
            _print_came(bills, came)
        click.echo()
        _draw(prevalence, auc, rate, recall)
    if best is None:
        click.echo(
            "error: no plan is certified in time: take fewer labels, a longer --certify-within, "
            "a lower --recall or a better model",
            err=True,
        )
        raise SystemExit(EXIT_FAILED)
    if any(map(_is_off, bills, came)):
        click.echo("error: what came is off by more than a quarter", err=True)
        raise SystemExit(EXIT_FAILED)


def _launched(
    made: Plan, stream: Stream, recall: float, failure_probability: float, streams: int
) -> Launched | None:
    """What the plan foretells, done. None where it foretells no certificate."""
    if not streams or made.holdout is None or made.certified_after_s is None:
        return None
    setting = Setting(
        prevalence=stream.prevalence,
        auc=stream.auc,
        holdout=made.holdout,
        recall=recall,
        failure_probability=failure_probability,
        operating_recall=made.recall.median,
        streams=streams,
    )
    rng = np.random.default_rng([1, made.positives])
    return launch(stream, setting, rng, positives=made.positives)


def _off_by(made: Plan, came: Launched) -> tuple[float, float]:
    """Forwarded share and time to the certificate: by which part what came differs."""
    assert made.certified_after_s is not None, "launched"
    share, after_s = made.forwarded_share.median, made.certified_after_s.median
    is_in_sight = math.isfinite(after_s)
    time_off = came.certified_after_s / after_s - 1.0 if is_in_sight else 0.0
    return came.forwarded_share / share - 1.0, time_off


def _is_off(bill: _Bill, came: Launched | None) -> bool:
    return came is not None and not max(map(abs, _off_by(bill.plan, came))) <= _TOLERANCE


def _print_came(bills: list[_Bill], came: list[Launched | None]) -> None:
    rows = []
    for bill, run in zip(bills, came, strict=True):
        if run is None:
            continue
        share_off, time_off = _off_by(bill.plan, run)
        rows.append(
            (
                bill.plan.positives,
                share_text(run.recall),
                share_text(run.forwarded_share),
                f"{share_off:+.1%}",
                span_text(run.certified_after_s),
                f"{time_off:+.1%}",
            )
        )
    print_table(
        ("important", "recall", "forwarded", "off the plan", "certified after", "off the plan"),
        rows,
    )


def _stream(prevalence: float, auc: float, rate: float) -> Stream:
    try:
        return Stream(prevalence=prevalence, auc=auc, events_per_s=rate)
    except ValueError as error:
        raise ConfigError(f"--{error}") from error


def _bill(made: Plan, per_event: float) -> _Bill:
    per_day = made.events_per_day
    return _Bill(
        plan=made,
        labels=made.labelled_events * per_event,
        per_day=Range(
            low=per_day.low * per_event,
            median=per_day.median * per_event,
            high=per_day.high * per_event,
        ),
    )


def _document(bill: _Bill, came: Launched | None) -> dict[str, object]:
    return {
        **asdict(bill.plan),
        "simulated": asdict(came) if came else None,
        "labelling_cost": bill.labels,
        "cost_per_day": asdict(bill.per_day),
    }


def _print(bills: list[_Bill], best: _Bill | None, everything: float) -> None:
    rows = []
    for bill in bills:
        made = bill.plan
        after = made.certified_after_s
        rows.append(
            (
                made.positives,
                made.labelled_events,
                money_text(bill.labels),
                share_text(made.recall.median),
                share_text(made.forwarded_share.median),
                "–" if made.holdout is None else share_text(made.holdout),
                "not in sight" if after is None else span_text(after.median),
                "–" if after is None else f"{span_text(after.low)} – {span_text(after.high)}",
                money_text(bill.per_day.median),
                "◄ cheapest in the first month" if bill is best else "",
            )
        )
    print_table(
        (
            "important",
            "of labels",
            "cost",
            "recall",
            "forwarded",
            "holdout",
            "certified after",
            "nine in ten",
            "cost a day",
            "",
        ),
        rows,
    )
    click.echo(f"\nreading everything costs {money_text(everything)} a day")


def _draw(prevalence: float, auc: float, rate: float, recall: float) -> None:
    """Forwarded share against recall, with this model and with two better ones."""
    at = np.linspace(0.5, 0.999, 300)
    better = sorted({auc, 1.0 - (1.0 - auc) / 2.0, 1.0 - (1.0 - auc) / 10.0})
    curves = {}
    for model in better:
        stream = Stream(prevalence=prevalence, auc=model, events_per_s=rate)
        curves[f"AUC {model:.4g}"] = (at, np.array([stream.forwarded_share(r) for r in at]))
    click.echo("events forwarded, the holdout apart, against recall")
    for line in chart(
        curves, x_name="recall", x_ticks=(0.5, 0.6, 0.7, 0.8, 0.9, 1.0), mark_at=recall
    ):
        click.echo(line)
