"""An evaluation as one HTML page that needs nothing else: tables and two plots."""

import math
from collections.abc import Mapping, Sequence
from html import escape

import numpy as np
from numpy.typing import NDArray

from stream_filter.app.figures import RECALLS, Figures
from stream_filter.app.pack_evaluation import Evaluation

_SIDE = 320
_COLOURS = ("#0b62a4", "#c05000", "#5a8f29", "#8a3ffc", "#6f6f6f")
_MOST_POINTS = 400
_STYLE = (
    "body{font:15px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem}"
    "table{border-collapse:collapse;margin:1rem 0}td,th{padding:.2rem .7rem;text-align:right;"
    "border-bottom:1px solid #ccc}td:first-child,th:first-child{text-align:left}"
    "figure{display:inline-block;margin:0 2rem 1rem 0}text{font-size:11px}"
)
_HEADER = ("events", "important", "AUC", "95 % interval", *(f"fwd @ {r:g}" for r in RECALLS),
           "calibration error")  # fmt: skip


def evaluation_page(found: Evaluation, *, pack: str, model_id: str, data_sha256: str) -> str:
    """The page. Whatever comes from outside is escaped."""
    parts = [
        f"<h1>{escape(pack)}</h1><p>Model id {escape(model_id)}; events of SHA-256 "
        f"{escape(data_sha256)}.</p>",
        _table("", found.contenders),
        *(f"<p>Left out: {escape(n)}: {escape(why)}</p>" for n, why in found.left_out.items()),
    ]
    if found.at is not None:
        parts.append(
            f"<p>At threshold {found.at.threshold:g}: recall {found.at.recall:.4f}, forwards "
            f"{found.at.forwarded:.1%}.</p>"
        )
    bins = found.reliability
    said, true = (
        np.array([getattr(each, name) for each in bins])
        for name in ("mean_score", "important_share")
    )
    parts += [
        _plot("Precision by recall", "recall", "precision", found.curves),
        _plot("Calibration of the pack", "mean score", "important", {"the pack": (said, true)}),
        *(
            f"<h2>By {escape(key)}</h2>{_table(key, values)}"
            for key, values in found.slices.items()
        ),
    ]
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{escape(pack)}</title>'
        f"<style>{_STYLE}</style>{''.join(parts)}</html>\n"
    )


def _table(first: str, rows: Mapping[str, Figures]) -> str:
    head = "".join(f"<th>{escape(name)}</th>" for name in (first, *_HEADER))
    body = "".join(
        "<tr>"
        + "".join(f"<td>{escape(cell)}</td>" for cell in (name or "(none)", *_cells(f)))
        + "</tr>"
        for name, f in rows.items()
    )
    return f"<table><tr>{head}</tr>{body}</table>"


def _cells(f: Figures) -> Sequence[str]:
    interval = "–" if math.isnan(f.auc.low) else f"{f.auc.low:.4f} – {f.auc.high:.4f}"
    shares = [_number(share) for share in f.forwarded.values()]
    counts = (f"{f.events:,}", f"{f.important:,}")
    return (*counts, _number(f.auc.value), interval, *shares, _number(f.calibration_error))


def _number(value: float) -> str:
    return "–" if math.isnan(value) else f"{value:.4f}"


def _plot(
    title: str,
    x_name: str,
    y_name: str,
    curves: Mapping[str, tuple[NDArray[np.float64], NDArray[np.float64]]],
) -> str:
    """Lines in the unit square."""
    lines = []
    for colour, (at, (name, (x, y))) in zip(_COLOURS, enumerate(curves.items()), strict=False):
        shown = np.unique(np.linspace(0, len(x) - 1, min(len(x), _MOST_POINTS)).astype(int))
        points = " ".join(
            f"{a * _SIDE:.1f},{(1 - b) * _SIDE:.1f}"
            for a, b in zip(x[shown], y[shown], strict=True)
        )
        lines.append(
            f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="2"/>'
            f'<text x="8" y="{_SIDE - 10 - 14 * at}" fill="{colour}">{escape(name)}</text>'
        )
    return (
        f'<figure><figcaption>{escape(title)}</figcaption><svg viewBox="-30 -10 {_SIDE + 50} '
        f'{_SIDE + 40}" width="{_SIDE + 50}" role="img" aria-label="{escape(title)}">'
        f'<rect width="{_SIDE}" height="{_SIDE}" fill="none" stroke="#999"/>{"".join(lines)}'
        f'<text x="{_SIDE / 2}" y="{_SIDE + 20}">{escape(x_name)} (0 to 1)</text>'
        f'<text x="-8" y="{_SIDE / 2}" transform="rotate(-90 -8 {_SIDE / 2})">'
        f"{escape(y_name)} (0 to 1)</text></svg></figure>"
    )
