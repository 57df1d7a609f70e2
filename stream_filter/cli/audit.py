"""`stream-filter audit`: questions to the ledger."""

import click

from stream_filter.cli.lazy import LazyGroup

_COMMANDS = {
    "summary": ("audit_summary", "summary"),
    "explain": ("audit_explain", "explain_event"),
    "sample": ("audit_sample", "sample_drops"),
    "diff": ("audit_diff", "diff"),
    "export": ("audit_export", "export"),
    "verify": ("audit_verify", "verify"),
}
"""Module and function of each."""


@click.group(cls=LazyGroup, lazy=_COMMANDS)
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
