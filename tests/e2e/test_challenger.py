"""A challenger on a real broker: its diff is read from the ledger, and counts as told."""

from typing import Any

import orjson

TEXT = {"text": "{service} {level} {message}", "mode": "enforce", "holdout": 0.0}


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
    assert [d["route"] for d in gate.decisions("logs")] == ["discard"] * 3 + ["forward"] * 9
    assert gate.verify("logs").returncode == 0

    none = gate.run("ledger", "diff", "--topic", gate.topic("plain"))
    assert (none.returncode, none.stderr) == (1, "")
    assert "no block of" in none.stdout
    wrong = gate.run("ledger", "diff", "--topic", gate.topic("typo"))
    assert (wrong.returncode, wrong.stderr.count("\n")) == (2, 1)
