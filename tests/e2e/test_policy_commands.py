"""The commands of `stream-filter policy`, against workers that run."""

import asyncio
import json
import shutil
from pathlib import Path
from typing import Any

import orjson
import pytest
from aiokafka import AIOKafkaProducer

from stream_filter.testing.worker_process import WorkerProcess

pytestmark = pytest.mark.slow

REPO = Path(__file__).parents[2]
FINE = b'{"service":"auth","level":"INFO","message":"cache hit for user 42"}'
RULES = {"text": "{service} {level} {message}", "mode": "enforce", "holdout": 0.0}


@pytest.fixture
def controlled(gate: Any) -> Any:
    """A gate with a control plane, topics `logs` and `more`, and a policy for `logs` alone."""
    gate.settings_lines = ["control: true"]
    gate.prepare({"logs": RULES, "more": RULES})
    shutil.copy(gate.policy_file, gate.folder / "both.yaml")
    document = orjson.loads(gate.policy_file.read_bytes())
    del document["topics"][gate.topic("more")]
    gate.policy_file.write_bytes(orjson.dumps(document))
    return gate


def edited(gate: Any, name: str, **rules: object) -> Path:
    """A file like the gate's policy, with other rules for `logs`."""
    document = orjson.loads(gate.policy_file.read_bytes())
    document["topics"][gate.topic("logs")].update(rules)
    path: Path = gate.folder / name
    path.write_bytes(orjson.dumps(document))
    return path


def told(gate: Any, *words: object, code: int = 0) -> Any:
    """What a command says with --json."""
    ran = gate.invoke("policy", *words, "--json")
    assert ran.exit_code == code, ran.stdout + ran.stderr
    return json.loads(ran.stdout)


async def test_the_file_is_the_first_policy_and_orders_overrule_it(controlled: Any) -> None:
    """Seed, push, history, diff, rollback, pause, resume: each is kept, and a worker that starts
    again takes the last order and says that its file does not hold."""
    gate = controlled
    gate.worker.start()
    gate.worker.wait_ready()
    assert [(o["sequence"], o["action"]) for o in told(gate, "history")] == [(1, "seed")]

    file = edited(gate, "new.yaml", holdout=0.25)
    dry = told(gate, "push", file, "--dry-run")
    assert dry["given"] is False
    assert [change["key"] for change in dry["changes"]] == [f"topics.{gate.topic('logs')}.holdout"]
    pushed = told(gate, "push", file, "--by", "ann")
    assert [w["state"] for w in pushed["workers"].values()] == ["in_force"]
    again = told(gate, "push", file)
    assert again["given"] is False
    (worker,) = told(gate, "list")["workers"]
    assert (worker["sequence"], worker["policy_id"]) == (2, pushed["policy_id"])
    assert told(gate, "diff", 1, 2) == dry["changes"]
    assert told(gate, "diff", "current", file) == []
    assert told(gate, "get")["policy"] == orjson.loads(file.read_bytes())

    paused = told(gate, "pause", gate.topic("logs"))
    assert paused["paused"] == [gate.topic("logs")]
    await gate.send("logs", {"value": FINE}, {"value": b"not json"})
    await gate.settled("logs", 2)
    assert [d["reason"] for d in gate.decisions("logs")] == ["paused", "paused"]
    told(gate, "resume", gate.topic("logs"))
    back = told(gate, "rollback")
    assert back["policy_id"] == told(gate, "history")[0]["policy_id"]
    history = told(gate, "history")
    assert [o["action"] for o in history] == ["seed", "push", "pause", "resume", "rollback"]
    assert history[1]["by"] == "ann"

    told(gate, "push", file)
    gate.worker.stop()
    gate.worker.start()
    gate.worker.wait_ready()
    (worker,) = told(gate, "list")["workers"]
    assert worker["policy_id"] == pushed["policy_id"]
    assert any(line["event"] == "policy.overruled" for line in gate.worker.log_lines())
    assert gate.worker.stop() == 0


async def test_a_pushed_topic_is_read_and_a_removed_one_is_not(controlled: Any) -> None:
    """The subscription follows the policy while the worker runs, also to a glob and back."""
    gate = controlled
    gate.worker.start()
    gate.worker.wait_ready()
    told(gate, "push", gate.folder / "both.yaml", "--topic", gate.topic("more"))
    await gate.send("more", {"value": FINE})
    await gate.send("logs", {"value": FINE})
    await gate.settled("more", 1)
    await gate.settled("logs", 1)
    told(gate, "rollback")
    await gate.send("more", {"value": FINE})
    await gate.send("logs", {"value": FINE})
    await gate.settled("logs", 2)
    document = orjson.loads((gate.folder / "both.yaml").read_bytes())
    document["topics"] = {f"{gate.prefix}.*": document["topics"][gate.topic("logs")]}
    (gate.folder / "glob.yaml").write_bytes(orjson.dumps(document))
    assert len(gate.decisions("more")) == 1
    told(gate, "push", gate.folder / "glob.yaml")
    await gate.settled("more", 2)
    told(gate, "rollback", "--to", 1)
    await gate.send("logs", {"value": FINE})
    await gate.settled("logs", 3)
    for name in ("logs", "more"):
        verified = gate.verify(name)
        assert verified.returncode == 0, verified.stdout
    assert gate.worker.stop() == 0


async def test_hostile_records_leave_the_last_good_policy_in_force(controlled: Any) -> None:
    """Garbage, an unknown version, a policy for a missing pack: an alarm names each record, what
    was in force stays, and a pause works all the same."""
    gate = controlled
    gate.model_dir = gate.folder / "models"
    shutil.copytree(REPO / "models" / "demo-platform", gate.model_dir / "demo-platform")
    settings = gate.settings_file.read_text().replace(str(REPO / "models"), str(gate.model_dir))
    gate.settings_file.write_text(
        settings
        + f"\npolicy_topic: {gate.topic('policies')}\nworker_topic: {gate.topic('workers')}"
    )
    made = gate.invoke("topics", "create", "--policy", gate.policy_file)
    assert made.exit_code == 0, made.stderr
    gate.worker.start()
    gate.worker.wait_ready()
    seed = told(gate, "list")["policy_id"]
    producer = AIOKafkaProducer(bootstrap_servers=gate.bootstrap)
    await producer.start()
    for value in (b"\xff\x00", b'{"version": 7, "group": "g"}', None):
        await producer.send_and_wait(gate.topic("policies"), value, key=b"k", partition=0)
    await producer.stop()
    shutil.copytree(gate.model_dir / "demo-platform", gate.model_dir / "other")
    file = edited(gate, "other.yaml", model="other")
    missing = gate.invoke("policy", "push", edited(gate, "gone.yaml", model="gone"))
    assert missing.exit_code == 2
    assert "model pack 'gone'" in missing.stderr
    shutil.rmtree(gate.model_dir / "other")
    refused = told(gate, "push", file, "--without-packs", code=1)
    (answer,) = refused["workers"].values()
    assert answer["state"] == "refused"
    assert "model pack 'other'" in answer["because"]
    assert refused["record"] in answer["because"]
    told(gate, "pause", gate.topic("logs"))
    await gate.send("logs", {"value": FINE})
    await gate.settled("logs", 1)
    (decision,) = gate.decisions("logs")
    assert (decision["reason"], decision["policy_id"]) == ("paused", seed)
    lines = gate.worker.log_lines()
    alarms = [line["record"] for line in lines if line["event"] == "order.unreadable"]
    assert alarms == [f"{gate.topic('policies')}/0/{n}" for n in (1, 2, 3)]
    assert gate.worker.get("/readyz")[0] == 200
    assert b"stream_filter_policy_refused 1.0" in gate.worker.get("/metrics")[1]
    assert gate.worker.stop() == 0


async def test_a_worker_without_a_file_waits_for_a_push(controlled: Any) -> None:
    """It says that it waits, is not ready, and begins when a policy is pushed."""
    gate = controlled
    worker = WorkerProcess(
        policy=None, settings=gate.settings_file, log_file=gate.folder / "log-waiting"
    )
    worker.start()
    try:
        async with asyncio.timeout(60):
            while True:
                if any(line["event"] == "policy.awaited" for line in worker.log_lines()):
                    break
                await asyncio.sleep(0.2)
        assert worker.get("/readyz")[0] == 503
        assert worker.get("/healthz")[0] == 200
        nothing = gate.invoke("policy", "list")
        assert nothing.exit_code == 2
        assert "has no policy" in nothing.stderr
        told(gate, "push", gate.policy_file)
        worker.wait_ready()
        await gate.send("logs", {"value": FINE})
        await gate.settled("logs", 1)
        assert worker.stop() == 0
    finally:
        if worker.is_running:
            worker.kill()


def test_mistakes_are_told_in_one_line(controlled: Any) -> None:
    """The thing, the place, the way out; exit code 2."""
    gate = controlled
    gate.worker.start()
    gate.worker.wait_ready()
    for words, said in (
        (("pause", "nowhere"), "the policy has no rules for 'nowhere'"),
        (("resume", gate.topic("logs")), "is not paused"),
        (("rollback",), "there is no earlier policy"),
        (("rollback", "--to", 9), "there is no order 9"),
        (("get", "--sequence", 9), "there is no order 9"),
        (("get", "nowhere"), "name one of"),
        (("diff", "current", "nowhere.yaml"), "cannot be read"),
        (("push", gate.policy_file, "--topic", "nowhere"), "has no 'nowhere'"),
        (("list", "--group", "another"), "has no policy"),
    ):
        ran = gate.invoke("policy", *words)
        assert ran.exit_code == 2, (words, ran.stderr)
        (line,) = ran.stderr.splitlines()
        assert line.startswith("error: ")
        assert said in line
    assert gate.worker.stop() == 0
