"""What the desk does with what is known already."""

from collections.abc import Sequence

import orjson

from stream_filter.analyst.backlog import Backlog, BatchSize, Event
from stream_filter.analyst.desk import Desk, Panel
from stream_filter.analyst.finding_cache import FindingCache
from stream_filter.analyst.observing import AnalystObserver
from stream_filter.analyst.outcome import Finding, Opinion
from stream_filter.analyst.prompt import Prompt
from stream_filter.analyst.token_counts import ByLength
from stream_filter.telemetry.analyst_metrics import AnalystMetrics


class OneJudge:
    """An asker who need not be asked."""

    judges = ("model",)
    courier: "OneJudge"


async def test_known_texts_are_answered_by_one_write() -> None:
    """A thousand events whose text is known have their verdicts written and acknowledged together,
    and only then are done: one by one, each would wait for the broker."""
    judge = OneJudge()
    judge.courier = judge
    steps: list[tuple[str, int]] = []

    async def write(records: Sequence[bytes]) -> None:
        assert {orjson.loads(record)["important"] for record in records} == {True}
        steps.append(("written", len(records)))

    cache = FindingCache(entries=10, max_age_s=60.0)
    prompt = Prompt(
        task="t",
        template=None,
        redactions=(),
        counter=ByLength(),
        max_event_tokens=100,
        fold="exact",
    )
    desk = Desk(
        Backlog(BatchSize(events=1, tokens=100, linger_s=0.0), lambda: 0.0),
        Panel(main=judge),  # type: ignore[arg-type]
        cache,
        write=write,
        finish=lambda events: steps.append(("done", len(events))),
        observer=AnalystObserver(AnalystMetrics()),
    )
    known, unknown = prompt.show([b"known", b"unknown"])
    assert known is not None
    assert unknown is not None
    found = Finding(judge="model", opinion=Opinion(important=True))
    cache.put(prompt.digest, known.digest, found)
    events = [Event(topic="t", partition=0, offset=n, event_id=f"{n:032x}") for n in range(1000)]
    assert desk.known(events[0], prompt, unknown) is None
    findings = [desk.known(event, prompt, known) for event in events]
    await desk.answer([(f, e, prompt) for f, e in zip(findings, events, strict=True) if f])
    assert steps == [("written", 1000), ("done", 1000)]
