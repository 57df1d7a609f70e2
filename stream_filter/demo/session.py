"""One run of the demo, from the first process to the last: what happens when, and its outcome."""

import asyncio
import math
import time
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Protocol

from stream_filter.app.certificates import Certificates
from stream_filter.app.cluster import evidence_topics
from stream_filter.app.settings import Settings
from stream_filter.app.topics import create_topics
from stream_filter.app.verify import Verification
from stream_filter.core.decision import Route
from stream_filter.core.errors import StreamFilterError
from stream_filter.core.statement import Statement
from stream_filter.demo.analyst import TruthfulAnalyst
from stream_filter.demo.claims import Claim, Claims
from stream_filter.demo.follower import Follower, Forwarded, LogLine, read_line
from stream_filter.demo.generator import PlatformStream
from stream_filter.demo.producer import PacedProducer
from stream_filter.demo.scoreboard import Scoreboard, Standing
from stream_filter.demo.stage import DemoOptions, Stage
from stream_filter.demo.worker import DemoWorker
from stream_filter.kafka.certificate_board import KafkaCertificateBoard
from stream_filter.kafka.topics import TopicAdmin

_PARTITIONS = 4
_LOOK_S = 0.25
_RATE_WINDOW_S = 2.0
_DRAIN_S = 30.0
_STOP_S = 25.0

Verify = Callable[[Settings, str, set[str]], Awaitable[Verification]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Glimpse:
    """What there is to show at one moment."""

    phase: str
    scenario: str
    at_s: float
    duration_s: float
    standing: Standing
    produced_per_s: float
    decided_per_s: float
    delivery: str | None
    bootstrap: str
    has_pack: bool
    first_forwarded_s: float | None
    last: tuple[tuple[Forwarded, bool | None], ...]
    """The last forwarded events, the newest last, and whether truth says they are important."""
    last_missed: LogLine | None
    claim: Statement | None
    """What the gate states of its recall; None before the first."""


class Display(Protocol):
    """Shows glimpses, a few each second, on the event loop's thread: must not take long."""

    def show(self, glimpse: Glimpse) -> None: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """How it ended. `problems` is empty where everything held."""

    standing: Standing
    follower: Follower
    missed: dict[str, LogLine]
    """By kind, an important event that was discarded."""
    claims: tuple[Claim, ...]
    """Each change of what the gate states of its recall."""
    finding: Verification | None
    worker_exit: int | None
    first_forwarded_s: float | None
    took_s: float
    ended_early: bool
    policy_id: str
    problems: tuple[str, ...]
    log_tail: tuple[str, ...]
    log_file: str


class Session:
    """Plays the demo once. `began_s`: when the command began, on the monotonic clock."""

    def __init__(self, options: DemoOptions, stage: Stage, *, began_s: float) -> None:
        self._options = options
        self._stage = stage
        self._began_s = began_s
        self._scoreboard = Scoreboard()
        self._problems: list[str] = []
        self._paces: deque[tuple[float, int, int]] = deque()
        self._follower = Follower(
            stage.settings,
            source=stage.source,
            analysis=stage.analysis,
            scoreboard=self._scoreboard,
        )
        self._analyst = TruthfulAnalyst(
            stage.settings, analysis=stage.analysis, kind_at=self._scoreboard.kind_at
        )
        self._played_s = 0.0
        self._claims = Claims(
            at_s=lambda: self._played_s,
            truth=lambda: self._scoreboard.standing().recall().value,
        )

    async def play(self, display: Display, verify: Verify, stop: asyncio.Event) -> Outcome:
        """Play until the end of the storyline or `stop`. What goes wrong on the way is among the
        outcome's problems; raises StreamFilterError for what keeps it from starting."""
        stage, settings = self._stage, self._stage.settings
        worker = stage.start_worker()
        stage.start_broker()
        try:
            await create_topics(
                stage.policy, settings, partitions=_PARTITIONS, with_sources=True, ledger_days=1
            )
            worker.begin()
            producer = self._producer()
            await self._produce_and_follow(producer, worker, display, stop)
            self._show(display, producer, phase="stopping the worker")
            code = await worker.stop(timeout_s=_STOP_S)
            if code and not self._problems:
                self._problems.append(f"the worker ended with {code}")
            self._show(display, producer, phase="verifying the ledger")
            finding = await self._verified(verify)
        finally:
            if not stage.is_embedded:
                await self._delete_topics()
        return self._outcome(worker, finding, ended_early=stop.is_set())

    def _producer(self) -> PacedProducer:
        return PacedProducer(
            self._stage.settings.connection(),
            topic=self._stage.source,
            partitions=_PARTITIONS,
            stream=PlatformStream(
                self._options.seed, int(time.time() * 1000), self._options.seconds
            ),
            rate=self._options.rate,
            duration_s=self._options.seconds,
            scoreboard=self._scoreboard,
        )

    async def _produce_and_follow(
        self, producer: PacedProducer, worker: DemoWorker, display: Display, stop: asyncio.Event
    ) -> None:
        """Until everything produced is decided and seen, or something ended that should not."""
        producing = asyncio.create_task(producer.run(stop))
        following = asyncio.create_task(self._follower.run())
        judging = asyncio.create_task(self._analyst.run())
        claiming = asyncio.create_task(self._certificates().follow())
        drained_by_s = math.inf
        try:
            while True:
                await asyncio.wait({producing, following, judging}, timeout=_LOOK_S)
                is_over = producing.done() or stop.is_set()
                standing = self._show(display, producer, phase="draining" if is_over else None)
                if worker.exit_code is not None:
                    self._problems.append(f"the worker ended by itself with {worker.exit_code}")
                    return
                for task in (following, judging):
                    if task.done():
                        task.result()
                if not producing.done():
                    continue
                producing.result()
                drained_by_s = min(drained_by_s, time.monotonic() + _DRAIN_S)
                is_seen = self._follower.forwarded >= standing.routed(Route.FORWARD)
                if standing.undecided == 0 and is_seen:
                    return
                if time.monotonic() > drained_by_s:
                    self._problems.append(
                        f"{standing.undecided} events were still undecided {_DRAIN_S:.0f} s after "
                        "the last was produced"
                        if standing.undecided
                        else "not all events that the ledger calls forwarded were found"
                    )
                    return
        except StreamFilterError as error:
            self._problems.append(str(error))
        finally:
            tasks = (producing, following, judging, claiming)
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    def _certificates(self) -> Certificates:
        settings = self._stage.settings
        board = KafkaCertificateBoard(settings.connection(), topic=settings.certificate_topic)
        return Certificates(
            board,
            self._claims,
            changed=lambda certificates: None,
            clock_ms=lambda: int(time.time() * 1000),
        )

    async def _verified(self, verify: Verify) -> Verification | None:
        try:
            finding = await verify(self._stage.settings, self._stage.source, {self._stage.analysis})
        except StreamFilterError as error:
            self._problems.append(f"the ledger could not be verified: {error}")
            return None
        if not finding.holds:
            self._problems.append("conservation is broken: see the ledger check")
        elif pending := sum(finding.pending.values()):
            self._problems.append(f"{pending} events are in no block of the ledger")
        return finding

    async def _delete_topics(self) -> None:
        settings = self._stage.settings
        topics = [self._stage.source, self._stage.analysis]
        topics += [settings.ledger_topic, settings.memory_topic, settings.dead_letter_topic]
        topics += evidence_topics(settings)
        try:
            async with TopicAdmin(settings.connection()) as admin:
                await admin.delete(topics)
        except StreamFilterError as error:
            self._problems.append(f"topics are left behind: {', '.join(topics)}: {error}")

    def _show(self, display: Display, producer: PacedProducer, *, phase: str | None) -> Standing:
        """Show the state now, and return it. `phase` None: as it plays."""
        standing = self._scoreboard.standing()
        playing = "running" if standing.decided else "worker is starting"
        display.show(self._glimpse(producer, standing, phase or playing))
        return standing

    def _first_forwarded_s(self) -> float | None:
        at_s = self._follower.first_at_s
        return None if at_s is None else at_s - self._began_s

    def _glimpse(self, producer: PacedProducer, standing: Standing, phase: str) -> Glimpse:
        now_s, self._played_s = time.monotonic(), producer.at_s
        self._paces.append((now_s, standing.produced, standing.decided))
        while now_s - self._paces[0][0] > _RATE_WINDOW_S:
            self._paces.popleft()
        then_s, produced, decided = self._paces[0]
        span_s = max(now_s - then_s, _LOOK_S)
        missed = self._scoreboard.last_missed
        last = []
        for forwarded in self._follower.last:
            kind = self._scoreboard.kind_at(forwarded.source.partition, forwarded.source.offset)
            last.append((forwarded, kind[1] if kind else None))
        return Glimpse(
            phase=phase,
            scenario=producer.scenario.name,
            at_s=producer.at_s,
            duration_s=self._options.seconds,
            standing=standing,
            produced_per_s=(standing.produced - produced) / span_s,
            decided_per_s=(standing.decided - decided) / span_s,
            delivery=self._follower.delivery,
            bootstrap=self._stage.settings.bootstrap,
            has_pack=self._stage.has_pack,
            first_forwarded_s=self._first_forwarded_s(),
            last=tuple(last),
            last_missed=read_line(missed) if missed else None,
            claim=self._claims.latest,
        )

    def _outcome(
        self, worker: DemoWorker, finding: Verification | None, *, ended_early: bool
    ) -> Outcome:
        self._stage.keeps_folder = bool(self._problems)
        return Outcome(
            standing=self._scoreboard.standing(),
            follower=self._follower,
            missed={k: read_line(v) for k, v in self._scoreboard.missed_examples.items()},
            claims=tuple(self._claims.changes),
            finding=finding,
            worker_exit=worker.exit_code,
            first_forwarded_s=self._first_forwarded_s(),
            took_s=time.monotonic() - self._began_s,
            ended_early=ended_early,
            policy_id=self._stage.policy.policy_id,
            problems=tuple(self._problems),
            log_tail=tuple(worker.log_tail()),
            log_file=str(self._stage.log_file),
        )
