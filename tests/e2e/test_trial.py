"""`stream-filter try` on a topic decides as the worker does, and leaves no trace."""

import json
from collections import Counter
from typing import Any

import pytest

RULES = {"text": "{message}", "mode": "enforce", "holdout": 0.3}
COUNT = 300


def events() -> list[dict[str, Any]]:
    """Records in two partitions, two to one; each has a text of its own."""
    words = ["".join(chr(97 + int(d)) for d in str(i)) for i in range(COUNT)]
    values = [b"broken" if i % 50 == 0 else b'{"message": "m %s"}' % w.encode() for i, w in
              enumerate(words)]  # fmt: skip
    return [{"value": value, "partition": int(i % 3 == 0)} for i, value in enumerate(values)]


def tried(gate: Any, *arguments: object) -> dict[str, Any]:
    """The document of a trial of the topic."""
    topic = gate.topic("logs")
    done = gate.run("try", gate.policy_file, "--source-topic", topic, "--json", *arguments)
    assert (done.returncode, done.stderr) == (0, "")
    found: dict[str, Any] = json.loads(done.stdout)
    return found


@pytest.mark.slow
async def test_decides_as_the_worker_and_leaves_no_trace(gate: Any) -> None:
    """Before and while a worker runs, a trial gives the decisions that the worker writes to the
    ledger, the holdout's included; the group, the targets and the ledger do not notice it."""
    gate.prepare({"logs": RULES}, partitions=2)
    await gate.send("logs", *events())
    before = tried(gate, "--examples", 1000)
    assert before["events"] == COUNT

    gate.worker.start()
    gate.worker.wait_ready()
    await gate.settled("logs", COUNT)
    decisions = gate.decisions("logs")
    during = tried(gate, "--examples", 1000)
    for found in (before, during):
        counted = Counter((d["route"], d["reason"]) for d in decisions)
        assert {(r["route"], r["reason"]): r["events"] for r in found["routes"]} == counted
        for reason in ("holdout", "below_threshold", "ambiguous", "important"):
            positions = {d["position"] for d in decisions if d["reason"] == reason}
            assert {e["place"] for e in found["examples"] if e["reason"] == reason} == positions
    assert any(d["reason"] == "holdout" for d in decisions)
    assert {k: v for k, v in before.items() if k != "seconds"} == {
        k: v for k, v in during.items() if k != "seconds"
    }

    assigned = [line for line in gate.worker.log_lines() if line["event"] == "partition.assigned"]
    assert len(assigned) == 2, "no rebalance"
    assert gate.worker.stop() == 0
    assert gate.verify("logs").returncode == 0


async def test_last_records_only(gate: Any) -> None:
    """--last takes the ends of the partitions in equal parts, --partition one of them."""
    gate.prepare({"logs": RULES}, partitions=2)
    await gate.send("logs", *events())
    found = tried(gate, "--last", 20, "--examples", 1000)
    topic = gate.topic("logs")
    seen = {e["place"] for e in found["examples"] if e["reason"] != "undecodable"}
    ends = [range(190, 200), range(90, 100)]
    assert found["events"] == 20
    assert seen <= {f"{topic}/{p}/{offset}" for p, end in enumerate(ends) for offset in end}
    one = tried(gate, "--last", 20, "--examples", 1000, "--partition", 1)
    assert one["events"] == 20
    assert {place["place"].split("/")[1] for place in one["examples"]} == {"1"}
    assert tried(gate, "--last", 1_000_000)["events"] == COUNT


async def test_clear_refusals(gate: Any) -> None:
    """An unknown partition and an empty topic are one line and exit 2; an unknown topic too."""
    gate.prepare({"logs": RULES, "empty": RULES})
    await gate.send("logs", {"value": b"x"})
    for arguments, said in (
        (["--source-topic", gate.topic("logs"), "--partition", 7], "has no partition 7"),
        (["--source-topic", gate.topic("empty")], "holds no events"),
        (["--source-topic", "nosuch"], "no rules for topic 'nosuch'"),
    ):
        done = gate.run("try", gate.policy_file, *arguments)
        assert (done.returncode, done.stdout) == (2, "")
        (problem,) = done.stderr.splitlines()
        assert said in problem
