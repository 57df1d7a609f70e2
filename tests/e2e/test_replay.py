"""Undoing drops on a real broker: what was asked arrives once, and nobody else notices."""

import asyncio
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import jsonschema
import orjson
import pytest
from aiokafka import TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, RecordsToDelete

from stream_filter.app.schemas import documents
from stream_filter.core.position import event_id

DROP_MOST = {
    "text": "{service} {message}",
    "mode": "enforce",
    "holdout": 0.0,
    "raw": {"drop_below": 1.0, "keep_above": 1.0},
    "rules": [{"name": "fatal", "when": 'level == "FATAL"', "then": "keep"}],
}
BEGAN_MS = int(time.time() * 1000) - 60_000
"""Of late: a broker takes away what is old."""
WHERE = ("--where", "reason = 'below_threshold'")


def event(n: int, **more: Any) -> dict[str, Any]:
    level = "FATAL" if n % 10 == 0 else "INFO"
    value = {"service": "pay", "level": level, "message": f"cache hit {n % 3}", "n": n}
    return {
        "key": b"k%d" % n,
        "value": orjson.dumps(value),
        "headers": [("from", b"%d" % n), ("sf-replay", b"forged")],
        "timestamp_ms": BEGAN_MS + n,
        **more,
    }


def prepare(gate: Any, rules: dict[str, Any] | None = None, *, partitions: int = 1) -> None:
    gate.settings_lines += [
        f"audit_topic: {gate.topic('audit')}",
        f"replay_topic: {gate.topic('replays')}",
        f"verdict_topic: {gate.topic('verdicts')}",
        f"certificate_topic: {gate.topic('certificates')}",
    ]
    gate.prepare({"logs": {**DROP_MOST, **(rules or {})}}, partitions=partitions)


def command(gate: Any, *more: object) -> tuple[object, ...]:
    return (
        *("replay", "--topic", gate.topic("logs"), "--to-topic", gate.topic("analysis")),
        *(more if "--where" in more else (*WHERE, *more)),
        "--json",
    )


def said(done: Any) -> dict[str, Any]:
    """What a command printed; it must have ended well."""
    assert done.exit_code == 0, done.output
    found: dict[str, Any] = orjson.loads(done.stdout)
    return found


def refused(done: Any) -> str:
    """The one line of a command that refused."""
    assert done.exit_code == 2, done.output
    assert done.stderr.count("\n") == 1, done.stderr
    line: str = done.stderr
    return line


def source_of(record: Any) -> str:
    """The last header of a name is the gate's."""
    return dict(record.headers)["sf-source"].decode()


def started(gate: Any, *arguments: object) -> "subprocess.Popen[str]":
    words = [sys.executable, "-m", "stream_filter", *map(str, arguments)]
    words += ["--settings", str(gate.settings_file)]
    return subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


async def replayed(gate: Any) -> int:
    """How many the replay topic accounts for."""
    accounts = await gate.read_all("replays", partitions=1)
    return sum(orjson.loads(record.value)["records"] for record in accounts)


async def until_replayed(gate: Any, count: int, child: "subprocess.Popen[str]") -> None:
    """Until the replay topic accounts for so many."""
    async with asyncio.timeout(120):
        while await replayed(gate) < count:
            assert child.poll() is None, child.communicate()
            await asyncio.sleep(0.2)


@pytest.mark.slow
async def test_drops_are_undone_once(gate: Any) -> None:
    """A dry run says what would be sent and sends nothing; a replay sends the drops as the gate
    would have, in parts if asked, never twice unless told; the account of it agrees."""
    prepare(gate)
    gate.worker.start()
    gate.worker.wait_ready()
    await gate.send("logs", *(event(n) for n in range(60)))
    await gate.settled("logs", 60)
    rehearsed = said(gate.invoke(*command(gate, "--dry-run", "--price", 2)))
    assert (rehearsed["chosen"], rehearsed["sent"], rehearsed["cost"]) == (54, 54, 108.0)
    assert rehearsed["examples"][0]["position"] == f"{gate.topic('logs')}/0/1"
    assert len(await gate.read("analysis", 6)) == 6, "a dry run sends nothing"

    first = said(gate.invoke(*command(gate, "--limit", 10, "--rate", "100/s")))
    assert (first["sent"], first["beyond_limit"]) == (10, 44)
    second = said(gate.invoke(*command(gate)))
    assert (second["sent"], second["replayed_before"], second["chosen"]) == (44, 10, 54)
    third = said(gate.invoke(*command(gate, "--where", "true")))
    assert (third["sent"], third["replayed_before"], third["forwarded_before"]) == (0, 54, 6)

    records = await gate.read("analysis", 60)
    assert len(records) == len({source_of(record) for record in records}) == 60
    for record in records:
        n = int(record.key[1:])
        was = event(n)
        assert (record.value, record.timestamp) == (was["value"], was["timestamp_ms"])
        assert list(record.headers[:2]) == was["headers"]
        added = {name: value.decode() for name, value in record.headers[2:]}
        assert added["sf-id"] == event_id(f"{gate.topic('logs')}/0/{n}", key=b"test")
        jsonschema.validate(added, documents()["headers.schema.json"])
        if n % 10:
            assert added["sf-reason"] == "below_threshold"
            assert added["sf-replay"] == (first if n <= 11 else second)["replay_id"]
            assert "@" in added["sf-replay-by"]
        else:
            assert "sf-replay" not in added

    accounts = [orjson.loads(record.value) for record in await gate.read("replays", 2)]
    for account in accounts:
        jsonschema.validate(account, documents()["replay.schema.json"])
    assert sum(account["records"] for account in accounts) == 54
    uses = [orjson.loads(record.value) for record in await gate.read("audit", 2)]
    assert [(use["command"], use["events"]) for use in uses] == [("replay", 54), ("replay", 44)]
    verified = gate.verify("logs")
    assert verified.returncode == 0, verified.stdout + verified.stderr
    (partition,) = orjson.loads(verified.stdout)["partitions"].values()
    assert (partition["replayed"], partition["discarded"]) == (54, 54)

    assert said(gate.invoke(*command(gate, "--again", "--limit", 1)))["sent"] == 1
    analysis = await gate.read("analysis", 61)
    assert source_of(analysis[-1]) == f"{gate.topic('logs')}/0/1"


async def test_what_stands_in_the_way_is_said(gate: Any, tmp_path: Path) -> None:
    """Hostile conditions, loops, topics that are not there, and numbers that make no sense are
    refused in one line; nothing is written."""
    prepare(gate)
    gate.worker.start()
    gate.worker.wait_ready()
    await gate.send("logs", *(event(n) for n in range(20)))
    await gate.settled("logs", 20)
    out = tmp_path / "out"
    for where in (
        f"true); COPY (SELECT 1) TO '{out}'; SELECT (true",
        f"EXISTS (FROM read_csv('{gate.settings_file}'))",
        f"(SELECT count(*) FROM read_text('{gate.policy_file}')) > 0",
        "true; DROP VIEW decisions",
        "getenv('HOME') = '/'",
        "reason = ",
        "no_such_column = 1",
    ):
        assert "--where" in refused(gate.invoke(*command(gate, "--where", where)))
    assert not out.exists()
    base = ("replay", *WHERE, "--topic", gate.topic("logs"))
    elsewhere = ("replay", *WHERE, "--to-topic", gate.topic("analysis"))
    assert "round" in refused(gate.invoke(*base, "--to-topic", gate.topic("logs")))
    assert "own" in refused(gate.invoke(*base, "--to-topic", gate.topic("ledger")))
    for mode in ((), ("--dry-run",)):
        missing = gate.invoke(*base, "--to-topic", gate.topic("none"), *mode)
        assert "does not exist" in refused(missing)
        missing = gate.invoke(*elsewhere, "--topic", gate.topic("none"), *mode)
        assert "does not exist" in refused(missing)
    assert "name" in refused(gate.invoke(*base, "--to-topic", "../x"))
    nothing = gate.invoke("replay", "--topic", "t", "--to-topic", "u")
    assert "--where" in refused(nothing)
    for option in (("--rate", "-5"), ("--rate", "0"), ("--limit", "0"), ("--limit", "-1")):
        assert gate.invoke(*command(gate, *option)).exit_code == 2
    settings = gate.settings_file.read_text()
    gate.settings_file.write_text(settings.replace(gate.topic("replays"), gate.topic("none")))
    assert "topics create" in refused(gate.invoke(*command(gate)))
    gate.settings_file.write_text(settings.replace(gate.topic("audit"), gate.topic("none")))
    assert "topics create" in refused(gate.invoke(*command(gate)))
    gate.settings_file.write_text(settings)
    assert len(await gate.read("analysis", 2)) == 2, "only what the gate itself forwarded"

    # What is no account in the replay topic is passed over, and said.
    huge = {"offsets": [[0, 1 << 70]], "replay_version": "1"}
    await gate.send(
        "replays", {"value": b"\xff"}, {"key": b"k", "value": None}, {"value": orjson.dumps("x")}
    )
    await gate.send("replays", {"value": str(huge).encode()})
    done = gate.invoke(*command(gate))
    assert said(done)["sent"] == 18
    assert "4 records" in done.stderr


async def test_what_retention_took_is_said(kafka_gate: Any) -> None:
    """Offsets that the source no longer holds are counted and listed, and the others are sent."""
    gate = kafka_gate
    prepare(gate)
    gate.worker.start()
    gate.worker.wait_ready()
    await gate.send("logs", *(event(n) for n in range(40)))
    await gate.settled("logs", 40)
    admin = AIOKafkaAdminClient(bootstrap_servers=gate.bootstrap)
    await admin.start()
    try:
        source = TopicPartition(gate.topic("logs"), 0)
        await admin.delete_records({source: RecordsToDelete(before_offset=25)})
    finally:
        await admin.close()
    gone = [[1, 9], [11, 19], [21, 24]]
    for found in (
        said(gate.invoke(*command(gate, "--dry-run"))),
        said(gate.invoke(*command(gate))),
    ):
        assert (found["sent"], found["gone"], found["gone_offsets"]) == (14, 22, {"0": gone})


@pytest.mark.slow
async def test_a_budget_holds(gate: Any) -> None:
    """A replay sends what the policy's budget leaves and then waits; another one counts what it
    sent; what no budget ever allows is passed over."""
    prepare(gate, {"budget": {"per_hour": 12, "tokens_per_day": 5_000}})
    gate.worker.start()
    gate.worker.wait_ready()
    await gate.send("logs", *(event(n) for n in range(1, 10)))
    big = orjson.dumps({"service": "pay", "level": "INFO", "message": "x", "pad": "y" * 20_000})
    await gate.send("logs", event(11, value=big), *(event(n) for n in range(12, 20)))
    await gate.settled("logs", 18)
    for run in (1, 2):
        with started(gate, *command(gate, "--policy", gate.policy_file)) as child:
            # A use is recorded before anything is sent.
            await gate.read("audit", run)
            await until_replayed(gate, 12, child)
            await asyncio.sleep(2.0)
            assert child.poll() is None, "it waits for the hour to pass"
            child.terminate()
        assert len(await gate.read("analysis", 12)) == 12, "an hour's worth, of both runs"
    raised = gate.policy_file.read_text().replace('"per_hour":12', '"per_hour":1000')
    gate.policy_file.write_text(raised)
    found = said(gate.invoke(*command(gate, "--policy", gate.policy_file)))
    assert (found["sent"], found["too_large_offsets"]) == (5, {"0": [[9, 9]]})
    found = said(gate.invoke(*command(gate)))
    assert (found["sent"], found["replayed_before"]) == (1, 17), "without a policy, no budget"
