"""The screen fits the terminal and says the essentials."""

import io
from dataclasses import replace

import pytest

pytest.importorskip("rich")

from rich.console import Console

from stream_filter.core.decision import Reason, Route
from stream_filter.core.evidence import EpochEvidence, Stratum
from stream_filter.core.position import Position
from stream_filter.core.statement import Extent, state
from stream_filter.core.targets import OnFailure, RecallTarget
from stream_filter.demo.bill import Bill
from stream_filter.demo.follower import Forwarded, LogLine
from stream_filter.demo.glimpse import Glimpse
from stream_filter.demo.incidents import SeenIncident
from stream_filter.demo.judging import Judged
from stream_filter.demo.plain import plain_line
from stream_filter.demo.scoreboard import KindCount, Standing
from stream_filter.demo.view import screen
from stream_filter.outage.incident import Incident, ServiceRecord, SuspectRecord

LINE = LogLine(time="12:00:00", service="payments", level="FATAL", message="[bold]card vault " * 9)
FORWARDED = Forwarded(source=Position("t", 0, 1), line=LINE, reason="important", score=float("nan"))
INCIDENT = Incident(
    incident_id="20261126T120000Z-abcdef",
    state="open",
    revision=1,
    onset_ms=0,
    opened_ms=1_000,
    seen_ms=2_000,
    services=tuple(
        ServiceRecord(service=name, count=100, usual=3.0, since_ms=0)
        for name in ("payments", "checkout")
    ),
    suspects=(SuspectRecord(service="payments", share=0.6),),
    texts=(),
    links=(),
    unassessed="timeout",
)
GLIMPSE = Glimpse(
    phase="running",
    scenario="bad_deploy",
    at_s=30,
    duration_s=60,
    standing=Standing(
        produced=1_234_567,
        decided=1_234_000,
        undecided=567,
        outcomes={
            (Route.FORWARD, Reason.IMPORTANT): 34_000,
            (Route.DISCARD, Reason.BELOW_THRESHOLD): 1_200_000,
        },
        kinds=(
            KindCount(
                kind="unseen/a.b",
                important=True,
                outcomes={
                    (Route.FORWARD, Reason.IMPORTANT): 1,
                    (Route.DISCARD, Reason.BELOW_THRESHOLD): 3,
                },
            ),
        ),
    ),
    produced_per_s=2000,
    decided_per_s=2000,
    delivery="at_least_once",
    bootstrap="127.0.0.1:9092",
    has_pack=True,
    first_forwarded_s=3.2,
    last=((FORWARDED, True),) * 40,
    last_missed=LINE,
    claim=None,
    judge="stand-in",
    judged=Judged(
        given=33_000,
        waiting=988,
        refused=12,
        causes={"timeout": 12},
        tokens=1_203_000,
        spent=0.7191,
        compared=32_900,
        agreed=32_571,
    ),
    bill=Bill(everything=29.6512, dropped=28.8, folded=0.1321, spent=0.7191),
    incidents=(SeenIncident(at_s=29.0, incident=INCIDENT),),
)
NOTHING = replace(
    GLIMPSE,
    phase="worker is starting",
    standing=Standing(produced=0, decided=0, undecided=0, outcomes={}, kinds=()),
    delivery=None,
    first_forwarded_s=None,
    last=(),
    last_missed=None,
    claim=None,
    judged=Judged(
        given=0, waiting=0, refused=0, causes={}, tokens=0, spent=0.0, compared=0, agreed=0
    ),
    bill=Bill(everything=0.0, dropped=0.0, folded=0.0, spent=0.0),
    incidents=(),
)


CLAIM = state(
    [
        EpochEvidence(
            topic="platform.logs",
            policy_id="e1",
            model_id="m1",
            opened_ms=0,
            watermark_ms=1,
            is_closed=False,
            dropped=(Stratum(probability=0.05, events=9_000, shown=450, judged=450, important=0),),
            forwarded=(
                Stratum(probability=1.0, events=1_800, shown=1_800, judged=1_800, important=900),
            ),
        )
    ],
    of=("platform.logs", "e1", "m1"),
    target=RecallTarget(recall=0.9, failure_probability=0.05, max_age_ms=1_000),
    on_failure=OnFailure.FORWARD_ALL,
    alarms=frozenset(),
    now_ms=2,
    last=None,
    extent=Extent(ledger_next={}, verdict_next=0, patience_ms=1_000),
)


def render(glimpse: Glimpse, width: int, height: int) -> list[str]:
    console = Console(file=io.StringIO(), width=width, height=height, force_terminal=False)
    console.print(screen(glimpse, width, height), height=height, end="")
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue().splitlines()


@pytest.mark.parametrize(("width", "height"), [(80, 24), (120, 40), (60, 20)])
@pytest.mark.parametrize("glimpse", [GLIMPSE, NOTHING])
def test_it_fits(glimpse: Glimpse, width: int, height: int) -> None:
    """Never wider or higher than the terminal."""
    lines = render(glimpse, width, height)
    assert len(lines) <= height
    assert max(map(len, lines)) <= width


def test_it_says_the_essentials_in_80_by_24() -> None:
    """Rates, lag, reasons, recall, delivery, verdicts, money, newest events, the last miss."""
    text = "\n".join(render(GLIMPSE, 80, 24))
    for said in (
        "a deploy of payments gone wrong",
        "2,000/s",
        "567",
        "below_threshold 1,200,000",
        "25.0 %",
        "at_least_once",
        "payments      FATAL important",
        "verdicts 33,000 waiting 988 refused 12 · agree with truth 99.0 %",
        "spent 0.7191 for 1,203,000 tokens · all: 29.6512 · saved 97.6 %",
        "incident open: payments, checkout, suspect payments",
        "last important event missed",
        "first forwarded after 3.2 s",
    ):
        assert said in text
    assert text.count("FATAL important") >= 6
    assert "[bold]" in text  # an event's text is text, not markup


def test_the_claim_is_shown() -> None:
    """State and interval of the certificate stand beside what truth says."""
    glimpse = replace(GLIMPSE, claim=CLAIM)
    text = "\n".join(render(glimpse, 80, 24))
    assert "certified" in text
    assert "92–100 %" in text
    assert plain_line(glimpse).endswith("certified: recall 91.8 % to 100.0 %")


def test_the_plain_line_is_one_line() -> None:
    """Without a terminal the same, in a line."""
    line = plain_line(GLIMPSE)
    assert "\n" not in line
    assert "lag 567" in line
    assert "recall 25.0 %, unseen 25.0 %" in line
    assert "verdicts 33,000, waiting 988, refused 12, agreeing with truth 99.0 %" in line
    assert "spent 0.7191 of 29.6512, saved 97.6 %" in line
    assert "worker is starting" in plain_line(NOTHING)
