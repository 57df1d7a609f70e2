"""People judge in the terminal, and the judges are compared, end to end."""

import asyncio
import json
from concurrent.futures import ThreadPoolExecutor

from click.testing import CliRunner, Result

from stream_filter.cli.main import main
from stream_filter.kafka.verdict_record import decode_verdict
from stream_filter.testing.stand_in import StandIn
from stream_filter.testing.stand_in_behaviour import Behaviour
from tests.analyst.conftest import AnalystUnderTest


async def invoke(analyst: AnalystUnderTest, *words: str, keys: str = "") -> Result:
    """A command of the group under test, in a thread with a loop of its own."""
    arguments = [*words, "--topic", analyst.topic, "--settings", str(analyst.settings_file)]

    def call() -> Result:
        with ThreadPoolExecutor(1) as thread:
            return thread.submit(CliRunner().invoke, main, arguments, input=keys).result(60)

    result = await asyncio.to_thread(call)
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


def line(number: int) -> bytes:
    word = "".join(chr(97 + int(digit)) for digit in f"{number:04d}")
    return json.dumps(
        {
            "service": "ab"[number % 2],
            "message": f"{'IMPORTANT' if number % 3 == 0 else 'usual'} job {word}\x1b[2J",
        }
    ).encode()


async def test_a_person_judges_and_takes_back(analyst: AnalystUnderTest) -> None:
    """Each key does what it says; nothing steers the terminal; what was answered is not shown
    again."""
    await analyst.prepare()
    await analyst.forward([line(n) for n in range(6)])
    review = ("review", "--share", "1", "--reviewer", "anna")
    first = await invoke(analyst, *review, keys="iznxuq")
    assert first.exit_code == 0, first.output
    assert "answered 2, 4 left" in first.output
    assert "\x1b" not in first.output
    assert "sf-" not in first.output
    said = await analyst.verdicts()
    assert [v["important"] for v in said] == [False, None]
    assert said[1]["cause"] == "unsure"
    assert {v["judge"]["name"] for v in said} == {"anna"}
    decode_verdict((await analyst.records(analyst.verdicts_topic))[0][0], offset=0, at_ms=0)
    again = await invoke(analyst, *review, keys="iiii")
    assert "answered 4, 0 left" in again.output
    assert len({v["sf-id"] for v in await analyst.verdicts()}) == 6
    done = await invoke(analyst, *review)
    assert "answered 0, 0 left" in done.output


async def test_reviewers_see_the_same_share_and_their_agreement(analyst: AnalystUnderTest) -> None:
    """Drawn by id: as many as the share says, the same for both."""
    await analyst.prepare()
    await analyst.forward([line(n) for n in range(200)])
    for name, keys in (("anna", "i" * 200), ("ben", "i" * 200)):
        done = await invoke(analyst, "review", "--share", "0.1", "--reviewer", name, keys=keys)
    verdicts = await analyst.verdicts()
    by_name = {
        name: {v["sf-id"] for v in verdicts if v["judge"]["name"] == name}
        for name in ("anna", "ben")
    }
    assert by_name["anna"] == by_name["ben"]
    assert 8 <= len(by_name["anna"]) <= 35
    assert "anna" in done.output.partition("You and others")[2]
    new = await invoke(analyst, "review", "--share", "0.1", "--reviewer", "cleo", keys="uq")
    assert new.exit_code == 0
    assert "not defined" in new.output.partition("You and others")[2]
    assert (await invoke(analyst, "review", "--reviewer", "x" * 201)).exit_code == 2


async def test_judges_says_that_there_are_no_verdicts_yet(analyst: AnalystUnderTest) -> None:
    """In one line, with what gives them; machines get the same document as ever."""
    await analyst.prepare()
    await analyst.forward([line(n) for n in range(3)])
    said = await invoke(analyst, "judges")
    assert said.exit_code == 0
    assert said.output == (
        "no verdicts yet: `stream-filter analyst` and `stream-filter review` give them\n"
    )
    report = json.loads((await invoke(analyst, "judges", "--json")).output)
    assert (report["events"], report["judges"], report["no_verdicts"]) == (3, [], 0)
    await analyst.write_verdicts(
        [
            {
                "sf-id": analyst.ids[0],
                "important": None,
                "cause": "refused",
                "judge": {"name": "m", "kind": "model"},
            }
        ]
    )
    said = await invoke(analyst, "judges")
    assert said.output.startswith("no verdicts yet (ended without one: 1): ")


async def test_judges_shows_the_one_that_errs(analyst: AnalystUnderTest, stand_in: StandIn) -> None:
    """A model wrong in a tenth, one that says what the gate said, and 300 labels of a person who
    knows: the report tells them apart, by slice as well."""
    stand_in.behaviour = Behaviour(error_rate=0.1)
    await analyst.prepare(batch={"events": 50})
    gate = [n % 5 != 0 if n % 3 == 0 else n % 7 == 0 for n in range(300)]
    ids = await analyst.forward(
        [line(n) for n in range(300)],
        headers=lambda n: {"sf-verdict": "keep" if gate[n] else "drop", "sf-reason": "shadow"},
    )
    await analyst.run_until_judged(300)
    others = [
        {"sf-id": own, "important": said, "judge": {"name": name, "kind": kind}}
        for n, own in enumerate(ids)
        for name, kind, said in (("echo", "model", gate[n]), ("anna", "person", n % 3 == 0))
    ]
    await analyst.write_verdicts(others)
    result = await invoke(analyst, "judges", "--slice", "service", "--json")
    assert result.exit_code == 0, result.output
    report = json.loads(result.output)
    pairs = {(p["first"], p["second"]): p for p in report["pairs"]}
    wrong = pairs["stand-in", "people"]
    lower, upper = wrong["differs_interval"]
    assert lower <= 0.1 <= upper < 0.2
    assert wrong["kappa_interval"][0] < wrong["kappa"] < 0.95
    assert {s["slice"] for s in wrong["slices"]} == {"a", "b"}
    follows = {g["judge"]: g["says_what_the_gate_said"] for g in report["gate"]}
    assert follows == {"stand-in": False, "echo": True}
    recall = {r["judge"]: r for r in report["recall_on_events_judged_by_people"]}
    assert recall["people"]["recall"] == 0.8
    assert recall["echo"]["recall"] == 1.0
    table = await invoke(analyst, "judges")
    assert "says what the gate said" in table.output
