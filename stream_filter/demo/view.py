"""The demo on a terminal: one screen, drawn anew four times a second."""

import math
from types import TracebackType
from typing import Self

from rich.console import Console, Group, RenderableType
from rich.layout import Layout
from rich.live import Live
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from stream_filter.core.certificate import CertificateState
from stream_filter.core.decision import Route
from stream_filter.demo.generator import TIMELINE
from stream_filter.demo.glimpse import Glimpse
from stream_filter.demo.plain import SCENARIOS, incident_line, percent

_CALM, _TROUBLE = "cyan", "red"
_STYLES = {"calm": _CALM, "recovery": _CALM, "burst": "yellow"}
_CLAIM_STYLES = {
    CertificateState.CERTIFIED: "bold green",
    CertificateState.REFUTED: "bold red",
    CertificateState.STALE: "bold red",
}
_LEVELS = {"WARN": "yellow", "ERROR": "red", "FATAL": "bold red"}
_FIGURES_HEIGHT, _HEADER_HEIGHT, _ANALYST_HEIGHT, _FOOTER_HEIGHT = 9, 2, 3, 2


class LiveDisplay:
    """Takes the whole screen while it is entered, and gives it back as it was."""

    def __init__(self, console: Console | None = None) -> None:
        self._console = console or Console()
        self._live = Live(console=self._console, screen=True, auto_refresh=False)

    def show(self, glimpse: Glimpse) -> None:
        width, height = self._console.size
        self._live.update(screen(glimpse, width, height), refresh=True)

    def __enter__(self) -> Self:
        self._live.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._live.stop()


def screen(glimpse: Glimpse, width: int, height: int) -> Layout:
    """The whole screen; made for 80 columns and 24 lines or more."""
    layout = Layout()
    figures = Layout(name="figures", size=_FIGURES_HEIGHT)
    layout.split_column(
        Layout(_header(glimpse, width), name="header", size=_HEADER_HEIGHT),
        figures,
        Layout(_analyst(glimpse), name="analyst", size=_ANALYST_HEIGHT),
        Layout(_recent(glimpse, height), name="recent"),
        Layout(_footer(glimpse), name="footer", size=_FOOTER_HEIGHT),
    )
    figures.split_row(
        # At 80 columns each is as wide as its longest line may become.
        Layout(_flow(glimpse), name="flow", ratio=26),
        Layout(_reasons(glimpse), name="reasons", ratio=30),
        Layout(_truth(glimpse), name="truth", ratio=24),
    )
    return layout


def _header(glimpse: Glimpse, width: int) -> RenderableType:
    title = Text(" stream-filter demo  ", style="bold")
    title.append(f"{glimpse.at_s:.0f} of {glimpse.duration_s:.0f} s  ", style="dim")
    if glimpse.phase == "running":
        name = glimpse.scenario
        title.append(SCENARIOS.get(name, name), style=f"bold {_STYLES.get(name, _TROUBLE)}")
    else:
        title.append(glimpse.phase, style="bold")
    played = glimpse.at_s / glimpse.duration_s
    bar = Text(" ")
    for column in range(width - 2):
        fraction = column / (width - 2)
        scenario = next((s for s in TIMELINE if fraction < s.ends), TIMELINE[-1])
        style = _STYLES.get(scenario.name, _TROUBLE)
        is_played = fraction < played
        bar.append("━" if is_played else "─", style=style if is_played else f"dim {style}")
    return Group(title, bar)


def _flow(glimpse: Glimpse) -> RenderableType:
    standing = glimpse.standing
    lag_style = "yellow" if standing.undecided > glimpse.produced_per_s + 1 else ""
    rows = _rows()
    rows.add_row("events in", f"{glimpse.produced_per_s:,.0f}/s")
    rows.add_row("decided", f"{glimpse.decided_per_s:,.0f}/s")
    rows.add_row("lag", Text(f"{standing.undecided:,}", style=lag_style))
    rows.add_row("read", f"{standing.decided:,}")
    rows.add_row("forwarded", Text(f"{standing.routed(Route.FORWARD):,}", style="bold"))
    rows.add_row("share", Text(percent(standing.forwarded_share), style="bold"))
    rows.add_row("delivery", glimpse.delivery or "–")
    return Panel(rows, title="flow", border_style="dim")


def _reasons(glimpse: Glimpse) -> RenderableType:
    rows = _rows()
    for route, name in (
        (Route.FORWARD, "forwarded"),
        (Route.DISCARD, "dropped"),
        (Route.DEAD_LETTER, "dead letters"),
    ):
        reasons = glimpse.standing.reasons(route)
        if reasons or route is not Route.DEAD_LETTER:
            total = glimpse.standing.routed(route)
            rows.add_row(Text(name, style="bold"), Text(f"{total:,}", style="bold"))
        for reason, count in reasons.items():
            rows.add_row(f" {reason}", f"{count:,}")
    return Panel(rows, title="reasons", border_style="dim")


def _truth(glimpse: Glimpse) -> RenderableType:
    standing = glimpse.standing
    everything, unseen = standing.recall(), standing.recall("unseen")
    rows = _rows()
    rows.add_row("important", f"{everything.important:,}")
    rows.add_row("missed", f"{everything.important - everything.forwarded:,}")
    rows.add_row("recall", Text(percent(everything.value), style="bold green"))
    rows.add_row("unseen kind", Text(percent(unseen.value), style="bold yellow"))
    rows.add_row("precision", percent(standing.precision))
    state = glimpse.claim.state if glimpse.claim else CertificateState.UNCERTIFIED
    rows.add_row("claim", Text(state.value, style=_CLAIM_STYLES.get(state, "dim")))
    if glimpse.claim and glimpse.claim.finding:
        recall = glimpse.claim.finding.recall
        rows.add_row("", f"{100 * recall.lower:.0f}–{100 * recall.upper:.0f} %")
    return Panel(rows, title="truth and claim", border_style="dim")


def _analyst(glimpse: Glimpse) -> RenderableType:
    judged, bill = glimpse.judged, glimpse.bill
    verdicts = Text(" verdicts ", no_wrap=True, overflow="ellipsis")
    verdicts.append(f"{judged.given:,}", style="bold")
    verdicts.append(f" waiting {judged.waiting:,} refused {judged.refused:,} · agree with truth ")
    verdicts.append(percent(judged.agreement), style="bold green")
    verdicts.append(f" · {glimpse.judge}", style="dim")
    money = Text(" spent ", no_wrap=True, overflow="ellipsis")
    money.append(f"{bill.spent:.4f}", style="bold")
    money.append(f" for {judged.tokens:,} tokens · all: {bill.everything:.4f} · saved ")
    money.append(percent(bill.saved_share), style="bold green")
    open_style = "bold red" if _has_open_incident(glimpse) else "dim"
    incident = Text(f" {incident_line(glimpse.incidents)}", no_wrap=True, overflow="ellipsis")
    incident.stylize(open_style)
    return Group(verdicts, money, incident)


def _has_open_incident(glimpse: Glimpse) -> bool:
    return any(seen.incident.state == "open" for seen in glimpse.incidents)


def _recent(glimpse: Glimpse, height: int) -> RenderableType:
    table = Table(box=None, expand=True, padding=(0, 0, 0, 1), header_style="dim")
    for name, options in (
        ("time", {"width": 8}),
        ("service", {"width": 13}),
        ("level", {"width": 5}),
        ("reason", {"width": 9}),
        ("score", {"width": 5, "justify": "right"}),
        ("", {"width": 1}),
        ("last forwarded (● important)", {"ratio": 1}),
    ):
        table.add_column(name, no_wrap=True, overflow="ellipsis", **options)
    rows = height - _HEADER_HEIGHT - _FIGURES_HEIGHT - _ANALYST_HEIGHT - _FOOTER_HEIGHT - 2
    for forwarded, is_important in glimpse.last[-max(rows, 1) :]:
        line = forwarded.line
        table.add_row(
            line.time,
            line.service,
            Text(line.level, style=_LEVELS.get(line.level, "")),
            forwarded.reason,
            "–" if math.isnan(forwarded.score) else f"{forwarded.score:.2f}",
            Text("●", style="green") if is_important else Text("·", style="dim"),
            Text(line.message),
        )
    return table


def _footer(glimpse: Glimpse) -> RenderableType:
    missed = Text(" ", no_wrap=True, overflow="ellipsis")
    if not glimpse.has_pack:
        missed.append("no model pack: everything is forwarded as degraded", style="bold yellow")
    elif glimpse.last_missed:
        missed.append("last important event missed: ", style="yellow")
        missed.append(f"{glimpse.last_missed.time} {glimpse.last_missed}")
    else:
        missed.append("no important event missed so far", style="dim")
    facts = Text(" ", style="dim", no_wrap=True, overflow="ellipsis")
    facts.append(f"broker {glimpse.bootstrap}")
    if glimpse.first_forwarded_s is not None:
        facts.append(f" · first forwarded after {glimpse.first_forwarded_s:.1f} s")
    facts.append(" · Ctrl-C ends early")
    return Group(missed, facts)


def _rows() -> Table:
    table = Table(box=None, show_header=False, expand=True, padding=0)
    table.add_column(no_wrap=True)
    table.add_column(justify="right", no_wrap=True)
    return table
