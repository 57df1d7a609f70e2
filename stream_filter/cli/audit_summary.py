"""`stream-filter audit summary`: the account of a window."""

from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from stream_filter.audit.summary import ROUTES, Summary, summarize
from stream_filter.cli.audit_options import asked_of, ledger_options, opened
from stream_filter.cli.audit_page import summary_page, write_page
from stream_filter.cli.output import print_json, print_table, runs
from stream_filter.cli.quantities import Figure

TABLES = ("reason", "policy_id", "model_id", "rule", "hour")
_BARS = "▁▂▃▄▅▆▇█"
_HOURS_SHOWN = 48


@click.command()
@ledger_options()
@click.option("--price", type=Figure(min=0.0), help="Of reading one event.  [mean of the verdicts]")
@click.option(
    "--html", "html_path", type=click.Path(path_type=Path, dir_okay=False), help="Write a page."
)
@runs
async def summary(
    price: float | None, html_path: Path | None, as_json: bool, **chosen: Any
) -> None:
    """Count what became of the records: by reason, policy, pack, rule and hour; what reading the
    forwarded costs at a price and what the drops saved; the certificate's recall interval and the
    misses found.

    \b
    stream-filter audit summary --topic payments.logs --from 24h --price 0.002
    stream-filter audit summary --where "rule IS NULL" --html report.html
    """
    asked = asked_of(chosen)
    with opened(asked) as ledger:
        found = summarize(ledger, asked.topic, asked.window_ms, where=asked.where, price=price)
    if html_path is not None:
        write_page(html_path, summary_page(found, asked.topic))
    if as_json:
        print_json(as_document(found))
    else:
        _print(found)


def as_document(found: Summary) -> dict[str, Any]:
    """The account as plain values."""
    return {
        "consumed": found.consumed,
        **{name: found.counts[name] for name in ROUTES},
        "share_forwarded": found.share_forwarded,
        "price": found.price,
        "spent": found.spent,
        "saved": found.saved,
        **{
            f"by_{name}": [
                {name: _plain(value), **{route: counts[route] for route in ROUTES}}
                for (value,), counts in _sorted(found.by(name))
            ]
            for name in ("topic", *TABLES)
        },
        "verdicts": {
            "records": found.judged.verdicts,
            "important": found.judged.important,
            "cost": found.judged.cost,
            "tokens": found.judged.tokens,
        },
        "certificates": [
            {
                "topic": claim.topic,
                "state": claim.state,
                "target_recall": claim.target_recall,
                "recall_low": claim.recall_low,
                "recall_high": claim.recall_high,
                "misses_found": claim.misses_found,
            }
            for claim in found.claims
        ],
    }


def _print(found: Summary) -> None:
    share = found.share_forwarded
    click.echo(
        f"consumed {found.consumed:,}: "
        + ", ".join(f"{name.replace('_', '-')} {found.counts[name]:,}" for name in ROUTES)
        + ("" if share is None else f"; {share:.2%} forwarded")
    )
    if found.price is not None:
        click.echo(
            f"at {found.price:g} an event: spent {found.spent:,.2f}, saved {found.saved:,.2f}"
        )
    judged = found.judged
    if judged.verdicts:
        click.echo(
            f"{judged.verdicts:,} verdicts, {judged.important:,} important; cost "
            f"{judged.cost:,.2f}, {judged.tokens:,} tokens"
        )
    for claim in found.claims:
        interval = (
            "recall not known yet"
            if claim.recall_low is None or claim.recall_high is None
            else f"recall {claim.recall_low:.1%} to {claim.recall_high:.1%}, "
            f"{claim.misses_found} misses found"
        )
        click.echo(f"{claim.topic}: {claim.state} for {claim.target_recall:.1%}: {interval}")
    hours = _sorted(found.by("hour"))
    if len(hours) > 1:
        click.echo(f"forwarded by hour  {sparkline([_share(c) for _, c in hours])}")
    for name in ("topic", *TABLES):
        rows = _sorted(found.by(name))
        if name == "hour":
            rows = rows[-_HOURS_SHOWN:]
        if rows and (len(rows) > 1 or name in ("topic", "reason")):
            click.echo("")
            print_table(
                (name, *(route.replace("_", "-") for route in ROUTES), "forwarded %"),
                [
                    (_plain(value) or "–", *(counts[r] for r in ROUTES), f"{_share(counts):.2%}")
                    for (value,), counts in rows
                ],
            )


def sparkline(shares: list[float]) -> str:
    """A bar for each, from 0 to the greatest."""
    most = max(shares, default=0.0) or 1.0
    return "".join(_BARS[round(share / most * (len(_BARS) - 1))] for share in shares)


def _share(counts: Counter[str]) -> float:
    return counts["forwarded"] / counts.total() if counts else 0.0


def _sorted(
    by: Mapping[tuple[Any, ...], Counter[str]],
) -> list[tuple[tuple[Any, ...], Counter[str]]]:
    return sorted(by.items(), key=lambda item: (item[0][0] is None, str(item[0][0])))


def _plain(value: Any) -> str | None:
    if value is None or isinstance(value, str):
        return value
    return f"{value:%Y-%m-%dT%H:%MZ}"
