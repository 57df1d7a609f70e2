"""The composition root of a worker: everything is built here, and nowhere looked up."""

import asyncio
import gc
import os
import signal
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import structlog

from stream_filter import __version__
from stream_filter.app.cluster import Cluster, inspect_cluster
from stream_filter.app.gate_assembly import assemble_gate
from stream_filter.app.settings import Settings
from stream_filter.control.faust_worker import Page, faust_app
from stream_filter.core.dead_letters import DeadLetterLimit
from stream_filter.core.errors import BrokerError, ConfigError, ScorerError
from stream_filter.core.policy import Policy
from stream_filter.kafka.data_plane import DataPlane, PlaneConfig
from stream_filter.kafka.delivery import Delivery, choose_delivery
from stream_filter.kafka.partition_loop import LoopConfig
from stream_filter.kafka.unit_of_work import AccountTopics
from stream_filter.models.standby_scorer import StandbyScorer
from stream_filter.telemetry.metrics import Metrics
from stream_filter.telemetry.observer import TelemetryObserver
from stream_filter.web.pages import status_page

_log = structlog.get_logger("stream_filter")
_INSPECT_PACKS_S = 2.0
_CLOSING_S = 15.0
"""To close clients after what is in hand was finished or voided."""


async def run_worker(policy: Policy, settings: Settings) -> None:
    """Run until SIGTERM or SIGINT. Raises StreamFilterError: why it could not start or go on."""
    stop_asked = _stop_signal(settings.stop_timeout_s + _CLOSING_S)
    connection = settings.connection()
    cluster = await _await_cluster(policy, settings, stop_asked)
    if cluster is None:
        return
    problems = cluster.obstacles()
    if problems:
        raise ConfigError(*problems)
    delivery, why = await choose_delivery(settings.delivery, connection, settings.group)

    metrics = Metrics()
    observer = TelemetryObserver(metrics)
    scorers = _scorers(policy, settings, observer)
    gate = assemble_gate(
        policy,
        settings,
        scorers=scorers,
        delivery=delivery.value,
        clock_ms=lambda: int(time.time() * 1000),
    )
    plane = DataPlane(
        plane_config(policy, settings, delivery),
        connection=connection,
        gate=gate,
        size_limits=cluster.size_limits,
        observer=observer,
    )
    metrics.info.labels(__version__, policy.policy_id, delivery.value, settings.worker).set(1)
    is_running = True

    def health() -> Page:
        facts = {"version": __version__, "worker": settings.worker, "error": observer.last_error}
        return _page({"data_plane": is_running}, facts)

    def readiness() -> Page:
        checks = {
            "partitions_assigned": observer.is_settled,
            "packs_loaded": all(scorer.is_ready for scorer in scorers.values()),
            "policy_in_force": True,
        }
        return _page(checks, {"partitions": observer.owned, "policy_id": policy.policy_id})

    app, ended = faust_app(
        app_id=f"{settings.group}-control",
        bootstrap=settings.bootstrap,
        web_host=settings.web.host,
        web_port=settings.web.port,
        pages={
            "/healthz": health,
            "/readyz": readiness,
            "/metrics": lambda: Page(
                status=200, content_type="text/plain; version=0.0.4", body=metrics.expose()
            ),
        },
        run=plane.run,
        stop=plane.stop,
    )
    _announce(policy, settings, delivery, why)
    _relax_garbage_collection()
    inspecting = asyncio.create_task(_inspect_packs(scorers))
    try:
        await _start(app, settings)
        stopping: asyncio.Future[Any] = asyncio.ensure_future(stop_asked.wait())
        waiting: list[asyncio.Future[Any]] = [ended, stopping]
        await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
    finally:
        is_running = False
        inspecting.cancel()
        _log.info("worker.stopping", within_s=settings.stop_timeout_s)
        await app.stop()
        _log.info("worker.stopped")
    if ended.done():
        ended.result()


def plane_config(policy: Policy, settings: Settings, delivery: Delivery) -> PlaneConfig:
    """The data plane's part of the settings."""
    return PlaneConfig(
        subscription=policy.subscription(
            except_topics=frozenset(
                {settings.ledger_topic, settings.memory_topic, settings.dead_letter_topic}
            )
        ),
        group=settings.group,
        group_instance_id=settings.group_instance_id,
        delivery=delivery,
        accounts=AccountTopics(ledger=settings.ledger_topic, memory=settings.memory_topic),
        compression=settings.compression,
        isolation_level=settings.isolation_level,
        session_timeout_ms=settings.session_timeout_ms,
        transaction_timeout_ms=settings.transaction_timeout_ms,
        fetch_min_bytes=settings.fetch_min_bytes,
        fetch_max_wait_ms=settings.fetch_max_wait_ms,
        max_partition_fetch_bytes=settings.max_partition_fetch_bytes,
        max_in_flight_bytes=settings.max_in_flight_bytes,
        stop_timeout_s=settings.stop_timeout_s,
        threads=settings.threads,
        loop=LoopConfig(
            batch_records=settings.batch_records,
            dead_letter_limit=DeadLetterLimit(
                max_run=settings.dead_letters.max_run,
                max_share=settings.dead_letters.max_share,
                window=settings.dead_letters.window,
            ),
            start_at=settings.start_at,
        ),
    )


def _relax_garbage_collection() -> None:
    """Records are freed by reference counts; the collector would look through tens of thousands
    of them many times a second and find nothing."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(200_000, 20, 100)


def _scorers(
    policy: Policy, settings: Settings, observer: TelemetryObserver
) -> dict[str, StandbyScorer]:
    scorers = {
        rules.model: StandbyScorer(
            Path(settings.model_dir, rules.model),
            expected_id=rules.model_id,
            threads=settings.model_threads,
            watcher=observer,
            clock_s=time.monotonic,
        )
        for rules in policy.topics
    }
    for scorer in scorers.values():
        try:
            scorer.load()
        except ScorerError:
            pass  # told to the observer; the gate forwards everything until it loads
    return scorers


async def _await_cluster(
    policy: Policy, settings: Settings, stop_asked: asyncio.Event
) -> Cluster | None:
    """The cluster's state; waits for a broker that is not there yet. None if told to stop."""
    deadline = time.monotonic() + settings.startup_timeout_s
    while True:
        try:
            return await inspect_cluster(policy, settings)
        except BrokerError as error:
            if not error.retriable or time.monotonic() > deadline:
                raise
            _log.warning("broker.unreachable", bootstrap=settings.bootstrap, error=str(error))
        try:
            await asyncio.wait_for(stop_asked.wait(), 1.0)
            return None
        except asyncio.TimeoutError:
            continue


async def _start(app: Any, settings: Settings) -> None:
    try:
        await app.start()
    except OSError as error:
        raise ConfigError(
            f"settings: web: cannot listen on {settings.web.host}:{settings.web.port}: "
            f"{error.strerror}; set web.port or --web-port"
        ) from error


async def _inspect_packs(scorers: dict[str, StandbyScorer]) -> None:
    while True:
        await asyncio.sleep(_INSPECT_PACKS_S)
        for scorer in scorers.values():
            await asyncio.to_thread(scorer.inspect)


def _stop_signal(within_s: float) -> asyncio.Event:
    """Set on SIGTERM and SIGINT. A process that then does not end in time, because a client
    waits for a broker that is gone, is ended: its unfinished unit of work is void either way."""
    asked = asyncio.Event()

    def ask() -> None:
        if not asked.is_set():
            asked.set()
            deadline = threading.Timer(within_s, _give_up, (within_s,))
            deadline.daemon = True
            deadline.start()

    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, ask)
    return asked


def _give_up(after_s: float) -> None:
    _log.error("worker.stop_overdue", after_s=after_s, effect="ended; restarts where it committed")
    os._exit(1)


def _page(checks: Mapping[str, bool], facts: Mapping[str, object]) -> Page:
    status, body = status_page(checks, facts)
    return Page(status=status, content_type="application/json", body=body)


def _announce(policy: Policy, settings: Settings, delivery: Delivery, why: str) -> None:
    _log.info(
        "worker.started",
        version=__version__,
        worker=settings.worker,
        bootstrap=settings.bootstrap,
        group=settings.group,
        policy_id=policy.policy_id,
        topics={rules.topic: rules.mode.value for rules in policy.topics},
        delivery=delivery.value,
        delivery_because=why,
        web_port=settings.web.port,
    )
    if not settings.has_key and any(rules.holdout > 0 for rules in policy.topics):
        _log.warning(
            "key.derived",
            effect="whoever knows the group can tell the holdout and make sf-ids",
            way_out="set STREAM_FILTER_KEY to one secret on all workers (openssl rand -hex 32)",
        )
