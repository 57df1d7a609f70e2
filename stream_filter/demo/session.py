"""One run of the demo, from the first process to the last: what happens when."""

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Callable, Sequence

from stream_filter.app.certificates import Certificates
from stream_filter.app.cluster import evidence_topics
from stream_filter.app.settings import Settings
from stream_filter.app.topics import create_topics
from stream_filter.app.verify import Verification
from stream_filter.core.decision import Route
from stream_filter.core.errors import StreamFilterError
from stream_filter.demo.bill import Bill, bill_of
from stream_filter.demo.child import DemoChild
from stream_filter.demo.claims import Claims
from stream_filter.demo.follower import Follower, read_line
from stream_filter.demo.generator import PlatformStream
from stream_filter.demo.glimpse import Display, Glimpse, Outcome
from stream_filter.demo.incidents import Incidents
from stream_filter.demo.judging import Judged, Judging
from stream_filter.demo.producer import PacedProducer
from stream_filter.demo.scoreboard import Scoreboard, Standing
from stream_filter.demo.stage import DemoOptions, Stage
from stream_filter.kafka.board import KafkaBoard
from stream_filter.kafka.topics import TopicAdmin

_PARTITIONS = 4
_LOOK_S = 0.25
_RATE_WINDOW_S = 2.0
_DRAIN_S = 30.0
_VERDICTS_S = 10.0
_SAMPLE = 400
"""Events of the stream that say what reading one takes."""
_STOP_S = 25.0

Verify = Callable[[Settings, str, set[str]], Awaitable[Verification]]


class Session:
    """Plays the demo once. `began_s`: when the command began, on the monotonic clock."""

    def __init__(self, options: DemoOptions, stage: Stage, *, began_s: float) -> None:
        self._options = options
        self._stage = stage
        self._began_s = began_s
        self._scoreboard = Scoreboard()
        self._problems: list[str] = []
        self._paces: deque[tuple[float, int, int]] = deque()
        self._judging = Judging(self._scoreboard.kind_at)
        self._follower = Follower(
            stage.settings,
            source=stage.source,
            analysis=stage.analysis,
            scoreboard=self._scoreboard,
            judging=self._judging,
        )
        self._incidents = Incidents(
            KafkaBoard(stage.settings.connection(), topic=stage.settings.incidents_topic),
            at_s=lambda: self._played_s,
        )
        self._reading = stage.language_model.reading(
            PlatformStream(options.seed, 0, options.seconds).events(0.0, _SAMPLE)
        )
        self._played_s = 0.0
        self._claims = Claims(
            at_s=lambda: self._played_s,
            truth=lambda: self._scoreboard.standing().recall().value,
        )

    async def play(self, display: Display, verify: Verify, stop: asyncio.Event) -> Outcome:
        """Play until the end of the storyline or `stop`. What goes wrong on the way is among the
        outcome's problems; raises StreamFilterError for what keeps it from starting."""
        async with self._stage.language_model.running():
            return await self._play(display, verify, stop)

    async def _play(self, display: Display, verify: Verify, stop: asyncio.Event) -> Outcome:
        stage, settings = self._stage, self._stage.settings
        children = (stage.start_worker(), stage.start_analyst())
        stage.start_broker()
        try:
            await create_topics(
                stage.policy, settings, partitions=_PARTITIONS, with_sources=True, ledger_days=1
            )
            for child in children:
                child.begin()
            producer = self._producer()
            await self._produce_and_follow(producer, children, display, stop)
            self._show(display, producer, phase="stopping worker and analyst")
            await self._stop(children)
            self._show(display, producer, phase="verifying the ledger")
            finding = await self._verified(verify)
        finally:
            if not stage.is_embedded:
                await self._delete_topics()
        return self._outcome(children, finding, ended_early=stop.is_set())

    async def _stop(self, children: Sequence[DemoChild]) -> None:
        codes = await asyncio.gather(*(child.stop(timeout_s=_STOP_S) for child in children))
        if not self._problems:
            self._problems += [
                f"the {child.name} ended with {code}"
                for child, code in zip(children, codes, strict=True)
                if code
            ]

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
        self,
        producer: PacedProducer,
        children: Sequence[DemoChild],
        display: Display,
        stop: asyncio.Event,
    ) -> None:
        """Until everything produced is decided and seen and what is forwarded has its verdict, or
        something ended that should not."""
        producing = asyncio.create_task(producer.run(stop))
        following = asyncio.create_task(self._follower.run())
        claiming = asyncio.create_task(self._certificates().follow())
        watching = asyncio.create_task(self._incidents.follow())
        try:
            while not producing.done():
                await asyncio.wait({producing, following}, timeout=_LOOK_S)
                self._show(display, producer, phase="draining" if stop.is_set() else None)
                self._check(children, following)
            producing.result()
            for phase, is_open, patience_s in (
                ("draining", self._is_undecided, _DRAIN_S),
                ("waiting for verdicts", self._is_unjudged, _VERDICTS_S),
            ):
                until_s = time.monotonic() + patience_s
                while is_open() and time.monotonic() < until_s:
                    await asyncio.wait({following}, timeout=_LOOK_S)
                    self._show(display, producer, phase=phase)
                    self._check(children, following)
            self._problems += self._left_open()
        except StreamFilterError as error:
            self._problems.append(str(error))
        finally:
            tasks = (producing, following, claiming, watching)
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    def _check(self, children: Sequence[DemoChild], following: "asyncio.Task[None]") -> None:
        """Raises StreamFilterError where one of them has ended."""
        for child in children:
            if child.exit_code is not None:
                raise StreamFilterError(f"the {child.name} ended by itself with {child.exit_code}")
        if following.done():
            following.result()

    def _is_undecided(self) -> bool:
        return bool(self._left_open())

    def _is_unjudged(self) -> bool:
        return self._judging.standing().waiting > 0

    def _left_open(self) -> list[str]:
        standing = self._scoreboard.standing()
        if standing.undecided:
            return [
                f"{standing.undecided} events were still undecided {_DRAIN_S:.0f} s after "
                "the last was produced"
            ]
        if self._follower.forwarded < standing.routed(Route.FORWARD):
            return ["not all events that the ledger calls forwarded were found"]
        return []

    def _certificates(self) -> Certificates:
        settings = self._stage.settings
        board = KafkaBoard(settings.connection(), topic=settings.certificate_topic)
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
        topics += [*evidence_topics(settings), settings.incidents_topic]
        topics += [settings.audit_topic, settings.replay_topic]
        try:
            async with TopicAdmin(settings.connection()) as admin:
                await admin.delete(topics)
        except StreamFilterError as error:
            self._problems.append(f"topics are left behind: {', '.join(topics)}: {error}")

    def _show(self, display: Display, producer: PacedProducer, *, phase: str | None) -> None:
        """Show the state now. `phase` None: as it plays."""
        standing = self._scoreboard.standing()
        playing = "running" if standing.decided else "worker is starting"
        display.show(self._glimpse(producer, standing, phase or playing))

    def _bill(self, standing: Standing, judged: Judged) -> Bill:
        each = self._reading.cost(self._options.language_model.price)
        return bill_of(standing, judged, each=each)

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
        judged = self._judging.standing()
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
            judge=self._stage.language_model.name,
            judged=judged,
            bill=self._bill(standing, judged),
            incidents=self._incidents.seen,
        )

    def _outcome(
        self, children: Sequence[DemoChild], finding: Verification | None, *, ended_early: bool
    ) -> Outcome:
        self._stage.keeps_folder = bool(self._problems)
        standing, judged = self._scoreboard.standing(), self._judging.standing()
        return Outcome(
            standing=standing,
            follower=self._follower,
            missed={k: read_line(v) for k, v in self._scoreboard.missed_examples.items()},
            claims=tuple(self._claims.changes),
            judge=self._stage.language_model.name,
            judged=judged,
            reading=self._reading,
            price=self._options.language_model.price,
            bill=self._bill(standing, judged),
            incidents=self._incidents.seen,
            finding=finding,
            exits={child.name: child.exit_code for child in children},
            first_forwarded_s=self._first_forwarded_s(),
            took_s=time.monotonic() - self._began_s,
            ended_early=ended_early,
            policy_id=self._stage.policy.policy_id,
            problems=tuple(self._problems),
            logs={str(child.log_file): tuple(child.log_tail()) for child in children},
        )
