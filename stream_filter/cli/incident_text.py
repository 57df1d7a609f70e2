"""An incident as text: the facts, and the graph of who blames whom."""

from collections.abc import Iterator

from stream_filter.cli.output import printable
from stream_filter.outage.incident import Incident, LinkRecord
from stream_filter.outage.packing import moment

_TEXTS, _WIDTH = 8, 100


def incident_lines(incident: Incident) -> Iterator[str]:
    """Whatever comes from outside cannot steer the terminal."""
    yield one_line(incident)
    if incident.suspects:
        shares = (f"{printable(s.service)} {s.share:.0%}" for s in incident.suspects[:3])
        yield f"  suspects   {', '.join(shares)}"
    yield from _services(incident)
    yield from graph_lines(incident)
    for number, text in enumerate(incident.texts[:_TEXTS]):
        head = "texts" if not number else ""
        new = ", new" if text.is_novel else f", usually {text.usual:g}"
        yield f"  {head:<10} {printable(text.service)} ×{text.count}{new}: " + printable(
            text.text, width=_WIDTH
        )
    if (said := incident.assessment) is not None:
        verdict = "an outage" if said.is_outage else "no outage"
        root = f", cause {printable(said.root)}" if said.root else ""
        since = f", since {time_of(said.since_ms)}" if said.since_ms is not None else ""
        yield f"  {'model':<10} {printable(said.judge)}: {verdict}{root}{since}"
        if said.affected:
            yield f"  {'':<10} affected: {', '.join(map(printable, said.affected))}"
        if said.advice:
            yield f"  {'advice':<10} {printable(said.advice)}"
        if said.rests_on:
            yield f"  {'rests on':<10} {' '.join(said.rests_on)}"
    elif incident.unassessed:
        yield f"  {'model':<10} says nothing: {printable(incident.unassessed)}"


def one_line(incident: Incident) -> str:
    """Its state in a line."""
    until = f" until {time_of(incident.seen_ms)}" if incident.state == "closed" else ""
    suspect = f", suspect {printable(incident.suspects[0].service)}" if incident.suspects else ""
    count = len(incident.services)
    return (
        f"{printable(incident.incident_id)}  {incident.state:<6}  since "
        f"{time_of(incident.onset_ms)}{until}  {count} service{'s' * (count != 1)}{suspect}"
    )


def _services(incident: Incident) -> Iterator[str]:
    for number, each in enumerate(incident.services):
        head = "complain" if not number else ""
        after_s = max(0, each.since_ms - incident.onset_ms) // 1000
        yield (
            f"  {head:<10} +{after_s // 60}:{after_s % 60:02d}  {printable(each.service)}  "
            f"{each.count:,} events, usually {each.usual:g}"
        )


def graph_lines(incident: Incident) -> Iterator[str]:
    """Who blames whom, from the first suspect on: below each service stand those that blame it."""
    blamed: dict[str, dict[str, list[LinkRecord]]] = {}
    for link in incident.links:
        blamed.setdefault(link.target, {}).setdefault(link.source, []).append(link)
    order = [each.service for each in incident.suspects] + list(blamed)
    head = "graph"
    shown: set[str] = set()
    for root in dict.fromkeys(order):
        if root in shown or root not in blamed:
            continue
        for line in _below(root, blamed, shown):
            yield f"  {head:<10} {line}"
            head = ""


def _below(
    name: str, blamed: dict[str, dict[str, list[LinkRecord]]], shown: set[str]
) -> Iterator[str]:
    waiting = [(name, 0, "")]
    while waiting:
        at, depth, why = waiting.pop()
        is_known = at in shown and at in blamed
        branch = "  " * (depth - 1) + "└ " if depth else ""
        yield f"{branch}{printable(at)}{why}{' (see above)' if is_known else ''}"
        if is_known:
            continue
        shown.add(at)
        below = [
            (source, depth + 1, f" ({', '.join(f'{link.by} {link.count}' for link in links)})")
            for source, links in blamed.get(at, {}).items()
        ]
        waiting += reversed(below)


def time_of(at_ms: int) -> str:
    """A time from outside, which may be none."""
    try:
        return moment(at_ms)
    except (ValueError, OverflowError, OSError):
        return str(at_ms)
