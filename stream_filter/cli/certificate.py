"""`stream-filter certificate`: what may be said about recall, and whether it follows."""

import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click
import msgspec

from stream_filter.app.certificates import Certificates
from stream_filter.cli.options import connection_options, json_option, settings_of
from stream_filter.cli.output import EXIT_FAILED, print_json, print_table, runs
from stream_filter.core.certificate import CertificateState, StaleCause
from stream_filter.core.errors import StreamFilterError
from stream_filter.core.statement import Statement, contradictions
from stream_filter.core.targets import OnFailure
from stream_filter.kafka.board import KafkaBoard
from stream_filter.store.statement_json import decode_statement


class _Silent:
    """Nobody is told: what is unreadable, `certificate verify` names."""

    def certificate_stated(self, statement: Statement, last: Statement | None) -> None:
        pass

    def certificate_unreadable(self, position: str, problem: str) -> None:
        pass

    def certificates_lost(self, error: Exception) -> None:
        raise error


@click.group(invoke_without_command=True)
@connection_options
@click.option("--topic", help="Only of this source topic.")
@click.option("--watch", is_flag=True, help="Go on, and print each change.")
@click.option("--check", is_flag=True, help="Exit code 1 unless all that is shown is certified.")
@json_option
@click.pass_context
def certificate(
    context: click.Context,
    settings_path: Path | None,
    bootstrap: str | None,
    group: str | None,
    topic: str | None,
    watch: bool,
    check: bool,
    as_json: bool,
) -> None:
    """Show what the gate may claim about the recall of its topics: state, interval, and what is
    still needed. Workers with `evidence: true` state it in the certificate topic.

    \b
    stream-filter certificate
    stream-filter certificate --topic payments.logs --watch
    stream-filter certificate verify
    """
    if context.invoked_subcommand is None:
        flags = {"bootstrap": bootstrap, "group": group}
        _show(settings_path, flags, topic=topic, watch=watch, check=check, as_json=as_json)


@runs
async def _show(
    settings_path: Path | None,
    flags: Mapping[str, str | None],
    *,
    topic: str | None,
    watch: bool,
    check: bool,
    as_json: bool,
) -> None:
    settings = settings_of(settings_path, **flags)
    board = KafkaBoard(settings.connection(), topic=settings.certificate_topic)
    if watch:
        shown: dict[str, tuple[Any, ...]] = {}

        def changed(now: Certificates) -> None:
            for statement in _chosen(now.latest, topic):
                facts = (statement.key, statement.state, statement.finding)
                if shown.get(statement.topic) != facts:
                    shown[statement.topic] = facts
                    _print_line(statement, as_json=as_json)

        await Certificates(board, _Silent(), changed=changed, clock_ms=_now_ms).follow()
        return
    certificates = Certificates(board, _Silent(), changed=lambda now: None, clock_ms=_now_ms)
    await certificates.begin()
    found = _chosen(certificates.latest, topic)
    if as_json:
        print_json([msgspec.to_builtins(statement, str_keys=True) for statement in found])
    elif found:
        _print(found)
    else:
        click.echo("nothing is stated yet: a topic needs a target, and a worker with --evidence")
    if check and not (found and all(_stands(statement) for statement in found)):
        raise SystemExit(EXIT_FAILED)


@certificate.command()
@connection_options
@click.option("--topic", help="Only of this source topic.")
@json_option
@runs
async def verify(
    settings_path: Path | None,
    bootstrap: str | None,
    group: str | None,
    topic: str | None,
    as_json: bool,
) -> None:
    """Recompute every certificate in the topic from the evidence that it names. Exit code 1 where
    one does not follow.

    \b
    stream-filter certificate verify
    stream-filter certificate verify --topic payments.logs
    """
    settings = settings_of(settings_path, bootstrap=bootstrap, group=group)
    board = KafkaBoard(settings.connection(), topic=settings.certificate_topic)
    verified, problems = 0, []
    for record in await board.read():
        try:
            statement = decode_statement(record.value)
        except StreamFilterError as error:
            verified += 1
            problems.append(f"{record.position}: {error}")
            continue
        if topic not in {None, statement.topic}:
            continue
        verified += 1
        problems += [f"{record.position}: {problem}" for problem in contradictions(statement)]
    if as_json:
        print_json({"ok": not problems, "certificates": verified, "problems": problems})
    else:
        for problem in problems:
            click.echo(problem)
        click.echo(f"{verified} certificates: {'BROKEN' if problems else 'all follow'}")
    if problems:
        raise SystemExit(EXIT_FAILED)


def _chosen(statements: Sequence[Statement], topic: str | None) -> list[Statement]:
    """The newest of each topic."""
    newest = {s.topic: s for s in statements if topic in (None, s.topic)}
    return list(newest.values())


def _print(statements: Sequence[Statement]) -> None:
    print_table(
        (
            *("topic", "state", "since", "recall", "target", "found missing", "pending"),
            "needed",
        ),
        [
            (
                s.topic,
                _state(s),
                _time(s.since_ms),
                _interval(s),
                f"{s.target.recall:.1%}",
                s.finding.found if s.finding else None,
                s.pending,
                s.kept_needed if s.state is CertificateState.UNCERTIFIED else None,
            )
            for s in statements
        ],
    )
    for statement in statements:
        for finding in statement.slices:
            if finding.state is CertificateState.REFUTED:
                interval = finding.finding.recall
                click.echo(
                    f"{statement.topic}: slice {finding.slice or '(none)'}: recall "
                    f"{interval.lower:.1%} to {interval.upper:.1%}, floor "
                    f"{statement.target.slice_floor:.1%}"
                )
        if signs := _signs_up(statement):
            click.echo(f"{statement.topic}: {signs}")
        if statement.is_abandoned(_now_ms()):
            click.echo(
                f"{statement.topic}: nobody has stated it since {_time(statement.at_ms)}: "
                f"on_failure {statement.on_failure.value} is in force; does a worker with "
                "--evidence run?"
            )
        elif statement.has_fallen:
            click.echo(
                f"{statement.topic}: on_failure {statement.on_failure.value} is in force"
                + _widened(statement)
            )
        elif statement.forecast_ms is not None:
            click.echo(
                f"{statement.topic}: certified as likely as not by {_time(statement.forecast_ms)}"
            )


def _print_line(statement: Statement, *, as_json: bool) -> None:
    if as_json:
        click.echo(msgspec.json.encode(statement).decode())
    else:
        at = _time(statement.at_ms)
        click.echo(f"{at}  {statement.topic}  {_state(statement)}  {_interval(statement)}")


def _state(statement: Statement) -> str:
    causes = ", ".join(cause.value for cause in statement.stale_causes)
    return f"{statement.state.value} ({causes})" if causes else statement.state.value


def _widened(statement: Statement) -> str:
    if statement.on_failure is not OnFailure.WIDEN:
        return ""
    widened = statement.widened
    if widened is None:
        return ": all is forwarded until enough important events are judged"
    return (
        f": scores below {widened.drop_below:.4g} are dropped, {widened.forwarded_share:.1%} is "
        f"forwarded, by {widened.important:,} important events judged since"
    )


def _signs_up(statement: Statement) -> str:
    """How far the signs are up that need no verdict, of those that are."""
    signs, said = statement.signs, []
    if signs is not None and StaleCause.SCORES in statement.alarms:
        said.append(f"scores are spread otherwise than at first, by {signs.score_shift:.0%}")
    if signs is not None and StaleCause.NOVELTY in statement.alarms:
        said.append(f"{signs.novelty_growth:.0%} more of the events have new texts")
    return ", ".join(said)


def _stands(statement: Statement) -> bool:
    is_certified = statement.state is CertificateState.CERTIFIED
    return is_certified and not statement.is_abandoned(_now_ms())


def _now_ms() -> int:
    return int(time.time() * 1000)


def _interval(statement: Statement) -> str:
    if statement.finding is None:
        return "unknown"
    recall = statement.finding.recall
    return f"{recall.lower:.1%} to {recall.upper:.1%}"


def _time(at_ms: int) -> str:
    return datetime.fromtimestamp(at_ms / 1000, UTC).strftime("%Y-%m-%d %H:%M:%S")
