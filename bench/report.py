"""Medians, ratios and the promises that they are held against."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median

Run = Mapping[str, float | bool | str]
"""One run: ``stream``, ``contestant`` and figures, as in the result file."""

Medians = dict[str, dict[str, dict[str, float]]]
"""By stream, then contestant, then figure."""

_FIGURES = ("pace", "cpu_us", "cpu_us_with_start", "peak_mb", "first_commit_s")
_PYTHON_RULES = ("quixstreams", "faststream_batch", "faststream_undecoded", "faust_agent")
_ALO, _EOS = "gate_at_least_once", "gate_exactly_once"
_FULL = "gate_full_policy"


@dataclass(frozen=True, slots=True, kw_only=True)
class Promise:
    """A figure to hold: ``measured`` has to be at least, or at most, ``bound``."""

    name: str
    measured: float
    bound: float
    is_floor: bool

    @property
    def is_kept(self) -> bool:
        """Whether the figure holds."""
        return self.measured >= self.bound if self.is_floor else self.measured <= self.bound


def medians(runs: Iterable[Run]) -> Medians:
    """The median of every figure over the runs of a contestant on a stream."""
    grouped: dict[str, dict[str, list[Run]]] = {}
    for run in runs:
        by_name = grouped.setdefault(str(run["stream"]), {})
        by_name.setdefault(str(run["contestant"]), []).append(run)
    return {
        stream: {
            name: {
                figure: median(float(run[figure]) for run in members)
                for figure in _FIGURES
                if all(figure in run for run in members)
            }
            for name, members in by_name.items()
        }
        for stream, by_name in grouped.items()
    }


def promises(middle: Medians, delay: Mapping[str, Mapping[str, float]]) -> list[Promise]:
    """Each promise that these figures can decide; the others are left out."""
    found: list[Promise] = []

    def floor(name: str, measured: float, bound: float) -> None:
        found.append(Promise(name=name, measured=measured, bound=bound, is_floor=True))

    def ceiling(name: str, measured: float, bound: float) -> None:
        found.append(Promise(name=name, measured=measured, bound=bound, is_floor=False))

    repeating = middle.get("repeating", {})
    for gate in (_ALO, _EOS):
        ours = repeating.get(gate)
        if ours is None:
            continue
        floor(f"{gate}: events/s", ours["pace"], 150_000)
        streams = repeating.get(gate.replace("gate", "kafka_streams"))
        if streams:
            floor(f"{gate} / Kafka Streams, same delivery", ours["pace"] / streams["pace"], 1.0)
            ceiling(
                f"{gate}: CPU per event / Kafka Streams", ours["cpu_us"] / streams["cpu_us"], 1.0
            )
        rules = [repeating[name] for name in _PYTHON_RULES if name in repeating]
        if rules:
            best = max(rules, key=lambda figures: figures["pace"])
            floor(f"{gate} / best Python framework", ours["pace"] / best["pace"], 1.5)
            ceiling(
                f"{gate}: CPU per event / best Python framework",
                ours["cpu_us"] / best["cpu_us"],
                1.0,
            )
        if "faust_model" in repeating:
            floor(f"{gate} / Faust + model", ours["pace"] / repeating["faust_model"]["pace"], 20)
        ceiling(f"{gate}: peak memory, MB", ours["peak_mb"], 400)
    if _ALO in repeating and _FULL in repeating:
        share = repeating[_FULL]["pace"] / repeating[_ALO]["pace"]
        floor("20 rules, novelty, folds, budget / bare gate", share, 0.7)
    if _ALO in repeating and _EOS in repeating:
        cost = repeating[_EOS]["pace"] / repeating[_ALO]["pace"]
        floor("exactly once / at least once", cost, 0.9)
    unique = middle.get("unique", {})
    for gate in (_ALO, _EOS):
        if gate in unique and "onnx_alone" in unique:
            share = unique[gate]["pace"] / unique["onnx_alone"]["pace"]
            floor(f"{gate} / onnxruntime alone, nothing repeats", share, 0.9)
    for gate, bound in ((_ALO, 50.0), (_EOS, 100.0)):
        if gate in delay:
            ceiling(f"{gate}: added delay p99 at half load, ms", delay[gate]["added_p99_ms"], bound)
    return found


def pace_table(stream: str, figures: Mapping[str, Mapping[str, float]]) -> str:
    """A line for each contestant, with the gate's pace as a multiple of it."""
    gates = [figures[name]["pace"] if name in figures else None for name in (_ALO, _EOS)]
    head = ("contestant", "events/s", "CPU µs", "+ start", "peak MB", "gate alo ×", "gate eo ×")
    rows = [
        (
            name,
            f"{row['pace']:,.0f}",
            f"{row['cpu_us']:.1f}",
            f"{row['cpu_us_with_start']:.1f}" if "cpu_us_with_start" in row else "",
            f"{row['peak_mb']:.0f}",
            *("" if gate is None else f"{gate / row['pace']:.2f}" for gate in gates),
        )
        for name, row in sorted(figures.items(), key=lambda item: -item[1]["pace"])
    ]
    return f"\n{stream}\n" + _aligned([head, *rows])


def delay_table(delay: Mapping[str, Mapping[str, float]]) -> str:
    """The delays at half load, a line for each delivery."""
    kinds = ("added", "after_ack", "direct_after_ack")
    head = ("half load", "events/s", *(f"{kind} p50 / p99 ms" for kind in kinds))
    rows = [
        (
            name,
            f"{row['rate']:,.0f}",
            *(f"{row[f'{kind}_p50_ms']:.1f} / {row[f'{kind}_p99_ms']:.1f}" for kind in kinds),
        )
        for name, row in delay.items()
    ]
    return "\n" + _aligned([head, *rows])


def promise_table(found: Sequence[Promise]) -> str:
    """Kept or missed, with the figure and the bound."""
    head = ("promise", "measured", "bound", "")
    rows = [
        (
            promise.name,
            f"{promise.measured:,.2f}",
            f"{'≥' if promise.is_floor else '≤'} {promise.bound:,g}",
            "kept" if promise.is_kept else "MISSED",
        )
        for promise in found
    ]
    return "\n" + _aligned([head, *rows])


def _aligned(rows: Sequence[Sequence[str]]) -> str:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  ".join(
            cell.ljust(width) if index == 0 else cell.rjust(width)
            for index, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        for row in rows
    )
