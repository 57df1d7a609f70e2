"""`stream-filter audit sample`: drops to look at."""

from pathlib import Path
from typing import Any

import click

from stream_filter.app.block_rows import shown_score
from stream_filter.app.policy_file import load_policy
from stream_filter.app.shown_payloads import shown_payloads
from stream_filter.audit.sampling import Sampled, Strangeness, sample
from stream_filter.cli.audit_options import asked_of, ledger_options, opened, policy_path_option
from stream_filter.cli.output import print_json, print_table, printable, runs
from stream_filter.core.position import Position

_SHOWN = 100


@click.command(name="sample")
@ledger_options()
@click.option("--dropped/--all", default=True, help="Only what was discarded, or all.  [dropped]")
@click.option(
    "--by",
    type=click.Choice([each.value for each in Strangeness]),
    default=Strangeness.SCORE.value,
    show_default=True,
    help="First the nearest to being kept, or the rarest texts.",
)
@click.option("--n", type=click.IntRange(1, 10_000), default=20, show_default=True, help="Texts.")
@policy_path_option
@runs
async def sample_drops(
    dropped: bool, by: str, n: int, policy_path: Path | None, as_json: bool, **chosen: Any
) -> None:
    """Show distinct texts among the drops with how often each was dropped, the strangest first.

    With --policy, the value of one record of each is read back from its source, without what the
    policy redacts; that is recorded in the audit topic.

    \b
    stream-filter audit sample --topic payments.logs --from 24h --policy policy.yaml
    """
    asked = asked_of(chosen)
    policy = load_policy(policy_path) if policy_path else None
    with opened(asked) as ledger:
        found = sample(
            ledger,
            asked.topic,
            asked.window_ms,
            where=asked.where,
            dropped=dropped,
            by=Strangeness(by),
            n=n,
        )
    values: dict[Position, bytes | None] = {}
    if policy is not None:
        values = await shown_payloads(
            asked.settings,
            policy,
            [each.example for each in found],
            command="audit sample",
            detail={"where": asked.where, "by": by, "n": n},
        )
    if as_json:
        print_json([_document(each, values) for each in found])
        return
    print_table(
        ("records", "score", "reason", "example", "value" if policy else "text"),
        [
            (
                each.records,
                "–" if each.score is None else f"{each.score:.4f}",
                (each.rule and f"rule {each.rule}") or each.reason,
                each.example,
                _shown(each, values) if policy else each.text_digest,
            )
            for each in found
        ],
    )
    if policy is None and found:
        click.echo("give --policy to see the values: its `redact` says what stays hidden")


def _shown(each: Sampled, values: dict[Position, bytes | None]) -> str:
    if each.example not in values:
        return "(no longer held by the source)"
    return printable((values[each.example] or b"").decode("utf-8", "replace"), width=_SHOWN)


def _document(each: Sampled, values: dict[Position, bytes | None]) -> dict[str, Any]:
    value = values.get(each.example)
    return {
        "text_digest": each.text_digest,
        "records": each.records,
        "score": None if each.score is None else shown_score(each.score),
        "least_score": None if each.least_score is None else shown_score(each.least_score),
        "reason": each.reason,
        "rule": each.rule,
        "example": str(each.example),
        "value": None if value is None else value.decode("utf-8", "replace"),
    }
