"""The form of an answer, and reading one: strictly, id by id."""

import json
import secrets
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from stream_filter.analyst.outcome import Cause, Opinion

ANSWER_VERSION = "answer-1"
"""Part of a prompt's digest: another form of the answer is another question."""
_ALPHABET = "bcdfghjkmnpqrstvwxyz23456789"
_ID_CHARS = 4


class _Verdict(msgspec.Struct, forbid_unknown_fields=True):
    id: str
    important: bool
    reason: str | None = None


class _Answer(msgspec.Struct, forbid_unknown_fields=True):
    verdicts: list[_Verdict]


_DECODER = msgspec.json.Decoder(_Answer, strict=True)


@dataclass(frozen=True, slots=True)
class Reading:
    """What an answer says: opinions by id, and of each id without one, why."""

    opinions: dict[str, Opinion]
    causes: dict[str, Cause]


def short_ids(count: int) -> list[str]:
    """Ids for one prompt, drawn anew for each: no text can know its neighbours' ids."""
    ids: dict[str, None] = {}
    while len(ids) < count:
        ids["".join(secrets.choice(_ALPHABET) for _ in range(_ID_CHARS))] = None
    return list(ids)


def answer_schema(ids: Sequence[str], *, with_reasons: bool) -> dict[str, Any]:
    """The JSON Schema of the answer on these ids."""
    properties: dict[str, Any] = {
        "id": {"type": "string", "enum": list(ids)},
        "important": {"type": "boolean"},
    }
    if with_reasons:
        properties["reason"] = {"type": "string"}
    item = {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }
    return {
        "type": "object",
        "properties": {"verdicts": {"type": "array", "items": item}},
        "required": ["verdicts"],
        "additionalProperties": False,
    }


def _each_once(pairs: list[tuple[str, Any]]) -> None:
    """Raises ValueError where an object says something twice: msgspec would take the last."""
    if len({name for name, _ in pairs}) < len(pairs):
        raise ValueError("a field stands twice")


def read_answer(content: str | None, ids: Iterable[str], *, is_whole: bool) -> Reading:
    """Read an answer on `ids`. `is_whole`: the model had said all that it wanted.

    Where anything in it was not asked for – text around the JSON, another field, an id that is
    none of these or stands twice – nothing in it counts: whoever wrote that was not answering the
    question.
    """
    asked = list(ids)
    try:
        answer = _DECODER.decode(content or "")
        json.loads(content or "", object_pairs_hook=_each_once)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        cause = Cause.MALFORMED if is_whole else Cause.CUT_OFF
        return Reading({}, dict.fromkeys(asked, cause))
    said = Counter(verdict.id for verdict in answer.verdicts)
    if said.keys() - set(asked) or any(times > 1 for times in said.values()):
        return Reading({}, dict.fromkeys(asked, Cause.INVENTED))
    opinions = {
        verdict.id: Opinion(important=verdict.important, reason=verdict.reason or "")
        for verdict in answer.verdicts
    }
    return Reading(opinions, {i: Cause.MISSING for i in asked if i not in opinions})
