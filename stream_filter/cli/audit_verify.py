"""`stream-filter audit verify`: the chain of blocks, and conservation."""

from pathlib import Path
from typing import Any

import click

from stream_filter.app.policy_file import load_policy
from stream_filter.app.verify import Verification
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
    names the digest of the one before it, joins it, and is counted as it is. Exit code 1 if not.

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
    finding = None
    if conservation and asked.topic is not None:
        targets = set(forward_topic)
        if policy_path is not None:
            targets |= load_policy(policy_path).targets
        finding = await verify_with(
            asked.settings, asked.topic, targets or {"llm.analysis"}, asked.window_ms, quiet=as_json
        )
    if as_json:
        print_json(as_document(asked, proof, finding))
    else:
        _print(proof)
        if finding is not None:
            print_finding(finding)
    if not proof.holds or (finding is not None and not finding.holds):
        raise SystemExit(EXIT_FAILED)


def as_document(asked: Asked, proof: Proof, finding: Verification | None) -> dict[str, Any]:
    """The findings as plain values."""
    return {
        "ok": proof.holds and (finding is None or finding.holds),
        "topic": asked.topic,
        "chain": {
            "ok": proof.holds,
            "blocks": proof.blocks,
            "records": proof.records,
            "unsealed": proof.unsealed,
            "overtaken": proof.overtaken,
            "problems": proof.problems,
        },
        "conservation": None if finding is None else conservation_document(finding),
    }


def _print(proof: Proof) -> None:
    for problem in proof.problems[:_SHOWN]:
        click.echo(problem)
    if len(proof.problems) > _SHOWN:
        click.echo(f"… and {len(proof.problems) - _SHOWN:,} more: --json has all")
    click.echo(
        f"chain of {proof.blocks:,} blocks, {proof.records:,} records: "
        f"{'holds' if proof.holds else 'BROKEN'}"
        + (f"; {proof.unsealed:,} blocks from before there was a chain" if proof.unsealed else "")
        + (f"; {proof.overtaken:,} blocks were overtaken" if proof.overtaken else "")
    )
