"""What judges said of what, read from the analysis topics and the verdict topic."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import orjson

from stream_filter.app.settings import Settings
from stream_filter.core.judging import Opinions, SeenEvent
from stream_filter.core.policy import Policy
from stream_filter.core.position import parse_position
from stream_filter.core.template import FieldPath, extract
from stream_filter.formats.text_reader import field_text
from stream_filter.gate.headers import SF_FOLD, SF_ID, SF_REASON, SF_SCORE, SF_SOURCE, SF_VERDICT
from stream_filter.kafka.reader import TopicReader
from stream_filter.kafka.verdict_record import VerdictError, VerdictModel, decode_verdict

_SAYS = {"keep": True, "drop": False}
_SHOWN_BY_CHANCE, _SHOWN_IN_SHADOW = "holdout", "shadow"
_EVEN = 0.5


@dataclass(slots=True)
class JudgedEvents:
    """Events by `sf-id`, and what was said of them."""

    seen: dict[str, SeenEvent] = field(default_factory=dict)
    opinions: Opinions = field(default_factory=Opinions)
    no_verdicts: int = 0
    """Records that say that there is none, and why."""
    without_chance: int = 0
    """Events of the holdout of which nobody knows with which chance they were shown."""


async def read_judged(
    settings: Settings,
    topics: Sequence[str],
    *,
    policy: Policy | None,
    slice_by: Sequence[FieldPath] = (),
) -> JudgedEvents:
    """All that there is now. `policy`: says with which chance the holdout was shown. Raises
    BrokerError or ConfigError."""
    judged = JudgedEvents()
    async with TopicReader(settings.connection()) as reader:
        for topic in topics:
            bounds = await reader.bounds(reader.partitions(topic))
            async for _, records in reader.read(bounds):
                for record in records:
                    _take_event(judged, dict(record.headers), record.value, policy, slice_by)
        bounds = await reader.bounds(reader.partitions(settings.verdict_topic))
        async for _, records in reader.read(bounds):
            for record in records:
                _take_verdict(judged, record.value, record.offset, record.timestamp)
    return judged


def _take_event(
    judged: JudgedEvents,
    headers: Mapping[str, bytes | None],
    value: bytes | None,
    policy: Policy | None,
    slice_by: Sequence[FieldPath],
) -> None:
    event_id = _text(headers, SF_ID)
    if not event_id or SF_FOLD in headers:
        return
    reason, verdict, score = (_text(headers, n) for n in (SF_REASON, SF_VERDICT, SF_SCORE))
    weight = 1.0
    if reason == _SHOWN_BY_CHANCE:
        chance = _holdout(_text(headers, SF_SOURCE), policy)
        judged.without_chance += chance is None
        weight = 1.0 / chance if chance else 1.0
    judged.seen[event_id] = SeenEvent(
        slice=_slice(value, slice_by),
        gate=_SAYS.get(verdict, float(score) >= _EVEN if score else None),
        is_missed=verdict == "drop" and reason in {_SHOWN_BY_CHANCE, _SHOWN_IN_SHADOW},
        weight=weight,
    )


def _take_verdict(judged: JudgedEvents, value: bytes | None, offset: int, at_ms: int) -> None:
    try:
        verdict = decode_verdict(value, offset=offset, at_ms=at_ms)
    except VerdictError as error:
        judged.no_verdicts += error.flaw == "no_verdict"
        return
    answers = VerdictModel.model_validate_json(value or b"").answers or ()
    judged.opinions.take(verdict.judge, verdict.event_id.hex(), verdict.important, answers)


def _holdout(source: str, policy: Policy | None) -> float | None:
    try:
        topic = parse_position(source).topic
    except ValueError:
        return None
    rules = policy.for_topic(topic) if policy is not None else None
    return rules.holdout or None if rules is not None else None


def _slice(value: bytes | None, slice_by: Sequence[FieldPath]) -> str:
    if not slice_by:
        return ""
    try:
        event = orjson.loads(value or b"")
    except orjson.JSONDecodeError:
        return ""
    return "/".join(field_text(extract(event, path)) for path in slice_by)


def _text(headers: Mapping[str, bytes | None], name: str) -> str:
    return (headers.get(name) or b"").decode("utf-8", "replace")
