"""What the demo prints in the end."""

import shutil

import click

from stream_filter.cli.incident_text import incident_lines
from stream_filter.cli.ledger import print_finding
from stream_filter.cli.output import print_table
from stream_filter.core.decision import Route
from stream_filter.demo.bill import Bill
from stream_filter.demo.glimpse import Outcome
from stream_filter.demo.plain import fraction, percent
from stream_filter.demo.report import Group, forwarded_groups, missed_groups

_FORWARDED_ROWS, _MISSED_ROWS = 20, 5
_WIDTH_WITHOUT_TERMINAL = 140


def print_totals(outcome: Outcome) -> None:
    """For a person."""
    standing = outcome.standing
    groups = forwarded_groups(outcome)
    width = shutil.get_terminal_size((_WIDTH_WITHOUT_TERMINAL, 24)).columns
    click.echo("\nForwarded, by kind and reason")
    _print_groups(groups, _FORWARDED_ROWS, width)
    missed = missed_groups(outcome)
    if missed:
        click.echo("\nImportant and dropped, by kind: what only truth can tell")
        _print_groups(missed, _MISSED_ROWS, width)
    click.echo("\nTotals")
    unseen = standing.recall("unseen")
    print_table(
        ("", "events", ""),
        [
            ("read", standing.decided, ""),
            ("forwarded", standing.routed(Route.FORWARD), percent(standing.forwarded_share)),
            *((f"  {r}", n, "") for r, n in standing.reasons(Route.FORWARD).items()),
            ("dropped", standing.routed(Route.DISCARD), ""),
            *((f"  {r}", n, "") for r, n in standing.reasons(Route.DISCARD).items()),
            *((f"  {r}", n, "") for r, n in standing.reasons(Route.DEAD_LETTER).items()),
        ],
    )
    click.echo(f"recall by truth      {fraction(standing.recall())}")
    click.echo(f"  of the unseen kind {fraction(unseen)}")
    click.echo(f"precision            {percent(standing.precision)} (of what it chose)")
    click.echo(f"delivery             {outcome.follower.delivery or 'nothing was decided'}")
    _print_analyst(outcome)
    for seen in outcome.incidents:
        click.echo(f"\nAn incident, seen after {seen.at_s:.0f} s")
        for line in incident_lines(seen.incident):
            click.echo(line)
    if outcome.claims:
        click.echo("\nWhat the gate claimed about its recall, from an analyst's verdicts")
        print_table(
            ("at", "state", "recall", "by truth", "effect"),
            [
                (
                    f"{claim.at_s:.0f} s",
                    " ".join((claim.state.value, *claim.causes)),
                    f"{percent(claim.lower)} to {percent(claim.upper)}",
                    percent(claim.truth),
                    claim.effect,
                )
                for claim in outcome.claims
            ],
        )
    if outcome.finding:
        click.echo("\nLedger check")
        print_finding(outcome.finding)


def _print_analyst(outcome: Outcome) -> None:
    judged, bill, price = outcome.judged, outcome.bill, outcome.price
    click.echo(f"\nWhat the analyst said, asking {outcome.judge}")
    print_table(
        ("", "events", ""),
        [
            ("verdicts", judged.given, f"{percent(judged.agreement)} agree with truth"),
            ("waiting", judged.waiting, ""),
            ("refused", judged.refused, ""),
            *((f"  {cause}", n, "") for cause, n in judged.causes.items()),
        ],
    )
    reading = outcome.reading
    click.echo(
        f"\nWhat that took, at {price.input:g} and {price.output:g} a million tokens asked and "
        f"answered; an event read for itself takes {reading.input_tokens:.0f} and "
        f"{reading.output_tokens:.0f}"
    )
    print_table(
        ("", "money", "", ""),
        [
            ("reading everything", f"{bill.everything:.4f}", "", ""),
            ("- dropped by the gate", f"{bill.dropped:.4f}", _of(bill.dropped, bill), ""),
            ("- folded by the analyst", f"{bill.folded:.4f}", _of(bill.folded, bill), ""),
            ("= spent", f"{bill.spent:.4f}", _of(bill.spent, bill), f"{judged.tokens:,} tokens"),
        ],
    )


def _of(part: float, bill: Bill) -> str:
    return percent(part / bill.everything if bill.everything else None)


def _print_groups(groups: list[Group], rows: int, width: int) -> None:
    header = ("count", "reason", "truth", "family", "example")
    shown = [
        (
            group.count,
            group.reason,
            "important" if group.important else "routine",
            group.kind.partition("/")[0],
            str(group.example) if group.example else group.kind.partition("/")[2],
        )
        for group in groups[:rows]
    ]
    taken = sum(max(len(str(row[i])) for row in [header, *shown]) + 2 for i in range(4)) + 1
    print_table(header, [(*row[:4], _cut(row[4], width - taken)) for row in shown])
    rest = groups[rows:]
    if rest:
        click.echo(f"… and {len(rest)} more, {sum(g.count for g in rest):,} events (all in --json)")


def _cut(text: str, room: int) -> str:
    return text if len(text) <= max(room, 20) else text[: max(room, 20) - 1] + "…"
