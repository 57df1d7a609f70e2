"""Which policy a worker begins with."""

import asyncio
import uuid
from dataclasses import replace
from pathlib import Path

import pytest

from stream_filter.app.first_policy import keep_seeded, policy_of_orders
from stream_filter.app.order_book import OrderBook
from stream_filter.app.packs_in_use import PacksInUse
from stream_filter.app.policy_documents import PolicyDocument, read_policy
from stream_filter.app.settings import Settings, load_settings
from stream_filter.app.topics import create_topics
from stream_filter.control.in_memory import InMemoryOrderLog
from stream_filter.core.errors import BrokerError
from stream_filter.core.orders import Action, Order
from stream_filter.gate.orders import OrderRecord
from stream_filter.telemetry.metrics import Metrics
from stream_filter.telemetry.observer import TelemetryObserver

PATIENCE_S = 60
"""For what comes at once, also where the machine stalls for seconds."""
STARTER = Path(__file__).parents[2] / "models"


class Watcher(TelemetryObserver):
    """Notes what it is told besides."""

    def __init__(self) -> None:
        super().__init__(Metrics())
        self.told: list[str] = []

    async def until_told(self) -> None:
        """Until it was told something."""
        async with asyncio.timeout(PATIENCE_S):
            while not self.told:  # noqa: ASYNC110  it is told in passing
                await asyncio.sleep(0.01)

    def policy_unknown(self) -> None:
        self.told.append("unknown")

    def policy_awaited(self) -> None:
        self.told.append("awaited")

    def file_overruled(self, policy_id: str, file_policy_id: str) -> None:
        self.told.append("overruled")

    def order_refused(self, position: str, problem: str) -> None:
        self.told.append(f"refused {position}")

    def seed_failed(self, error: Exception, retry_in_s: float) -> None:
        self.told.append(f"seed failed: {error}")


def document(topic: str, drop_below: float, model: str = "triage-starter") -> PolicyDocument:
    """A policy for one topic."""
    return read_policy(
        "file",
        f"version: 1\ntopics:\n  {topic}: {{text: '{{m}}', model: {model}, "
        f"raw: {{drop_below: {drop_below}, keep_above: 0.8}}}}\n",
    )


def heard(sequence: int, policy: PolicyDocument, *paused: str) -> OrderRecord:
    """An order as it is heard."""
    order = Order(
        group="g",
        sequence=sequence,
        action=Action.PUSH,
        by="ann",
        at_ms=0,
        policy_id=policy.policy.policy_id,
        policy_text=policy.text,
        paused=paused,
        note="",
    )
    return OrderRecord(position=f"orders/0/{sequence}", appended_ms=0, order=order, problem="")


@pytest.fixture
def watcher() -> Watcher:
    return Watcher()


@pytest.fixture
async def settings(embedded_bootstrap: str) -> Settings:
    """Of a cluster where the topics of `topic_of` exist."""
    group = f"g{uuid.uuid4().hex[:8]}"
    made = load_settings(
        None,
        {
            "bootstrap": embedded_bootstrap,
            "group": group,
            "control": True,
            "model_dir": STARTER,
            "model_threads": 1,
        },
    )
    await create_topics(document(group, 0.2).policy, made, with_sources=True)
    return made


async def test_a_worker_that_cannot_read_the_orders_knows_no_policy(
    settings: Settings, watcher: Watcher
) -> None:
    """It begins with its file's topics all the same, to forward everything as degraded."""
    file = document(settings.group, 0.2)
    packs = PacksInUse(settings, watcher)
    found = await policy_of_orders(
        OrderBook(watcher), file, settings, packs, watcher, known_within_s=0.1
    )
    assert found.policy.document is file
    assert not found.standing.is_known
    assert watcher.told == ["unknown"]


async def test_where_there_is_no_order_the_file_holds(settings: Settings, watcher: Watcher) -> None:
    """It is known that nothing else does."""
    book = OrderBook(watcher)
    book.caught_up()
    file = document(settings.group, 0.2)
    packs = PacksInUse(settings, watcher)
    found = await policy_of_orders(book, file, settings, packs, watcher, known_within_s=0.1)
    assert found.standing.is_known
    assert found.standing.sequence == 0
    assert watcher.told == []


async def test_a_worker_begins_with_the_last_order_that_can_be_put_in_force(
    settings: Settings, watcher: Watcher
) -> None:
    """What cannot is told with its record; the pauses are those of the last order."""
    topic, book = settings.group, OrderBook(watcher)
    good = document(topic, 0.3)
    broken = replace(good, text="version: 1\ntopics: {t: {colour: red}}\n")
    for record in (
        heard(1, document(topic, 0.1)),
        heard(2, good),
        heard(3, document(topic, 0.4, model="gone")),
        heard(4, broken, topic),
    ):
        book.order_heard(record)
    book.caught_up()
    found = await policy_of_orders(
        book, document(topic, 0.2), settings, PacksInUse(settings, watcher), watcher
    )
    standing = found.standing
    assert (standing.sequence, standing.policy_id) == (2, good.policy.policy_id)
    assert (standing.refused_sequence, standing.paused) == (4, (topic,))
    assert "colour" in standing.refused_because
    assert watcher.told == ["refused orders/0/4", "refused orders/0/3", "overruled"]


async def test_without_a_file_a_worker_waits_for_an_order(
    settings: Settings, watcher: Watcher
) -> None:
    """It says so, and begins with what comes."""
    book = OrderBook(watcher)
    book.caught_up()
    packs = PacksInUse(settings, watcher)
    waiting = asyncio.create_task(
        policy_of_orders(book, None, settings, packs, watcher, known_within_s=0.1)
    )
    await watcher.until_told()
    await asyncio.sleep(0.5)
    assert not waiting.done()
    assert watcher.told == ["awaited"]
    book.order_heard(heard(1, document(settings.group, 0.2)))
    assert (await asyncio.wait_for(waiting, PATIENCE_S)).standing.sequence == 1


async def test_of_two_workers_that_find_no_order_one_gives_the_first(watcher: Watcher) -> None:
    """Both may write; one counts, and both hear the same."""
    log = InMemoryOrderLog(lambda: 0)
    settings = load_settings(None, {"group": "g", "worker": "w"})
    books = [OrderBook(watcher), OrderBook(watcher)]
    tasks = [asyncio.create_task(log.follow(book)) for book in books]
    files = [document("t", 0.1), document("t", 0.2)]
    for book, file in zip(books, files, strict=True):
        await asyncio.wait_for(keep_seeded(book, log, file, settings, watcher), PATIENCE_S)
    for task in tasks:
        task.cancel()
    assert [book.latest and book.latest.order and book.latest.order.action for book in books] == [
        Action.SEED,
        Action.SEED,
    ]
    assert books[0].latest == books[1].latest


async def test_a_seed_that_cannot_be_written_is_told(watcher: Watcher) -> None:
    """The worker goes on; it is tried again."""
    log = InMemoryOrderLog(lambda: 0)
    log.fail_with = BrokerError("no right", retriable=False)
    book = OrderBook(watcher)
    book.caught_up()
    settings = load_settings(None, {"group": "g", "worker": "w"})
    seeding = asyncio.create_task(keep_seeded(book, log, document("t", 0.1), settings, watcher))
    await watcher.until_told()
    seeding.cancel()
    assert watcher.told == ["seed failed: no right"]
