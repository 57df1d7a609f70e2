"""`stream-filter audit`: questions to the ledger."""

from importlib import import_module

import click

_COMMANDS = {
    "summary": ("audit_summary", "summary"),
    "explain": ("audit_explain", "explain_event"),
    "sample": ("audit_sample", "sample_drops"),
    "diff": ("audit_diff", "diff"),
    "export": ("audit_export", "export"),
    "verify": ("audit_verify", "verify"),
}
"""Module and function of each."""


class _Questions(click.Group):
    """Loads a command when it is asked for: a worker has no use for DuckDB."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _COMMANDS:
            return None
        module, function = _COMMANDS[cmd_name]
        command: click.Command = getattr(import_module(f"stream_filter.cli.{module}"), function)
        return command


@click.group(cls=_Questions)
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
