"""`stream-filter audit verify`: the chain of blocks, and conservation."""

from pathlib import Path
from typing import Any

import click

from stream_filter.app.policy_file import load_policy
from stream_filter.app.verify import Verification
from stream_filter.audit.comparing import Comparison, compare
from stream_filter.audit.proving import Proof, prove
from stream_filter.cli.audit_options import Asked, asked_of, ledger_options, opened
from stream_filter.cli.ledger import as_document as conservation_document
from stream_filter.cli.ledger import print_finding, verify_with
from stream_filter.cli.output import EXIT_FAILED, print_json, runs
from stream_filter.core.errors import ConfigError

_SHOWN = 100


@click.command()
@ledger_options()
@click.option(
    "--policy",
    "policy_path",
    type=click.Path(path_type=Path),
    help="Take the analysis topics from this policy.",
)
@click.option("--forward-topic", multiple=True, help="An analysis topic.  [llm.analysis]")
@click.option(
    "--conservation/--no-conservation",
    default=True,
    help="With a topic: also compare source, ledger and analysis topics.  [yes]",
)
@runs
async def verify(
    policy_path: Path | None,
    forward_topic: tuple[str, ...],
    conservation: bool,
    as_json: bool,
    **chosen: Any,
) -> None:
    """Prove that nothing was altered, removed or exchanged: every block is what its digest says,
    names the digest of the one before it, joins it, and is counted as it is; and that the store is
    what the ledger topic still has. Exit code 1 if not.

    With --topic also conservation, from outside, as `ledger verify` does it, of records of that
    time.

    \b
    stream-filter audit verify --store /var/lib/stream-filter --no-conservation
    stream-filter audit verify --topic payments.logs --policy policy.yaml --from 24h
    """
    asked = asked_of(chosen)
    if asked.where is not None:
        raise ConfigError("--where: blocks are proven whole: leave it out")
    with opened(asked) as ledger:
        proof = prove(ledger, asked.topic, asked.window_ms)
        compared = await compare(ledger, proof, asked.settings, asked.topic, asked.window_ms)
    finding = None
    if conservation and asked.topic is not None:
        targets = set(forward_topic)
        if policy_path is not None:
            targets |= load_policy(policy_path).targets
        finding = await verify_with(
            asked.settings, asked.topic, targets or {"llm.analysis"}, asked.window_ms, quiet=as_json
        )
    if as_json:
        print_json(as_document(asked, proof, compared, finding))
    else:
        _print(proof, compared)
        if finding is not None:
            print_finding(finding)
    if not _holds(proof, compared, finding):
        raise SystemExit(EXIT_FAILED)


def _holds(proof: Proof, compared: Comparison | None, finding: Verification | None) -> bool:
    return all(each is None or each.holds for each in (proof, compared, finding))


def as_document(
    asked: Asked, proof: Proof, compared: Comparison | None, finding: Verification | None
) -> dict[str, Any]:
    """The findings as plain values."""
    return {
        "ok": _holds(proof, compared, finding),
        "topic": asked.topic,
        "chain": {
            "ok": proof.holds,
            "blocks": proof.blocks,
            "records": proof.records,
            "unsealed": proof.unsealed,
            "overtaken": proof.overtaken,
            "problems": proof.problems,
        },
        "topic_has": None
        if compared is None
        else {"ok": compared.holds, "blocks": compared.blocks, "problems": compared.problems},
        "conservation": None if finding is None else conservation_document(finding),
    }


def _print(proof: Proof, compared: Comparison | None) -> None:
    problems = [*proof.problems, *(compared.problems if compared else ())]
    for problem in problems[:_SHOWN]:
        click.echo(problem)
    if len(problems) > _SHOWN:
        click.echo(f"… and {len(problems) - _SHOWN:,} more: --json has all")
    if compared is not None:
        click.echo(
            f"store and ledger topic, {compared.blocks:,} blocks that both should have: "
            f"{'equal' if compared.holds else 'NOT EQUAL'}"
        )
    click.echo(
        f"chain of {proof.blocks:,} blocks, {proof.records:,} records: "
        f"{'holds' if proof.holds else 'BROKEN'}"
        + (f"; {proof.unsealed:,} blocks from before there was a chain" if proof.unsealed else "")
        + (f"; {proof.overtaken:,} blocks were overtaken" if proof.overtaken else "")
    )
