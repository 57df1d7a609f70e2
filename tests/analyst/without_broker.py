"""Values to verdicts without a broker: from a prompt to a model that answers over HTTP."""

import asyncio
import json
from collections.abc import Sequence
from typing import Any

from stream_filter.analyst.asker import Asker
from stream_filter.analyst.backlog import Backlog, BatchSize, Event
from stream_filter.analyst.breaker import Breaker
from stream_filter.analyst.config import AnalystConfig
from stream_filter.analyst.courier import Courier, Line
from stream_filter.analyst.desk import Desk, Panel
from stream_filter.analyst.endpoint import Endpoint
from stream_filter.analyst.finding_cache import FindingCache
from stream_filter.analyst.observing import AnalystObserver
from stream_filter.analyst.pacing import Limits
from stream_filter.analyst.purse import OpenPurse
from stream_filter.analyst.redaction import literal
from stream_filter.analyst.token_counts import UsageMeter
from stream_filter.telemetry.analyst_metrics import AnalystMetrics


async def judged(
    config: AnalystConfig, values: Sequence[bytes]
) -> tuple[dict[int, dict[str, Any]], list[bytes]]:
    """The verdict records of values, by number, and as they were written; without a broker."""
    (prompt,) = config.prompts.values()
    observer = AnalystObserver(AnalystMetrics())
    clock = asyncio.get_running_loop().time
    written: list[bytes] = []
    done: list[Event] = []

    async def write(records: Sequence[bytes]) -> None:
        written.extend(records)

    async with Endpoint(config.endpoint) as endpoint:
        limits = Limits(requests_per_minute=None, tokens_per_minute=None, clock=clock)
        line = Line(endpoint=endpoint, limits=limits, breaker=Breaker(clock), meter=UsageMeter())
        courier = Courier([line], purse=OpenPurse(), observer=observer)
        secrets = [literal(secret, "<key>") for secret in config.secrets]
        backlog = Backlog(
            BatchSize(events=config.model.batch.events, tokens=8000, linger_s=0.0), clock
        )
        desk = Desk(
            backlog,
            Panel(main=Asker(courier, secrets=secrets)),
            FindingCache(entries=1000, max_age_s=60.0),
            write=write,
            finish=done.extend,
            observer=observer,
        )
        for number, shown in enumerate(prompt.show(values)):
            assert shown is not None
            event = Event(topic="t", partition=0, offset=number, event_id=f"{number:032x}")
            backlog.add(event, prompt, shown)
        failures: list[BaseException] = []
        desk.open(4, failures.append)
        async with asyncio.timeout(240):
            while len(done) < len(values) and not failures:  # noqa: ASYNC110  nobody tells
                await asyncio.sleep(0.002)
        await desk.settle(1.0)
        if failures:
            raise failures[0]
    return {int(json.loads(r)["sf-id"], 16): json.loads(r) for r in written}, written
