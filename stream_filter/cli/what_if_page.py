"""What another policy would have made of a window, as one HTML page that needs nothing else."""

from collections.abc import Sequence
from html import escape

from stream_filter.audit.account import Point, WhatIf
from stream_filter.audit.summary import ROUTES
from stream_filter.cli.audit_page import html_page
from stream_filter.core.decision import Route

_WIDTH, _HEIGHT = 720, 240
_FORWARDED, _RECALL = "#0b62a4", "#c05000"


def what_if_page(found: WhatIf) -> str:
    """The page. Whatever comes from outside is escaped."""
    title = f"What if {found.topic} had policy {found.policy_id}"
    by_label = {route.label: route for route in Route}
    parts = [
        f"<h1>{escape(title)}</h1>",
        f"<p>{found.records:,} records, {found.unscored:,} of them unscored.</p>",
        _table(
            ("", "recorded", "what if", "newly"),
            [
                (
                    name.replace("_", "-"),
                    *(
                        f"{count(by_label[label]):,}"
                        for count in (found.recorded, found.supposed, found.newly)
                    ),
                )
                for name, label in ROUTES.items()
            ],
        ),
        "<h2>What changes</h2>",
        _table(
            ("recorded", "what if", "records"),
            [
                (
                    f"{old[0].label}, {old[1].label}",
                    "unscored" if new is None else f"{new[0].label}, {new[1].label}",
                    f"{n:,}",
                )
                for old, new, n in found.moves
                if new != old
            ],
        ),
    ]
    if found.sweep:
        parts += ["<h2>By drop_below</h2>", _plot(found), _points(found.sweep)]
    return html_page(title, parts)


def _plot(found: WhatIf) -> str:
    """Shares upwards, the threshold to the right."""
    most = max(found.records, 1)
    line = " ".join(_at(p.drop_below, p.forwarded / most) for p in found.sweep)
    supported = [(p.drop_below, p.supported.finding) for p in found.sweep]
    upper = [_at(x, finding.recall.upper) for x, finding in supported if finding]
    lower = [_at(x, finding.recall.lower) for x, finding in supported if finding]
    band = (
        f'<polygon points="{" ".join([*upper, *reversed(lower)])}" fill="{_RECALL}" '
        'fill-opacity="0.25"/>'
        if lower
        else ""
    )
    ticks = "".join(
        f'<text x="{share * _WIDTH:.0f}" y="{_HEIGHT + 16}" text-anchor="middle">{share:g}</text>'
        f'<text x="-6" y="{(1 - share) * _HEIGHT + 4:.0f}" text-anchor="end">{share:.0%}</text>'
        for share in (0.0, 0.25, 0.5, 0.75, 1.0)
    )
    recall = "recall, as far as labels support it" if lower else "recall: no support"
    return (
        f'<figure><svg viewBox="-50 -8 {_WIDTH + 70} {_HEIGHT + 50}" width="{_WIDTH}" role="img" '
        f'aria-label="Forwarded share and recall by threshold">'
        f'<rect width="{_WIDTH}" height="{_HEIGHT}" fill="none" stroke="#ccc"/>{band}'
        f'<polyline points="{line}" fill="none" stroke="{_FORWARDED}" stroke-width="2"/>{ticks}'
        f'<text y="{_HEIGHT + 34}" fill="{_FORWARDED}">forwarded</text>'
        f'<text x="110" y="{_HEIGHT + 34}" fill="{_RECALL}">{recall}</text></svg></figure>'
    )


def _at(x: float, share: float) -> str:
    return f"{x * _WIDTH:.1f},{(1 - share) * _HEIGHT:.1f}"


def _points(points: Sequence[Point]) -> str:
    rows = []
    for point in points:
        finding = point.supported.finding
        interval = (
            "no support"
            if finding is None
            else f"{finding.recall.lower:.1%} to {finding.recall.upper:.1%}"
        )
        cost = "" if point.cost is None else f"{point.cost:,.2f}"
        rows.append((f"{point.drop_below:.2f}", f"{point.forwarded:,}", cost, interval))
    return _table(("drop_below", "forwarded", "cost", "recall"), rows)


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    def line(cells: Sequence[str], tag: str) -> str:
        return f"<tr>{''.join(f'<{tag}>{escape(cell)}</{tag}>' for cell in cells)}</tr>"

    return f"<table>{line(head, 'th')}{''.join(line(row, 'td') for row in rows)}</table>"
