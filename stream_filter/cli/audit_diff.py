"""`stream-filter audit diff`: a champion and its challenger, or two policies, side by side."""

from typing import Any

import click

from stream_filter.app.block_rows import shown_score
from stream_filter.audit.differing import Changed, Differences, challenged, policies
from stream_filter.audit.recorded import RecordedLedger
from stream_filter.cli.audit_options import Asked, asked_of, ledger_options, opened
from stream_filter.cli.output import print_json, print_table, runs
from stream_filter.cli.quantities import Figure
from stream_filter.core.errors import ConfigError


@click.command()
@click.argument("policy_ids", nargs=-1, metavar="[POLICY_A POLICY_B]")
@ledger_options(topic_required=True)
@click.option("--champion", is_flag=True, help="Compare the champion …")
@click.option("--challenger", is_flag=True, help="… with the challenger beside it.")
@click.option("--examples", type=click.IntRange(0, 1000), default=5, show_default=True)
@click.option("--price", type=Figure(min=0.0), help="Of reading one event.")
@runs
async def diff(
    policy_ids: tuple[str, ...],
    champion: bool,
    challenger: bool,
    examples: int,
    price: float | None,
    as_json: bool,
    **chosen: Any,
) -> None:
    """Say what would be newly dropped and newly forwarded, with examples and what it costs.

    --champion --challenger compares the two that decided beside each other. POLICY_A POLICY_B, ids
    as `audit summary` shows them, compares what B decided with what A decided of the same texts.

    \b
    stream-filter audit diff --topic payments.logs --champion --challenger --from 24h
    stream-filter audit diff --topic payments.logs d41a2ba3192acdb3 e5764958b511b4e3
    """
    beside = champion or challenger
    if beside == bool(policy_ids) or (policy_ids and len(policy_ids) != 2):
        raise ConfigError("diff: give two policy ids, or --champion --challenger")
    asked = asked_of(chosen)
    assert asked.topic is not None, "the option is required"
    with opened(asked) as ledger:
        if beside:
            found = challenged(
                ledger, asked.topic, asked.window_ms, where=asked.where, examples=examples
            )
        else:
            old, new = policy_ids
            _require_known(ledger, asked, policy_ids)
            found = policies(
                *(ledger, asked.topic, old, new, asked.window_ms),
                where=asked.where,
                examples=examples,
            )
    if as_json:
        print_json(as_document(found, price))
    else:
        _print(found, price)


def _require_known(ledger: RecordedLedger, asked: Asked, policy_ids: tuple[str, ...]) -> None:
    known = set(ledger.blocks(asked.topic, asked.window_ms)["policy_id"].to_pylist())
    for each in policy_ids:
        if each not in known:
            those = ", ".join(sorted(known)) or "none"
            raise ConfigError(f"policy {each!r} has decided nothing there; these have: {those}")


def as_document(found: Differences, price: float | None) -> dict[str, Any]:
    """The comparison as plain values."""
    return {
        "compared": found.compared,
        "incomparable": found.incomparable,
        "newly_dropped": found.newly_dropped,
        "newly_forwarded": found.newly_forwarded,
        "cost_change": _cost(found, price),
        "dropped_examples": [_example(each) for each in found.dropped_examples],
        "forwarded_examples": [_example(each) for each in found.forwarded_examples],
    }


def _cost(found: Differences, price: float | None) -> float | None:
    return None if price is None else price * (found.newly_forwarded - found.newly_dropped)


def _example(each: Changed) -> dict[str, Any]:
    return {
        "position": str(each.example),
        "records": each.records,
        "old": {"verdict": each.old_verdict, "score": _score(each.old_score)},
        "new": {"verdict": each.new_verdict, "score": _score(each.new_score)},
    }


def _score(score: float | None) -> float | None:
    return None if score is None else shown_score(score)


def _print(found: Differences, price: float | None) -> None:
    cost = _cost(found, price)
    click.echo(
        f"{found.compared:,} records compared: newly dropped {found.newly_dropped:,}, newly "
        f"forwarded {found.newly_forwarded:,}" + ("" if cost is None else f"; cost {cost:+,.2f}")
    )
    if found.incomparable:
        click.echo(f"{found.incomparable:,} records have texts that the old one never decided")
    rows = [
        (
            each.records,
            f"{each.old_verdict} {_shown(each.old_score)}",
            f"{each.new_verdict} {_shown(each.new_score)}",
            each.example,
        )
        for each in (*found.dropped_examples, *found.forwarded_examples)
    ]
    if rows:
        click.echo("")
        print_table(("records", "old", "new", "example"), rows)


def _shown(score: float | None) -> str:
    return "–" if score is None else f"{score:.4f}"
