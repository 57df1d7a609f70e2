"""The composition root of a worker: everything is built here, and nowhere looked up."""

import asyncio
import gc
import os
import signal
import threading
import time
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from contextlib import AsyncExitStack
from typing import Any, TypeVar

import structlog

from stream_filter import __version__
from stream_filter.app.archive_worker import keep_archived_in_turn, log_archived
from stream_filter.app.certificates import Certificates
from stream_filter.app.certifier import Certifier
from stream_filter.app.cluster import control_obstacles, own_topics
from stream_filter.app.evidence_keeper import EvidenceKeeper, EvidenceTopics
from stream_filter.app.first_policy import (
    FirstPolicy,
    keep_seeded,
    policy_of_file,
    policy_of_orders,
)
from stream_filter.app.gate_assembly import assemble_gate
from stream_filter.app.order_book import OrderBook
from stream_filter.app.packs_in_use import PacksInUse
from stream_filter.app.policy_documents import PolicyDocument
from stream_filter.app.policy_switch import PolicySwitch, Standing, examine
from stream_filter.app.reporter import Reporter
from stream_filter.app.settings import Settings
from stream_filter.app.undo_guard import guard_undo
from stream_filter.control.faust_evidence import EvidenceConfig, keep_evidence
from stream_filter.control.faust_worker import Page, faust_app
from stream_filter.core.dead_letters import DeadLetterLimit
from stream_filter.core.errors import BrokerError, ConfigError
from stream_filter.core.policy import Policy
from stream_filter.gate.gate import Gate
from stream_filter.kafka.board import KafkaBoard
from stream_filter.kafka.data_plane import DataPlane, PlaneConfig
from stream_filter.kafka.delivery import Delivery, choose_delivery
from stream_filter.kafka.order_log import KafkaOrderLog
from stream_filter.kafka.partition_loop import LoopConfig
from stream_filter.kafka.report_board import KafkaReportBoard
from stream_filter.kafka.unit_of_work import AccountTopics
from stream_filter.store.folder import Folder
from stream_filter.store.statement_json import encode_statement
from stream_filter.telemetry.evidence_observer import EvidenceTelemetry
from stream_filter.telemetry.metrics import Metrics
from stream_filter.telemetry.observer import TelemetryObserver
from stream_filter.web.pages import status_page

_log = structlog.get_logger("stream_filter")
_INSPECT_PACKS_S = 2.0
_CLOSING_S = 15.0
"""To close clients after what is in hand was finished or voided."""

Answer = TypeVar("Answer")


async def run_worker(file: PolicyDocument | None, settings: Settings) -> None:
    """Run until SIGTERM or SIGINT. Raises StreamFilterError: why it could not start or go on.

    `file`: the policy; with `settings.control` only the first one, and None waits for a push.
    """
    stop_asked = _stop_signal(settings.stop_timeout_s + _CLOSING_S)
    metrics = Metrics()
    worker = Worker(file, settings, metrics)
    app, ended = faust_app(
        app_id=f"{settings.group}-control",
        bootstrap=settings.bootstrap,
        web_host=settings.web.host,
        web_port=settings.web.port,
        pages={
            "/healthz": worker.health,
            "/readyz": worker.readiness,
            "/certificate": worker.certificate_page,
            "/metrics": lambda: Page(
                status=200, content_type="text/plain; version=0.0.4", body=metrics.expose()
            ),
        },
        run=worker.run,
        stop=worker.stop,
    )
    _relax_garbage_collection()
    try:
        await _start(app, settings)
        stopping: asyncio.Future[Any] = asyncio.ensure_future(stop_asked.wait())
        waiting: list[asyncio.Future[Any]] = [ended, stopping]
        await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
    finally:
        _log.info("worker.stopping", within_s=settings.stop_timeout_s)
        await app.stop()
        _log.info("worker.stopped")
    if ended.done():
        ended.result()


class Worker:
    """From the first policy to the stop."""

    def __init__(self, file: PolicyDocument | None, settings: Settings, metrics: Metrics) -> None:
        self._file = file
        self._settings = settings
        self._metrics = metrics
        self._observer = TelemetryObserver(metrics)
        self._packs = PacksInUse(settings, self._observer)
        self._book = OrderBook(self._observer)
        self._standing: Standing | None = None
        self._delivery: Delivery | None = None
        self._gate: Gate | None = None
        self._plane: DataPlane | None = None
        self._certificates: Certificates | None = None
        self._stop_asked = asyncio.Event()
        self._error: BaseException | None = None

    def stop(self) -> None:
        """Finish what is decided, commit, leave the group; `run` then returns."""
        self._stop_asked.set()
        if self._plane is not None:
            self._plane.stop()

    async def run(self) -> None:
        """Until `stop`. Raises StreamFilterError where going on cannot help."""
        settings = self._settings
        async with AsyncExitStack() as closing:
            reporter: Reporter | None = None
            if settings.control:
                reporter = await self._open_control(closing)
            first = await self._first_policy()
            if first is None:
                return
            connection = settings.connection()
            self._delivery, why = await choose_delivery(
                settings.delivery, connection, settings.group
            )
            policy = first.policy.document.policy
            gate = assemble_gate(
                policy,
                settings,
                scorers=first.policy.scorers,
                delivery=self._delivery.value,
                clock_ms=lambda: int(time.time() * 1000),
            )
            gate.begin(paused=first.standing.paused, is_known=first.standing.is_known)
            self._gate = gate
            if settings.evidence and not await self._open_evidence(gate, closing):
                return
            self._plane = DataPlane(
                plane_config(policy, settings, self._delivery),
                connection=connection,
                gate=gate,
                size_limits=first.policy.size_limits,
                observer=self._observer,
            )
            self._tell(first.standing, reporter)
            _announce(policy, settings, self._delivery, why)
            self._spawn(self._inspect_packs(), closing)
            self._spawn(guard_undo(settings, lambda: gate.in_force.policy), closing)
            if settings.archive.store:
                folder = Folder(settings.archive.store)
                archiving = keep_archived_in_turn(settings, folder, told=log_archived)
                self._spawn(archiving, closing)
            if settings.control:

                def changed(standing: Standing) -> None:
                    self._packs.keep_only(gate.in_force.policy)
                    self._tell(standing, reporter)

                switch = PolicySwitch(
                    self._book,
                    examine=lambda record: examine(
                        record, settings, self._packs, packs_must_be_there=True
                    ),
                    gate=gate,
                    plane=self._plane,
                    watcher=self._observer,
                    begins=first.standing,
                    text=first.policy.document.text,
                    changed=changed,
                )
                self._spawn(switch.run(), closing)
            if not self._stop_asked.is_set():
                await self._plane.run()
        if self._error is not None:
            raise self._error

    async def _open_control(self, closing: AsyncExitStack) -> Reporter:
        settings = self._settings
        connection, group = settings.connection(), settings.group
        orders = KafkaOrderLog(connection, topic=settings.policy_topic, group=group)
        board = KafkaReportBoard(connection, topic=settings.worker_topic, group=group)
        closing.push_async_callback(board.close)
        reporter = Reporter(board, group=group, worker=settings.worker, watcher=self._observer)
        closing.push_async_callback(reporter.leave)
        self._spawn(reporter.run(), closing)
        self._spawn(orders.follow(self._book), closing)
        seeding = keep_seeded(self._book, orders, self._file, settings, self._observer)
        self._spawn(seeding, closing)
        return reporter

    async def _first_policy(self) -> FirstPolicy | None:
        """None if told to stop."""
        settings, file = self._settings, self._file
        if settings.control or settings.evidence:
            problems = await self._patiently(lambda: control_obstacles(settings))
            if problems is None:
                return None
            if problems:
                raise ConfigError(*problems)
        if not settings.control:
            assert file is not None, "the command line asks for one"
            return await self._patiently(lambda: policy_of_file(file, settings, self._packs))
        return await self._patiently(
            lambda: policy_of_orders(self._book, file, settings, self._packs, self._observer)
        )

    async def _patiently(self, ask: Callable[[], Awaitable[Answer]]) -> Answer | None:
        """The answer; waits for a broker that is not there yet. None if told to stop."""
        deadline = time.monotonic() + self._settings.startup_timeout_s
        while not self._stop_asked.is_set():
            asking = asyncio.ensure_future(ask())
            stopping = asyncio.ensure_future(self._stop_asked.wait())
            try:
                await asyncio.wait({asking, stopping}, return_when=asyncio.FIRST_COMPLETED)
                if asking.done():
                    return asking.result()
            except BrokerError as error:
                if not error.retriable or time.monotonic() > deadline:
                    raise
                bootstrap = self._settings.bootstrap
                _log.warning("broker.unreachable", bootstrap=bootstrap, error=str(error))
                await asyncio.sleep(1.0)
            finally:
                asking.cancel()
                stopping.cancel()
        return None

    async def _open_evidence(self, gate: Gate, closing: AsyncExitStack) -> bool:
        """Know which certificates hold before anything is dropped, then keep the evidence. False
        if told to stop."""
        settings, telemetry = self._settings, EvidenceTelemetry(self._metrics)
        connection = settings.connection()
        board = KafkaBoard(connection, topic=settings.certificate_topic)
        closing.push_async_callback(board.close)
        certificates = Certificates(
            board,
            telemetry,
            changed=lambda certificates: gate.fall(certificates.fallen),
            clock_ms=lambda: int(time.time() * 1000),
        )
        await self._patiently(certificates.begin)
        if self._stop_asked.is_set():
            return False
        self._certificates = certificates
        certifier = Certifier(
            board,
            certificates,
            telemetry,
            policy=lambda: gate.in_force.policy,
            model_id=lambda pack: gate.in_force.caches[pack].model_id,
            clock_ms=lambda: int(time.time() * 1000),
        )
        keeper = EvidenceKeeper(
            connection,
            EvidenceTopics(ledger=settings.ledger_topic, verdicts=settings.verdict_topic),
            key=settings.secret_key,
            observer=telemetry,
            found=certifier.found,
            passed=certifier.passed,
        )
        config = EvidenceConfig(
            app_id=settings.evidence_app,
            bootstrap=settings.bootstrap,
            verdict_topic=settings.verdict_topic,
            client_options=connection.client_options(),
            session_timeout_s=settings.session_timeout_ms / 1000,
        )
        self._spawn(certificates.follow(), closing)
        self._spawn(certificates.keep_watch(), closing)
        self._spawn(keep_evidence(config, keeper, telemetry), closing)
        self._spawn(certifier.run(keeper), closing)
        return True

    def _tell(self, standing: Standing, reporter: Reporter | None) -> None:
        assert self._delivery is not None, "chosen before anything is in force"
        self._standing = standing
        self._metrics.info.clear()
        self._metrics.info.labels(
            __version__, standing.policy_id, self._delivery.value, self._settings.worker
        ).set(1)
        self._metrics.policy_sequence.set(standing.sequence)
        self._metrics.policy_refused.set(bool(standing.refused_sequence))
        self._metrics.paused_entries.set(len(standing.paused))
        if reporter is not None:
            reporter.tell(standing)

    async def _inspect_packs(self) -> None:
        while True:
            await asyncio.sleep(_INSPECT_PACKS_S)
            await asyncio.to_thread(self._packs.inspect)

    def _spawn(self, work: Coroutine[Any, Any, None], closing: AsyncExitStack) -> None:
        """Run beside the data plane until `closing`. An error ends the worker."""
        task = asyncio.create_task(work)
        task.add_done_callback(self._beside_ended)

        async def cancel() -> None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

        closing.push_async_callback(cancel)

    def _beside_ended(self, task: "asyncio.Task[None]") -> None:
        if not task.cancelled() and (error := task.exception()) is not None:
            self._error = error
            self.stop()

    def certificate_page(self) -> Page:
        """What is stated of each topic; 404 without evidence."""
        if self._certificates is None:
            return Page(status=404, content_type="application/json", body=b"[]")
        latest = self._certificates.latest
        body = b"[" + b",".join(map(encode_statement, latest)) + b"]"
        return Page(status=200, content_type="application/json", body=body)

    def health(self) -> Page:
        facts = {
            "version": __version__,
            "worker": self._settings.worker,
            "error": self._observer.last_error,
        }
        return _page({"data_plane": not self._stop_asked.is_set()}, facts)

    def readiness(self) -> Page:
        standing = self._standing
        checks = {
            "partitions_assigned": self._observer.is_settled,
            "packs_loaded": self._gate is not None
            and self._packs.are_ready(self._gate.in_force.policy),
            "policy_in_force": standing is not None and standing.is_known,
        }
        facts: dict[str, object] = {"partitions": self._observer.owned}
        if standing is not None:
            facts |= {
                "policy_id": standing.policy_id,
                "policy_sequence": standing.sequence,
                "paused": list(standing.paused),
            }
            if standing.refused_sequence:
                facts["refused"] = standing.refused_because
        return _page(checks, facts)


def plane_config(policy: Policy, settings: Settings, delivery: Delivery) -> PlaneConfig:
    """The data plane's part of the settings."""
    return PlaneConfig(
        subscription=policy.subscription(except_topics=own_topics(settings)),
        own_topics=own_topics(settings),
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


async def _start(app: Any, settings: Settings) -> None:
    try:
        await app.start()
    except OSError as error:
        raise ConfigError(
            f"settings: web: cannot listen on {settings.web.host}:{settings.web.port}: "
            f"{error.strerror}; set web.port or --web-port"
        ) from error


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
