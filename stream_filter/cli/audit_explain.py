"""`stream-filter audit explain`: the whole story of one event."""

from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import click

from stream_filter.app.audit_trail import record_use
from stream_filter.app.block_rows import shown_score
from stream_filter.app.payloads import read_record
from stream_filter.app.policy_file import load_policy
from stream_filter.app.recomputing import Recomputed, Recomputer, obstacle
from stream_filter.app.rehearsal import read_one
from stream_filter.app.settings import Settings
from stream_filter.app.shown_payloads import covering, shown
from stream_filter.audit.explaining import Alike, Story, explain
from stream_filter.cli.audit_options import asked_of, ledger_options, opened, policy_path_option
from stream_filter.cli.options import model_dir_option
from stream_filter.cli.output import EXIT_FAILED, print_json, print_table, printable, runs
from stream_filter.core.errors import ConfigError
from stream_filter.core.policy import Policy
from stream_filter.core.position import Position, parse_position
from stream_filter.formats.text_reader import text_reader
from stream_filter.kafka.reader import TopicReader
from stream_filter.store.stretches import is_topic_name

_SHOWN = 2_000


@dataclass(frozen=True, slots=True, kw_only=True)
class FromSource:
    """What the source topic adds to a story."""

    value: bytes | None = None
    text: str | None = None
    """The canonical text."""
    again: Recomputed | None = None
    why_not: str | None = None
    """Why the decision was not made again."""


@click.command(name="explain")
@click.argument("position", metavar="TOPIC/PARTITION/OFFSET")
@ledger_options()
@policy_path_option
@model_dir_option
@runs
async def explain_event(
    position: str, policy_path: Path | None, model_dir: Path | None, as_json: bool, **chosen: Any
) -> None:
    """Tell the story of one event: what was decided and why, in which block, what the same text got
    before and after, and what the analyst said.

    With --policy, the record is read back from its source, which is recorded in the audit topic;
    its value is shown without what the policy redacts, and the decision is made again by the same
    policy, pack and key. Exit code 1 where it comes out otherwise.

    \b
    stream-filter audit explain payments.logs/3/1842 --policy policy.yaml
    """
    at = _position(position)
    if chosen["topic"] not in (None, at.topic):
        raise ConfigError("--topic: is another one than the position's: leave it out")
    asked = replace(asked_of(chosen), topic=at.topic)
    if asked.where is not None:
        raise ConfigError("--where: a position is one event: leave it out")
    settings = asked.settings
    if model_dir is not None:
        settings = settings.model_copy(update={"model_dir": model_dir})
    policy = load_policy(policy_path) if policy_path else None
    with opened(asked) as ledger:
        story = explain(ledger, at, key=settings.secret_key)
    if story is None:
        raise ConfigError(f"{at}: the ledger has no decision on it: look for another --store")
    found = FromSource(why_not="give --policy to see the value and to recompute")
    if policy is not None:
        found = await _from_source(settings, policy, story)
    if as_json:
        print_json(as_document(story, found))
    else:
        _print(story, found)
    if found.again is not None and found.again.differences:
        raise SystemExit(EXIT_FAILED)


def _position(text: str) -> Position:
    try:
        position = parse_position(text)
    except ValueError as error:
        raise ConfigError(str(error)) from error
    if not is_topic_name(position.topic) or max(position.partition, position.offset) >= 1 << 62:
        raise ConfigError(f"{printable(text)!r} cannot be a position")
    return position


async def _from_source(settings: Settings, policy: Policy, story: Story) -> FromSource:
    topic = story.position.topic
    rules = covering(policy, topic)
    await record_use(
        settings,
        command="audit explain",
        topic=topic,
        events=1,
        detail={"position": str(story.position)},
    )
    async with TopicReader(
        settings.connection(), isolation_level=settings.isolation_level
    ) as reader:
        record = await read_record(reader, story.position)
    if record is None:
        return FromSource(why_not="the source no longer holds the record")
    value = shown(record.value, rules)
    # Of the value as it may be shown: the model may read a field that nobody should see.
    text, _ = read_one(text_reader(rules), value)
    why_not = obstacle(policy, story.block)
    again = None
    if why_not is None:
        (again,) = Recomputer(policy, settings).recompute(story.block, [story.row], [record])
    return FromSource(value=value, text=text, again=again, why_not=why_not)


def as_document(story: Story, found: FromSource) -> dict[str, Any]:
    """The story as plain values."""
    value, again = found.value, found.again
    header = story.block.header
    return {
        "position": str(story.position),
        "decision": asdict(story.decision),
        "sf_id": story.sf_id,
        "block": {
            **asdict(header),
            "block_id": header.block_id,
            "ledger_partition": story.ledger_place[0],
            "ledger_offset": story.ledger_place[1],
        },
        "verdicts": [asdict(said) for said in story.verdicts],
        "same_text": {
            "before": [_alike(each) for each in story.before],
            "after": [_alike(each) for each in story.after],
            "within_a_day": [
                {"route": route, "reason": reason, "records": count}
                for (route, reason), count in sorted(story.alike.items())
            ],
        },
        "value": None if value is None else value.decode("utf-8", "replace"),
        "text": found.text,
        "recomputed": asdict(again.decision) if again else None,
        "agrees": None if again is None else not again.differences,
        "differences": list(again.differences) if again else [],
        "not_recomputed_because": found.why_not,
    }


def _alike(each: Alike) -> dict[str, Any]:
    return {**asdict(each), "position": str(each.position)}


def _print(story: Story, found: FromSource) -> None:
    value, again = found.value, found.again
    decision, header = story.decision, story.block.header
    score = "none" if decision.score is None else f"{shown_score(decision.score):g}"
    lines = [
        ("event", f"{story.position}  (sf-id {story.sf_id})"),
        ("decided", f"{decision.route}, because {decision.reason}; verdict {decision.verdict}"),
        ("score", score),
        ("rule", decision.rule or "none decided"),
        ("chance", f"{decision.probability:g} to be seen by the analyst"),
        ("policy", f"{header.policy_id}, pack {header.model_id or 'none'}, {header.mask_set}"),
        ("block", f"{header.block_id}, by {header.worker}, {header.delivery}"),
        ("ledger", "partition {}, offset {}".format(*story.ledger_place)),
        ("text digest", decision.text_digest),
    ]
    if found.text is not None:
        lines.append(("text", printable(found.text, width=_SHOWN)))
    if value is not None:
        lines.append(("value", printable(value.decode("utf-8", "replace"), width=_SHOWN)))
    for said in story.verdicts:
        important = "important" if said.important else "not important"
        lines.append(("verdict", f"{important}, says {printable(said.judge)} ({said.judge_kind})"))
    for name, content in lines:
        click.echo(f"{name:<12}{content}")
    if story.alike:
        click.echo("\nthe same text, within a day:")
        rows = [(route, reason, count) for (route, reason), count in sorted(story.alike.items())]
        print_table(("route", "reason", "records"), rows)
        neighbours = [("before", each) for each in reversed(story.before)]
        neighbours += [("after", each) for each in story.after]
        if neighbours:
            click.echo("")
            print_table(
                ("", "position", "route", "reason", "policy"),
                [(w, e.position, e.route, e.reason, e.policy_id) for w, e in neighbours],
            )
    click.echo("")
    if again is None:
        click.echo(f"not recomputed: {found.why_not}")
    elif again.differences:
        for difference in again.differences:
            click.echo(f"DIFFERS {difference}")
    else:
        click.echo("recomputed: the same")
