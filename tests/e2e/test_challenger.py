"""A challenger on a real broker: its diff is read from the ledger, and counts as told."""

from typing import Any

import orjson
import pytest

TEXT = {"text": "{service} {level} {message}", "mode": "enforce", "holdout": 0.0}


@pytest.mark.slow
async def test_the_diff_of_a_challenger(gate: Any) -> None:
    """`ledger diff` counts what the challenger would newly drop and forward, names where, and says
    so where there is no challenger; what is forwarded is the champion's."""
    rules = [{"when": 'level == "DEBUG"', "then": "drop"}]
    gate.prepare(
        {
            "logs": {
                **TEXT,
                "rules": [{"when": 'level == "INFO"', "then": "drop"}],
                "challenger": {"rules": rules, "raw": {"drop_below": 0.0, "keep_above": 0.0}},
                "raw": {"drop_below": 0.0, "keep_above": 0.0},
            },
            "plain": TEXT,
        }
    )
    gate.worker.start()
    gate.worker.wait_ready()
    levels = ["INFO"] * 3 + ["DEBUG"] * 4 + ["ERROR"] * 5
    values = [
        orjson.dumps({"service": "pay", "level": level, "message": f"no {n}"})
        for n, level in enumerate(levels)
    ]
    await gate.send("logs", *({"value": value} for value in values))
    await gate.send("plain", {"value": values[0]})
    await gate.settled("logs", len(levels))
    await gate.settled("plain", 1)

    done = gate.run("ledger", "diff", "--topic", gate.topic("logs"), "--examples", 2, "--json")
    assert done.returncode == 0, done.stderr
    (found,) = orjson.loads(done.stdout)["policies"].values()
    assert (found["records"], found["newly_dropped"], found["newly_forwarded"]) == (12, 4, 3)
    assert orjson.loads(found["examples"][0]["value"])["level"] in {"INFO", "DEBUG"}
    positions = {
        (e["champion"]["verdict"], e["challenger"]["verdict"]): e["position"]
        for e in reversed(found["examples"])
    }
    assert positions == {
        ("drop", "keep"): f"{gate.topic('logs')}/0/0",
        ("keep", "drop"): f"{gate.topic('logs')}/0/3",
    }
    shown = gate.run("ledger", "diff", "--topic", gate.topic("logs"))
    assert "would newly drop 4 and newly forward 3" in shown.stdout
    assert '"level":"DEBUG","message":"no 3"' in shown.stdout
    assert [d["route"] for d in gate.decisions("logs")] == ["discard"] * 3 + ["forward"] * 9
    assert gate.verify("logs").returncode == 0

    none = gate.run("ledger", "diff", "--topic", gate.topic("plain"))
    assert (none.returncode, none.stderr) == (1, "")
    assert "no block of" in none.stdout
    wrong = gate.run("ledger", "diff", "--topic", gate.topic("typo"))
    assert (wrong.returncode, wrong.stderr.count("\n")) == (2, 1)


@pytest.mark.slow
async def test_a_challenger_whose_pack_is_missing(gate: Any) -> None:
    """The worker is ready and the champion drops as ever; the diff counts apart what could not be
    compared, instead of calling it newly forwarded."""
    gate.prepare(
        {
            "logs": {
                **TEXT,
                "raw": {"drop_below": 1.0, "keep_above": 1.0},
                "challenger": {"model": "not-there"},
            }
        }
    )
    gate.worker.start()
    gate.worker.wait_ready()
    value = orjson.dumps({"service": "pay", "level": "INFO", "message": "cache hit"})
    await gate.send("logs", *({"value": value} for _ in range(3)))
    await gate.settled("logs", 3)
    assert [d["reason"] for d in gate.decisions("logs")] == ["below_threshold"] * 3
    assert [d["challenger"]["reason"] for d in gate.decisions("logs")] == ["degraded"] * 3
    done = gate.run("ledger", "diff", "--topic", gate.topic("logs"), "--json")
    (found,) = orjson.loads(done.stdout)["policies"].values()
    assert (found["records"], found["unread"], found["newly_forwarded"]) == (3, 3, 0)
    (failed,) = {e["pack"] for e in gate.worker.log_lines() if e["event"] == "pack.failed"}
    assert failed == "not-there"
    assert gate.worker.stop() == 0
