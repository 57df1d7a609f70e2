"""The analyst under load: a server that fails in every way, and an analyst that is killed ten
times."""

import asyncio
import os
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import orjson
import pytest

from stream_filter.testing.brokers import KafkaBroker, kafka_home
from stream_filter.testing.stand_in import StandIn
from stream_filter.testing.stand_in_behaviour import Behaviour, Mishap
from tests.analyst.conftest import KEY, AnalystUnderTest, by_answer, says_important

EVENTS = int(os.environ.get("ANALYST_EVENTS", "8000"))
"""At the least, and so many more that there is work through all kills. 20,000 for the full
figures."""
PARTITIONS = 4
KILLS = 10
SLOTS = 8
BATCH = 20
REQUESTS_PER_MINUTE = EVENTS * 3 // 80
"""So few that EVENTS last for 80 s."""
PATIENCE_S = 600
INPUT_PRICE, OUTPUT_PRICE = 2.0, 8.0
TIMEOUT_S = 3
MISHAPS = (
    (Mishap.TOO_MANY, 0.05),
    (Mishap.SERVER_ERROR, 0.02),
    (Mishap.MALFORMED, 0.02),
    (Mishap.HANGING, 0.01),
)


def line(number: int) -> bytes:
    """Each a text of its own: letters, since a mask hides digits."""
    word = "".join(chr(97 + int(digit)) for digit in f"{number:05d}")
    kind = "IMPORTANT" if number % 7 == 0 else "usual"
    return f'{{"message": "{kind} order {word} was taken"}}'.encode()


async def forward(analyst: AnalystUnderTest, count: int) -> None:
    """So many more events."""
    first = len(analyst.ids)
    values = [line(n) for n in range(first, first + count)]
    await analyst.forward(values, partitions=PARTITIONS)


def is_at_work(log: Path) -> bool:
    """Whether an analyst has partitions."""
    assigned = [said for said in log.read_text().splitlines() if '"analyst.assigned"' in said]
    return bool(assigned) and orjson.loads(assigned[-1])["partitions"] > 0


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[KafkaBroker]:
    home = kafka_home()
    if home is None:
        pytest.skip("starts its own broker: set KAFKA_HOME")
    broker = KafkaBroker(home, tmp_path / "kafka", {"group.min.session.timeout.ms": "1000"})
    broker.start()
    yield broker
    broker.stop()


@pytest.mark.chaos
@pytest.mark.kafka
async def test_one_verdict_each_whatever_happens(broker: KafkaBroker, tmp_path: Path) -> None:
    """Events at 300 ms median, with 5 % 429, 2 % 500, 2 % malformed, 1 % hanging; two
    analysts, one of them killed ten times while it is at work. Each event has one effective
    verdict, and it is the truth; rate and budget are never exceeded; what verdicts say they cost
    is the server's own count, but for answers that a killed analyst took with him."""
    behaviour = Behaviour(
        latency_s=0.3, mishaps=MISHAPS, requests_per_minute=REQUESTS_PER_MINUTE + 1
    )
    async with StandIn(says_important, behaviour) as server:
        analyst = AnalystUnderTest(
            broker.bootstrap, tmp_path, server.base_url, session_timeout_ms=4000
        )
        budget = 10.0
        await analyst.prepare(
            partitions=PARTITIONS,
            endpoint={"timeout": f"{TIMEOUT_S}s"},
            limits={
                "requests_per_minute": REQUESTS_PER_MINUTE,
                "concurrency": SLOTS,
                "budget_per_day": budget,
            },
            batch={"events": BATCH, "linger_ms": 200},
        )
        await forward(analyst, EVENTS)
        logs = [tmp_path / f"{life}.log" for life in range(KILLS + 2)]
        began_s = time.monotonic()
        children = [analyst.start(log=log) for log in logs[:2]]

        def require_it_goes_on() -> None:
            assert children[0].poll() is None, logs[0].read_text()[-3000:]
            assert time.monotonic() - began_s < PATIENCE_S, f"{len(server.served)} served"

        async def until(holds: Callable[[], bool]) -> None:
            """There is work until then."""
            while not holds():
                require_it_goes_on()
                if len(analyst.ids) - sum(s.events for s in server.served) < EVENTS // 8:
                    await forward(analyst, EVENTS // 8)
                await asyncio.sleep(0.2)

        try:
            for life in range(1, KILLS + 1):
                await until(lambda life=life: is_at_work(logs[life]))
                enough = len(server.served) + SLOTS
                await until(lambda enough=enough: len(server.served) >= enough)
                children[1].kill()
                children[1].wait()
                children[1] = analyst.start(log=logs[life + 1])
            # A minute in which nobody is killed: the limit would show.
            enough = len(server.served) + REQUESTS_PER_MINUTE
            await until(lambda: len(server.served) >= enough)
            while len(await analyst.effective()) < len(analyst.ids):
                require_it_goes_on()
                await asyncio.sleep(2.0)
            took_s = time.monotonic() - began_s
            for child in children:
                child.terminate()
                await asyncio.to_thread(child.wait, 30)
        finally:
            for child in children:
                if child.poll() is None:
                    child.kill()
        verdicts = await analyst.verdicts()
    effective = await analyst.effective()
    assert effective.keys() == set(analyst.ids)
    wrong = [
        n for n, own in enumerate(analyst.ids) if effective[own]["important"] is not (n % 7 == 0)
    ]
    assert wrong == []
    events = len(analyst.ids)
    repeated = len(verdicts) - events
    assert repeated <= KILLS * SLOTS * BATCH, "more was asked again than was in flight"

    most = server.most_in_a_minute()
    assert most <= REQUESTS_PER_MINUTE
    served = {s.answer_id: s for s in server.served if s.output_tokens}
    spent = (INPUT_PRICE * server.input_tokens + OUTPUT_PRICE * server.output_tokens) / 1e6
    assert spent <= budget
    for verdict in verdicts:
        assert set(verdict.get("answer_ids", ())) <= served.keys()
    shares = by_answer(verdicts)
    lost = served.keys() - shares.keys()
    lost_tokens = sum(served[i].input_tokens + served[i].output_tokens for i in lost)
    total = server.input_tokens + server.output_tokens
    said = sum(v["tokens"] for v in verdicts)
    assert len(lost) <= KILLS * SLOTS * 2
    assert said <= total - lost_tokens
    # A batch that was being written when its analyst was killed is told of in part.
    assert total - lost_tokens - said <= KILLS * max(
        s.input_tokens + s.output_tokens for s in served.values()
    )
    for log in logs:
        assert KEY not in log.read_text()
    outcomes = Counter(s.outcome for s in server.served)
    print(
        f"\n{events} events in {took_s:.0f} s, {len(server.served)} requests ({dict(outcomes)}), "
        f"{KILLS} kills; {repeated} verdicts twice; most in 60 s {most} of {REQUESTS_PER_MINUTE}; "
        f"cost {spent:.4f} of {budget}, of which told {sum(v['cost'] for v in verdicts):.4f}, in "
        f"{len(lost)} answers of killed analysts {lost_tokens} tokens of {total}"
    )
