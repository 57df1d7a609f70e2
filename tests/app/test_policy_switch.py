"""A worker keeps its gate at the latest order that it can put in force."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

from stream_filter.app.order_book import OrderBook
from stream_filter.app.policy_documents import read_policy
from stream_filter.app.policy_switch import Examined, PolicySwitch, Standing
from stream_filter.control.in_memory import InMemoryOrderLog
from stream_filter.core.errors import BrokerError, ConfigError
from stream_filter.core.orders import Action, Order
from stream_filter.core.policy import Policy
from stream_filter.formats.text_reader import text_reader
from stream_filter.gate.gate import Gate, GateConfig
from stream_filter.gate.orders import OrderRecord
from stream_filter.models.fixed_scorer import FixedScorer
from stream_filter.rules.cel_rules import CelRules
from stream_filter.store.arrow_block import ArrowLedgerCodec
from stream_filter.store.msgpack_memory import MsgpackMemoryCodec

SCORER = FixedScorer({}, default=0.5, model_id="fixed-1")


def policy_text(drop_below: float, model: str = "fixed") -> str:
    """A policy for the topic `logs`."""
    return (
        f"version: 1\ntopics:\n  logs: {{text: '{{m}}', model: {model}, "
        f"raw: {{drop_below: {drop_below}, keep_above: 0.8}}}}\n"
    )


FIRST = read_policy("file", policy_text(0.1))


@dataclass
class Plane:
    """A data plane that reads what it is told."""

    max_batch_bytes: int = 1000
    policies: list[Policy] = field(default_factory=list)

    async def switch(
        self, policy: Policy, size_limits: Mapping[str, int], change: Callable[[], None]
    ) -> None:
        change()
        self.policies.append(policy)


@dataclass
class Watcher:
    """Notes what it is told."""

    refused: list[tuple[str, str]] = field(default_factory=list)
    unreadable: list[tuple[str, str]] = field(default_factory=list)
    lost: list[Exception] = field(default_factory=list)

    def policy_switched(self, sequence: int, policy_id: str, paused: tuple[str, ...]) -> None:
        pass

    def order_refused(self, position: str, problem: str) -> None:
        self.refused.append((position, problem))

    def order_unreadable(self, position: str, problem: str) -> None:
        self.unreadable.append((position, problem))

    def orders_lost(self, error: Exception) -> None:
        self.lost.append(error)


@dataclass
class Bench:
    """A switch at work."""

    log: InMemoryOrderLog
    gate: Gate
    plane: Plane
    watcher: Watcher
    standings: list[Standing] = field(default_factory=list)
    limits: dict[str, int] = field(default_factory=lambda: {"llm.analysis": 1000})

    async def give(self, sequence: int, text: str, paused: tuple[str, ...] = ()) -> None:
        await self.log.append(
            Order(
                group="g",
                sequence=sequence,
                action=Action.PUSH,
                by="ann",
                at_ms=0,
                policy_id="0" * 16,
                policy_text=text,
                paused=paused,
                note="",
            )
        )

    async def until(self, holds: Callable[[], bool]) -> None:
        async with asyncio.timeout(60):
            while True:
                if holds():
                    return
                await asyncio.sleep(0.005)

    @property
    def standing(self) -> Standing:
        return self.standings[-1]

    async def examine(self, record: OrderRecord) -> Examined:
        assert record.order is not None
        document = read_policy(record.position, record.order.policy_text)
        for rules in document.policy.topics:
            if rules.model != "fixed":
                raise ConfigError(f"{record.position}: model pack {rules.model!r} is missing")
        return Examined(document=document, size_limits=self.limits, scorers={"fixed": SCORER})


@asynccontextmanager
async def switching() -> AsyncIterator[Bench]:
    """A gate with the policy FIRST, which follows an empty log."""
    config = GateConfig(
        policy=FIRST.policy,
        key=b"k",
        worker="w",
        delivery="exactly_once",
        dead_letter_topic="dead",
        deferred_topic="deferred",
        cache_bytes=1 << 16,
    )
    gate = Gate(
        config,
        scorers={"fixed": SCORER},
        make_rules=CelRules,
        make_reader=text_reader,
        codec=ArrowLedgerCodec(),
        memory_codec=MsgpackMemoryCodec(),
        clock_ms=lambda: 0,
    )
    bench = Bench(InMemoryOrderLog(lambda: 0), gate, Plane(), Watcher())
    book = OrderBook(bench.watcher)
    switch = PolicySwitch(
        book,
        examine=bench.examine,
        gate=gate,
        plane=bench.plane,
        watcher=bench.watcher,
        begins=Standing(
            sequence=0, policy_id=FIRST.policy.policy_id, paused=(), is_known=True, since_ms=0
        ),
        text=FIRST.text,
        changed=bench.standings.append,
    )
    tasks = [asyncio.create_task(bench.log.follow(book)), asyncio.create_task(switch.run())]
    try:
        yield bench
    finally:
        for task in tasks:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task


async def test_a_pushed_policy_is_put_in_force() -> None:
    """Its id, in the gate and in what the worker says."""
    async with switching() as bench:
        await bench.give(1, policy_text(0.2))
        await bench.until(lambda: bool(bench.standings))
        expected = read_policy("", policy_text(0.2)).policy
        assert bench.gate.in_force.policy == expected
        assert (bench.standing.sequence, bench.standing.policy_id) == (1, expected.policy_id)
        assert bench.plane.policies == [expected]


async def test_a_pause_needs_nothing_but_the_order() -> None:
    """The policy stays, nothing is loaded or asked, and a resume takes it back."""
    async with switching() as bench:
        await bench.give(1, FIRST.text, paused=("logs",))
        await bench.until(lambda: bool(bench.standings))
        assert bench.gate.in_force.paused == ("logs",)
        assert bench.gate.in_force.policy == FIRST.policy
        await bench.give(2, FIRST.text)
        await bench.until(lambda: bench.standing.sequence == 2)
        assert bench.gate.in_force.paused == ()
        assert bench.plane.policies == []


async def test_hostile_records_leave_the_last_good_policy_in_force() -> None:
    """Garbage, an invalid policy, a policy for a pack that is missing: each is told with its
    record, and the next good order is put in force."""
    async with switching() as bench:
        await bench.give(1, policy_text(0.2))
        await bench.until(lambda: bool(bench.standings))
        good = bench.gate.in_force
        bench.log.append_garbage("Invalid JSON")
        await bench.until(lambda: bool(bench.watcher.unreadable))
        assert bench.watcher.unreadable == [("orders/0/1", "Invalid JSON")]
        for sequence, text, said in (
            (2, "version: 1\ntopics: {logs: {colour: red}}\n", "orders/0/2:2: topics.logs"),
            (3, policy_text(0.2, model="gone"), "orders/0/3: model pack 'gone' is missing"),
        ):
            await bench.give(sequence, text)
            await bench.until(lambda s=sequence: bench.standing.refused_sequence == s)
            assert said in bench.watcher.refused[-1][1]
            assert bench.watcher.refused[-1][0] == f"orders/0/{sequence}"
            assert bench.standing.sequence == 1
            assert bench.gate.in_force is good
        await bench.give(4, policy_text(0.3))
        await bench.until(lambda: bench.standing.sequence == 4)
        assert bench.standing.refused_sequence == 0


async def test_a_pause_works_where_the_policy_beside_it_does_not() -> None:
    """The red button after a bad push: paused at once, and the worker says so."""
    async with switching() as bench:
        bad = policy_text(0.2, model="gone")
        await bench.give(1, bad)
        await bench.until(lambda: bool(bench.standings))
        await bench.give(2, bad, paused=("logs",))
        await bench.until(lambda: bench.standing.refused_sequence == 2)
        assert bench.gate.in_force.paused == ("logs",)
        assert bench.standing.paused == ("logs",)
        assert bench.gate.in_force.policy == FIRST.policy


async def test_a_policy_whose_target_takes_too_little_is_refused() -> None:
    """Batches in flight would not fit: the line says what to do."""
    async with switching() as bench:
        bench.limits["llm.analysis"] = 999
        await bench.give(1, policy_text(0.2))
        await bench.until(lambda: bool(bench.watcher.refused))
        assert "takes 999 bytes" in bench.watcher.refused[0][1]
        assert "restart the workers" in bench.watcher.refused[0][1]


async def test_a_log_that_cannot_be_read_leaves_what_is_in_force() -> None:
    """It is told once, and what was given in the meantime arrives when the log is back."""
    async with switching() as bench:
        await bench.give(1, policy_text(0.2))
        await bench.until(lambda: bool(bench.standings))
        bench.log.fail_with = BrokerError("away", retriable=True)
        await bench.until(lambda: bool(bench.watcher.lost))
        await asyncio.sleep(0.05)
        assert len(bench.watcher.lost) == 1
        assert bench.gate.in_force.is_known
        bench.log.fail_with = None
        await bench.give(2, policy_text(0.3))
        await bench.until(lambda: bench.standing.sequence == 2)


async def test_a_gate_that_knew_no_policy_decides_as_soon_as_one_is_known() -> None:
    """The seed's text is the file's: nothing need be loaded anew."""
    async with switching() as bench:
        bench.gate.begin(paused=(), is_known=False)
        await bench.give(1, FIRST.text)
        await bench.until(lambda: bool(bench.standings))
        assert bench.gate.in_force.is_known
