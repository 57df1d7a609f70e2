"""`stream-filter audit export`: labelled events, to train and to calibrate."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import click
import orjson

from stream_filter.app.audit_trail import record_use
from stream_filter.app.payloads import read_payloads
from stream_filter.app.policy_file import load_policy
from stream_filter.app.settings import Settings
from stream_filter.app.shown_payloads import covering, shown
from stream_filter.audit.exporting import LabelledDecision, labelled
from stream_filter.cli.audit_options import asked_of, ledger_options, opened, policy_path_option
from stream_filter.cli.output import print_json, runs
from stream_filter.core.errors import ConfigError
from stream_filter.core.policy import Format, TopicPolicy
from stream_filter.core.position import Position
from stream_filter.kafka.reader import TopicReader

_AT_ONCE = 5_000
"""Payloads held in memory."""


@click.command()
@ledger_options(topic_required=True)
@click.option(
    "--out",
    "out_path",
    type=click.Path(path_type=Path, dir_okay=False),
    required=True,
    help="JSON lines, written anew.",
)
@click.option("--payload/--no-payload", default=True, help="With the events themselves.  [yes]")
@policy_path_option
@runs
async def export(
    out_path: Path, payload: bool, policy_path: Path | None, as_json: bool, **chosen: Any
) -> None:
    """Write the events of TOPIC that the analyst has judged: the event without what --policy
    redacts, `important`, and `probability`, the chance under which it came to be shown. `train`,
    `evaluate` and, for its scores, `calibrate` read the file. Needs the gate's key, as workers do.

    Events that the source no longer holds are left out, and counted; --no-payload needs none.

    \b
    stream-filter audit export --topic payments.logs --policy policy.yaml --out labelled.jsonl
    stream-filter train labelled.jsonl --policy policy.yaml --topic payments.logs --out models/NAME
    """
    asked = asked_of(chosen)
    assert asked.topic is not None, "the option is required"
    if payload and policy_path is None:
        raise ConfigError(
            "--policy: is missing: its `redact` says what must not leave; or give --no-payload"
        )
    rules = covering(load_policy(policy_path), asked.topic) if policy_path else None
    settings = asked.settings
    with opened(asked) as ledger:
        found = list(
            labelled(
                *(ledger, asked.topic, asked.window_ms), key=settings.secret_key, where=asked.where
            )
        )
    if payload and rules is not None:
        await record_use(
            settings,
            command="audit export",
            topic=asked.topic,
            events=len(found),
            detail={"where": asked.where, "window_ms": list(asked.window_ms)},
        )
        gone = await _write_events(settings, rules, found, out_path)
    else:
        gone = 0
        _write(out_path, [_line(each) for each in found])
    document = {
        "events": len(found) - gone,
        "important": sum(each.important for each in found),
        "gone": gone,
        "out": str(out_path),
    }
    if as_json:
        print_json(document)
    else:
        click.echo(
            f"{len(found) - gone:,} labelled events in {out_path}"
            + (f"; {gone:,} are no longer held by the source" if gone else "")
        )


async def _write_events(
    settings: Settings, rules: TopicPolicy, found: Sequence[LabelledDecision], out_path: Path
) -> int:
    """Returns how many are gone."""
    gone = 0
    _write(out_path, [])
    async with TopicReader(
        settings.connection(), isolation_level=settings.isolation_level
    ) as reader:
        for at in range(0, len(found), _AT_ONCE):
            part = found[at : at + _AT_ONCE]
            values = await read_payloads(reader, (each.position for each in part))
            lines = [
                _line(each, _event(values, each.position, rules))
                for each in part
                if values.get(each.position) is not None
            ]
            gone += len(part) - len(lines)
            _write(out_path, lines, append=True)
    return gone


def _event(
    values: Mapping[Position, bytes | None], position: Position, rules: TopicPolicy
) -> dict[str, Any]:
    value = shown(values[position], rules) or b""
    if rules.format is not Format.TEXT:
        try:
            return {"event": orjson.loads(value)}
        except orjson.JSONDecodeError:
            pass
    return {"event": value.decode("utf-8", "replace")}


def _line(each: LabelledDecision, event: Mapping[str, Any] | None = None) -> bytes:
    return orjson.dumps(
        {
            "position": str(each.position),
            "time": each.decided_at_ms,
            **(event or {}),
            "important": each.important,
            "probability": each.probability,
            "score": each.score,
            "reason": each.reason,
            "model_id": each.model_id,
            "policy_id": each.policy_id,
        },
        option=orjson.OPT_APPEND_NEWLINE,
    )


def _write(path: Path, lines: Sequence[bytes], *, append: bool = False) -> None:
    try:
        with path.open("ab" if append else "wb") as out:
            out.writelines(lines)
    except OSError as error:
        raise ConfigError(f"--out: {path}: {error.strerror}") from error
