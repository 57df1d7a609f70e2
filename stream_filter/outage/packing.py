"""A view in few tokens: what is worth most first, until there is no more room.

First the distinct texts with their counts, then examples, then how services hang together.
"""

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from stream_filter.outage.view import KindSeen, View

_MOST_SERVICES = 50
_MOST_LINKS = 100
_TEXTS_SHARE, _EXAMPLES_SHARE = 0.75, 0.1
"""Of the room, at the most: what they leave is for links."""
_NAME_CHARS = 100


@dataclass(frozen=True, slots=True)
class Packed:
    """What goes into a prompt."""

    document: dict[str, Any]
    events: dict[str, str]
    """By the id that stands in the document: the event's own."""
    services: tuple[str, ...]
    """Those that the document names."""
    tokens: int


def pack(
    view: View,
    *,
    most_tokens: int,
    count: Callable[[str], int],
    ids: Sequence[str],
    shown: Callable[[str], str] = str,
) -> Packed:
    """`count`: tokens of a text. `ids`: names for the events of the document, as many as may be
    needed; an event without one is left out. `shown`: how a text stands in the document."""
    free = iter(ids)
    events: dict[str, str] = {}
    document: dict[str, Any] = {
        "window": {"from": moment(view.since_ms), "to": moment(view.now_ms)},
        "services": [
            {
                "service": each.service[:_NAME_CHARS],
                "events": each.count,
                "usual": each.usual,
                **({} if each.onset_ms is None else {"complains_since": moment(each.onset_ms)}),
            }
            for each in _leading_services(view)
        ],
        "texts": [],
        "examples": [],
        "links": [],
    }
    spent = count(written(document))
    room = most_tokens - spent
    kept = {"texts": room * _TEXTS_SHARE, "examples": room * _EXAMPLES_SHARE, "links": room * 1.0}
    packed: list[tuple[str, KindSeen]] = []
    for kind in view.kinds:
        short = next(free, None)
        if short is None:
            break
        entry = _text(kind, short) | {"event": shown(kind.text)}
        needed = count(written(entry)) + 1
        if needed > kept["texts"]:
            continue
        kept["texts"] -= needed
        room -= needed
        document["texts"].append(entry)
        events[short] = kind.examples[-1].event_id
        packed.append((short, kind))
    for name, entry, event_id in _rest(view, packed, free):
        if name == "examples":
            entry["event"] = shown(entry["event"])
        needed = count(written(entry)) + 1
        if needed <= min(room, kept[name]):
            kept[name] -= needed
            room -= needed
            document[name].append(entry)
            if event_id:
                events[entry["id"]] = event_id
    named = [each["service"] for each in document["services"]]
    named += [each["service"] for each in document["texts"]]
    named += [each[end] for each in document["links"] for end in ("from", "to")]
    return Packed(document, events, tuple(dict.fromkeys(named)), count(written(document)))


def written(document: object) -> str:
    """As it stands in a prompt: one JSON text, in which no string can end itself."""
    text = json.dumps(document, ensure_ascii=False, separators=(",", ":"))
    return text.encode("utf-8", "replace").decode()


def moment(at_ms: int) -> str:
    """A time as it is written for people and models: UTC, to the second."""
    return datetime.fromtimestamp(at_ms / 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _leading_services(view: View) -> list[Any]:
    order = sorted(
        view.services, key=lambda s: (s.onset_ms is None, -(s.count - s.usual), s.service)
    )
    return order[:_MOST_SERVICES]


def _text(kind: KindSeen, short: str) -> dict[str, Any]:
    return {
        "id": short,
        "service": kind.service[:_NAME_CHARS],
        "times": kind.count,
        "usual": kind.usual,
        "first": moment(kind.first_ms),
        "last": moment(kind.last_ms),
        **({"new": True} if kind.is_novel else {}),
    }


def _rest(
    view: View, packed: Sequence[tuple[str, KindSeen]], free: Iterator[str]
) -> Iterator[tuple[str, dict[str, Any], str]]:
    """Other examples of the texts, then links of what complains."""
    for of, kind in packed:
        for example in kind.examples[:-1]:
            if example.text != kind.text and (short := next(free, None)) is not None:
                entry = {"id": short, "of": of, "at": moment(example.at_ms), "event": example.text}
                yield "examples", entry, example.event_id
    complaining = {each.service for each in view.complaining}
    links = [link for link in view.links if link.source in complaining]
    for link in links[:_MOST_LINKS]:
        described: dict[str, Any] = {
            "from": link.source[:_NAME_CHARS],
            "to": link.target[:_NAME_CHARS],
            "by": link.by,
            "times": link.count,
            "usual": link.usual,
        }
        yield "links", described, ""
