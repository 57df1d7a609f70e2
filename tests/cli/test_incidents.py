"""What `stream-filter incidents` prints: the facts, the graph, and nothing that steers a terminal
or a browser."""

from dataclasses import replace
from pathlib import Path

from click.testing import CliRunner

from stream_filter.cli.incident_page import incident_page
from stream_filter.cli.incident_text import graph_lines, incident_lines, one_line
from stream_filter.cli.main import main
from stream_filter.outage.incident import (
    Assessment,
    Incident,
    LinkRecord,
    ServiceRecord,
    SuspectRecord,
    TextRecord,
)

HOSTILE = "\x1b[31m<script>alert(1)</script>\n"


def link(source: str, target: str, by: str = "peer") -> LinkRecord:
    """Seven times."""
    return LinkRecord(source=source, target=target, by=by, count=7, usual=0.5)


def incident(name: str = "db") -> Incident:
    """An outage of a service."""
    return Incident(
        incident_id="20260921T130000Z-abc123",
        state="open",
        revision=2,
        onset_ms=1_790_000_000_000,
        opened_ms=1_790_000_100_000,
        seen_ms=1_790_000_200_000,
        services=(
            ServiceRecord(service=name, count=40, usual=1.0, since_ms=1_790_000_000_000),
            ServiceRecord(service="web", count=90, usual=2.0, since_ms=1_790_000_075_000),
        ),
        suspects=(SuspectRecord(service=name, share=0.8), SuspectRecord(service="web", share=0.2)),
        texts=(
            TextRecord(
                service=name,
                text=name + " disk full",
                count=40,
                usual=0.0,
                first_ms=0,
                last_ms=1,
                is_novel=True,
                event_id="0" * 32,
            ),
        ),
        links=(link("web", name), link("web", name, "trace"), link("edge", "web")),
        assessment=Assessment(
            judge="m",
            at_ms=1,
            is_outage=True,
            since_ms=1_790_000_000_000,
            root=name,
            affected=("web",),
            advice="free the disk " + name,
            rests_on=("0" * 32,),
            tokens=1,
            cost=0.0,
        ),
    )


def test_an_incident_reads_as_text() -> None:
    """Golden: all that is known of it."""
    assert "\n".join(incident_lines(incident())) == (
        "20260921T130000Z-abc123  open    since 2026-09-21T14:13:20Z  2 services, suspect db\n"
        "  suspects   db 80%, web 20%\n"
        "  complain   +0:00  db  40 events, usually 1\n"
        "             +1:15  web  90 events, usually 2\n"
        "  graph      db\n"
        "             └ web (peer 7, trace 7)\n"
        "               └ edge (peer 7)\n"
        "  texts      db ×40, new: db disk full\n"
        "  model      m: an outage, cause db, since 2026-09-21T14:13:20Z\n"
        "             affected: web\n"
        "  advice     free the disk db\n"
        f"  rests on   {'0' * 32}"
    )


def test_who_blame_each_other_are_shown_once() -> None:
    """A circle ends."""
    circle = replace(incident(), links=(link("web", "db"), link("db", "web"), link("x", "y")))
    lines = list(graph_lines(circle))
    assert [line.strip() for line in lines] == [
        "graph      db",
        "└ web (peer 7)",
        "└ db (peer 7) (see above)",
        "y",
        "└ x (peer 7)",
    ]


def test_names_and_texts_from_outside_steer_nothing() -> None:
    """Neither the terminal nor the page; times from nowhere do not stop it."""
    hostile = replace(incident(HOSTILE), onset_ms=10**18, state="closed", seen_ms=-(10**18))
    lines = list(incident_lines(hostile))
    assert all(line.isprintable() for line in lines)
    assert one_line(hostile).isprintable()
    assert "<script>" not in incident_page([hostile])
    assert "No incident" in incident_page([])


def test_follow_and_a_page_exclude_each_other() -> None:
    """One line, exit code 2, no broker asked."""
    result = CliRunner().invoke(main, ["incidents", "--follow", "--html", "x.html"])
    assert result.exit_code == 2
    assert "--html is of what there is now" in result.output
    assert not Path("x.html").exists()
