"""Incidents as one HTML page that needs nothing else."""

from collections.abc import Sequence
from html import escape

from stream_filter.cli.incident_text import graph_lines, one_line, time_of
from stream_filter.outage.incident import Incident

_STYLE = (
    "body{font:15px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem}"
    "table{border-collapse:collapse;margin:1rem 0}td,th{padding:.2rem .7rem;text-align:right;"
    "border-bottom:1px solid #ccc;vertical-align:top}td:first-child,th:first-child,td.t,th.t"
    "{text-align:left}.open{color:#b00}pre{background:#f4f4f4;padding:.6rem;overflow:auto}"
)


def incident_page(found: Sequence[Incident]) -> str:
    """The page, the newest first. Whatever comes from outside is escaped."""
    body = "".join(_section(incident) for incident in reversed(found)) or "<p>No incident.</p>"
    return (
        '<!doctype html><html lang="en"><meta charset="utf-8"><title>Incidents</title>'
        f"<style>{_STYLE}</style><h1>Incidents</h1>{body}</html>\n"
    )


def _section(incident: Incident) -> str:
    parts = [f'<h2 class="{escape(incident.state)}">{escape(one_line(incident))}</h2>']
    if (said := incident.assessment) is not None:
        verdict = "an outage" if said.is_outage else "no outage"
        root = f", cause: {said.root}" if said.root else ""
        parts.append(f"<p>{escape(said.judge)} says: {verdict}{escape(root)}.</p>")
        parts.append(f"<p>{escape(said.advice)}</p>")
        parts.append(f"<p>It rests on {escape(', '.join(said.rests_on))}.</p>")
    elif incident.unassessed:
        parts.append(f"<p>The model says nothing: {escape(incident.unassessed)}.</p>")
    rows = [(s.service, f"{s.share:.0%}") for s in incident.suspects]
    parts.append(_table("Suspects", ("service", "share of the blame"), rows))
    services = [
        (s.service, time_of(s.since_ms), f"{s.count:,}", f"{s.usual:g}") for s in incident.services
    ]
    parts.append(_table("Complain", ("service", "since", "events", "usually"), services))
    graph = "\n".join(line[13:] for line in graph_lines(incident))
    if graph:
        parts.append(f"<h3>Who blames whom</h3><pre>{escape(graph)}</pre>")
    texts = [
        (t.service, f"{t.count:,}", "new" if t.is_novel else f"{t.usual:g}", t.text)
        for t in incident.texts
    ]
    parts.append(_table("Texts", ("service", "events", "usually", "text"), texts))
    return "".join(parts)


def _table(title: str, head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    if not rows:
        return ""
    heads = "".join(f"<th>{escape(name)}</th>" for name in head)
    body = "".join(
        "<tr>" + "".join(f"<td{_left(head[n])}>{escape(cell)}</td>" for n, cell in enumerate(row))
        for row in rows
    )
    return f"<h3>{escape(title)}</h3><table><tr>{heads}</tr>{body}</table>"


def _left(name: str) -> str:
    return ' class="t"' if name == "text" else ""
