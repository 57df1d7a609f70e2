"""The analyst, put together: from a config to verdicts, until SIGTERM."""

import asyncio
import random
import time
from collections.abc import Callable, Coroutine, Sequence
from contextlib import AsyncExitStack
from typing import Any

import structlog

from stream_filter import __version__
from stream_filter.analyst.asker import Asker
from stream_filter.analyst.backlog import BatchSize
from stream_filter.analyst.breaker import Breaker
from stream_filter.analyst.claimed_purse import ClaimedPurse
from stream_filter.analyst.config import AnalystConfig
from stream_filter.analyst.courier import Courier, Line
from stream_filter.analyst.desk import Panel
from stream_filter.analyst.endpoint import Endpoint, EndpointSpec
from stream_filter.analyst.finding_cache import FindingCache
from stream_filter.analyst.observing import AnalystObserver
from stream_filter.analyst.outage_asker import OutageAsker
from stream_filter.analyst.outage_view import OutageSpec, OutageView
from stream_filter.analyst.pacing import Limits
from stream_filter.analyst.people import with_people
from stream_filter.analyst.purse import OpenPurse, Purse
from stream_filter.analyst.redaction import literal
from stream_filter.analyst.session import Session, SessionSpec
from stream_filter.analyst.sightings import Fields
from stream_filter.analyst.token_counts import UsageMeter
from stream_filter.analyst.web import web_port
from stream_filter.app.durations import duration_ms
from stream_filter.app.settings import Settings
from stream_filter.core.errors import BrokerError, ConfigError
from stream_filter.kafka.board import BOARD_TOPIC_CONFIGS
from stream_filter.kafka.topics import TopicAdmin
from stream_filter.outage.sighting import Shape
from stream_filter.telemetry.analyst_metrics import AnalystMetrics

_log = structlog.get_logger("stream_filter")
_RETRY_S = (1.0, 15.0)
_SPENDING_KEPT_MS = 3 * 24 * 60 * 60 * 1000


async def run_analyst(
    config: AnalystConfig, settings: Settings, *, port: int, stop_asked: asyncio.Event
) -> None:
    """Run until `stop_asked`. Raises StreamFilterError: why it cannot start or go on."""
    metrics = AnalystMetrics()
    observer = AnalystObserver(metrics)
    await _check_topics(config, settings)
    config = await with_people(config, settings)
    _log.info(
        "analyst.started",
        version=__version__,
        group=_group(settings),
        judge=config.endpoint.judge,
        prompts={topic: prompt.digest for topic, prompt in config.prompts.items()},
    )
    async with AsyncExitStack() as closing:
        await closing.enter_async_context(
            web_port(
                settings.web.host,
                port,
                is_ready=lambda: observer.is_assigned,
                metrics=metrics.expose,
            )
        )
        purse = await _purse(config, settings, observer, closing)
        panel = await _panel(config, purse, observer, closing)
        view = _outage_view(config, settings, panel, observer)
        cache = FindingCache(
            entries=config.model.cache.entries,
            max_age_s=duration_ms(config.model.cache.max_age) / 1000,
        )
        retry_s = _RETRY_S[0]
        while not stop_asked.is_set():
            began_s = time.monotonic()
            session = Session(
                _spec(config, settings),
                panel,
                cache,
                give=_giving(panel),
                lead=view.lead if view else lambda leads: None,
                observer=observer,
            )
            try:
                await _beside([*_logs(purse), *([view.run()] if view else [])], session, stop_asked)
            except BrokerError as error:
                if not error.retriable:
                    raise
                if time.monotonic() - began_s > 60.0:
                    retry_s = _RETRY_S[0]
                observer.session_failed(error, retry_s)
                await asyncio.sleep(retry_s * random.uniform(0.5, 1.0))  # noqa: S311
                retry_s = min(2 * retry_s, _RETRY_S[1])
    _log.info("analyst.stopped")


async def _beside(
    others: Sequence[Coroutine[Any, Any, None]], session: Session, stop_asked: asyncio.Event
) -> None:
    """Run a session, and others that have no end beside it; what fails ends all."""
    running = asyncio.create_task(session.run(stop_asked))
    tasks = [running, *map(asyncio.create_task, others)]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def _logs(purse: Purse) -> list[Coroutine[Any, Any, None]]:
    return [purse.run()] if isinstance(purse, ClaimedPurse) else []


async def _check_topics(config: AnalystConfig, settings: Settings) -> None:
    async with TopicAdmin(settings.connection()) as admin:
        there = await admin.partitions()
        missing = [t for t in (*config.prompts, settings.verdict_topic) if t not in there]
        if missing:
            raise ConfigError(
                *(f"topic {t!r} does not exist: create it, or correct the name" for t in missing)
            )
        if there[settings.verdict_topic] != 1:
            raise ConfigError(
                f"topic {settings.verdict_topic!r} has {there[settings.verdict_topic]} partitions: "
                "the order of verdicts counts, so it must have one"
            )
        incidents = settings.incidents_topic
        if config.model.outage is not None and incidents not in there:
            await admin.create(
                incidents,
                partitions=1,
                replication=await admin.replication(settings.verdict_topic),
                configs=BOARD_TOPIC_CONFIGS,
            )
            await admin.until_seen({incidents})
        spending = config.model.spending_topic
        if config.model.limits.budget_per_day is not None and spending not in there:
            await admin.create(
                spending,
                partitions=1,
                replication=await admin.replication(settings.verdict_topic),
                configs={"retention.ms": str(_SPENDING_KEPT_MS)},
            )


async def _purse(
    config: AnalystConfig, settings: Settings, observer: AnalystObserver, closing: AsyncExitStack
) -> Purse:
    budget = config.model.limits.budget_per_day
    if budget is None:
        return OpenPurse()
    purse = ClaimedPurse(
        settings.connection(),
        topic=config.model.spending_topic,
        budget=budget,
        emptied=observer.budget_emptied,
    )
    closing.push_async_callback(purse.close)
    return purse


async def _panel(
    config: AnalystConfig, purse: Purse, observer: AnalystObserver, closing: AsyncExitStack
) -> Panel:
    limits = config.model.limits

    async def courier(*specs: EndpointSpec) -> Courier:
        lines = [
            Line(
                endpoint=await closing.enter_async_context(Endpoint(spec)),
                limits=Limits(
                    requests_per_minute=limits.requests_per_minute,
                    tokens_per_minute=limits.tokens_per_minute,
                    clock=time.monotonic,
                ),
                breaker=Breaker(time.monotonic),
                meter=UsageMeter(),
            )
            for spec in specs
        ]
        return Courier(lines, purse=purse, observer=observer)

    secrets = [literal(secret, "<key>") for secret in config.secrets]
    main = [config.endpoint, *([config.fallback] if config.fallback else [])]
    second = config.model.second
    return Panel(
        main=Asker(await courier(*main), repeat=config.model.repeat, secrets=secrets),
        second=Asker(await courier(config.second), secrets=secrets) if config.second else None,
        share=second.share if second else 0.0,
    )


def _outage_view(
    config: AnalystConfig, settings: Settings, panel: Panel, observer: AnalystObserver
) -> OutageView | None:
    given = config.model.outage
    if given is None:
        return None
    shape = Shape(
        window_ms=duration_ms(given.window),
        baseline_ms=duration_ms(given.baseline),
        every_ms=duration_ms(given.every),
        false_alarms=given.false_alarms,
    )
    redactions = {each: None for prompt in config.prompts.values() for each in prompt.redactions}
    redactions |= dict.fromkeys(literal(secret, "<key>") for secret in config.secrets)
    asker = OutageAsker(
        panel.main.courier,
        shape=shape,
        most_tokens=given.tokens,
        answer_tokens=config.endpoint.answer_tokens,
        count=next(iter(config.prompts.values())).count,
        redactions=list(redactions),
    )
    spec = OutageSpec(
        connection=settings.connection(),
        incidents_topic=settings.incidents_topic,
        prompts=config.prompts,
        fields=Fields(
            service=tuple(given.fields.service),
            peer=tuple(given.fields.peer),
            trace=tuple(given.fields.trace),
        ),
        shape=shape,
        quiet_ms=duration_ms(given.quiet),
        ask_every_ms=duration_ms(given.ask_every),
    )
    return OutageView(spec, asker if given.ask else None, observer)


def _giving(panel: Panel) -> Callable[[float], None]:
    def give(share: float) -> None:
        panel.main.courier.give(share)
        if panel.second is not None:
            panel.second.courier.give(share)

    return give


def _spec(config: AnalystConfig, settings: Settings) -> SessionSpec:
    batch = config.model.batch
    return SessionSpec(
        settings.connection(),
        group=_group(settings),
        verdicts=settings.verdict_topic,
        prompts=config.prompts,
        size=BatchSize(events=batch.events, tokens=batch.tokens, linger_s=batch.linger_ms / 1000),
        slots=config.model.limits.concurrency,
        session_timeout_ms=settings.session_timeout_ms,
    )


def _group(settings: Settings) -> str:
    return f"{settings.group}-analyst"
