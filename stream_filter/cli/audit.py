"""`stream-filter audit`: questions to the ledger."""

import click

from stream_filter.cli.lazy import Lazy, LazyGroup

COMMANDS = {
    "summary": Lazy(
        "audit_summary", "summary", "Count what became of the events, and what it cost."
    ),
    "explain": Lazy("audit_explain", "explain_event", "Explain one event's decision."),
    "sample": Lazy("audit_sample", "sample_drops", "Show distinct texts among the drops."),
    "diff": Lazy("audit_diff", "diff", "Compare two policies, or champion and challenger."),
    "export": Lazy("audit_export", "export", "Write judged events as labels to train on."),
    "verify": Lazy("audit_verify", "verify", "Prove that the store is whole and unaltered."),
}


@click.group(cls=LazyGroup, lazy=COMMANDS)
def audit() -> None:
    """What was dropped, why, and what it cost: asked of the store and the newest ledger.

    Time is the time of decision. --where takes SQL over the columns of `decisions`: topic,
    partition, "offset", score, verdict, route, reason, probability, text_digest, rule, slice,
    policy_id, model_id, decided_at, … (docs/audit.md).

    \b
    stream-filter audit summary --topic payments.logs --from 24h
    stream-filter audit explain payments.logs/3/1842 --policy policy.yaml
    stream-filter audit sample --topic payments.logs --dropped --by score --n 20
    """
