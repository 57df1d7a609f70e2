"""A summary as one HTML page that needs nothing else: tables, and the records by hour."""

from collections import Counter
from collections.abc import Sequence
from html import escape
from pathlib import Path
from typing import Any

from stream_filter.audit.summary import ROUTES, Summary
from stream_filter.core.errors import ConfigError

_WIDTH, _HEIGHT = 720, 180
_COLOURS = {
    "forwarded": "#0b62a4",
    "dropped": "#bbbbbb",
    "folded": "#5a8f29",
    "deferred": "#c05000",
    "dead_lettered": "#8b0000",
}
_STYLE = (
    "body{font:15px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem}"
    "table{border-collapse:collapse;margin:1rem 0}td,th{padding:.2rem .7rem;text-align:right;"
    "border-bottom:1px solid #ccc}td:first-child,th:first-child{text-align:left}"
    "figure{margin:1rem 0}text{font-size:11px}"
)


def summary_page(found: Summary, topic: str | None) -> str:
    """The page. Whatever comes from outside is escaped."""
    title = f"Audit of {topic}" if topic else "Audit of all topics"
    hours = sorted(found.by("hour").items(), key=lambda item: str(item[0]))
    labels = [f"{hour:%Y-%m-%d %H:%M}" for (hour,), _ in hours]
    counts = [of_hour for _, of_hour in hours]
    parts = [
        f"<h1>{escape(title)}</h1>",
        f"<p>{escape(_sentence(found))}</p>",
        *(
            f"<p>{escape(claim.topic)}: {escape(claim.state)}; recall "
            f"{_percent(claim.recall_low)} to {_percent(claim.recall_high)}, "
            f"{claim.misses_found or 0} misses found.</p>"
            for claim in found.claims
        ),
        _bars("Records by hour", labels, counts, tuple(ROUTES)),
        _bars("Of these forwarded", labels, counts, ("forwarded",)),
        *(_table(name, found) for name in ("topic", "reason", "rule", "policy_id", "model_id")),
    ]
    return html_page(title, parts)


def html_page(title: str, parts: Sequence[str]) -> str:
    """A page that needs nothing else, of parts that are HTML."""
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{escape(title)}</title>'
        f"<style>{_STYLE}</style>{''.join(parts)}</html>\n"
    )


def write_page(path: Path, page: str) -> None:
    """Raises ConfigError where `--html` cannot be written."""
    try:
        path.write_text(page, encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"--html: {path}: {error.strerror}") from error


def _sentence(found: Summary) -> str:
    counts = ", ".join(f"{found.counts[name]:,} {name.replace('_', '-')}" for name in ROUTES)
    share = "" if found.share_forwarded is None else f" ({found.share_forwarded:.2%} forwarded)"
    money = (
        ""
        if found.price is None
        else f" At {found.price:g} an event: spent {found.spent:,.2f}, saved {found.saved:,.2f}."
    )
    return f"{found.consumed:,} records: {counts}{share}.{money}"


def _table(name: str, found: Summary) -> str:
    rows = sorted(found.by(name).items(), key=lambda item: -item[1].total())
    if not rows:
        return ""
    head = "".join(f"<th>{escape(each.replace('_', '-'))}</th>" for each in (name, *ROUTES))
    body = "".join(
        f"<tr><td>{escape(str(value or '–'))}</td>"
        + "".join(f"<td>{counts[route]:,}</td>" for route in ROUTES)
        + "</tr>"
        for (value,), counts in rows
    )
    return f"<h2>By {escape(name.replace('_', ' '))}</h2><table><tr>{head}</tr>{body}</table>"


def _bars(
    title: str, labels: Sequence[str], counts: Sequence[Counter[Any]], routes: Sequence[str]
) -> str:
    """A bar for each hour, its parts one upon another."""
    if not counts:
        return ""
    most = max(sum(c[route] for route in routes) for c in counts) or 1
    width = _WIDTH / len(counts)
    bars = []
    for index, (label, of_hour) in enumerate(zip(labels, counts, strict=True)):
        top = float(_HEIGHT)
        for route in routes:
            height = of_hour[route] / most * _HEIGHT
            top -= height
            bars.append(
                f'<rect x="{index * width:.2f}" y="{top:.2f}" width="{max(width * 0.9, 0.5):.2f}" '
                f'height="{height:.2f}" fill="{_COLOURS[route]}"><title>{escape(label)}: '
                f"{of_hour[route]:,} {route.replace('_', '-')}</title></rect>"
            )
    legend = "".join(
        f'<text x="{110 * at}" y="{_HEIGHT + 34}" fill="{_COLOURS[route]}">'
        f"{route.replace('_', '-')}</text>"
        for at, route in enumerate(routes)
    )
    return (
        f"<figure><figcaption>{escape(title)} (highest: {most:,})</figcaption>"
        f'<svg viewBox="0 -5 {_WIDTH} {_HEIGHT + 45}" width="{_WIDTH}" role="img" '
        f'aria-label="{escape(title)}">{"".join(bars)}'
        f'<text y="{_HEIGHT + 16}">{escape(labels[0])}</text>'
        f'<text x="{_WIDTH}" y="{_HEIGHT + 16}" text-anchor="end">{escape(labels[-1])}</text>'
        f"{legend}</svg></figure>"
    )


def _percent(share: float | None) -> str:
    return "–" if share is None else f"{share:.1%}"
