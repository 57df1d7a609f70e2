"""A topic for each reason on a real broker: made, checked, written to and accounted for."""

from typing import Any

import orjson

from stream_filter.gate.fold_summary import parse_summary


def event(level: str, message: str) -> dict[str, bytes]:
    return {"value": orjson.dumps({"service": "pay", "level": level, "message": message})}


async def test_a_topic_for_each_reason(gate: Any) -> None:
    """`topics create` makes every target and `check` asks for each; records and fold summaries go
    where their reasons lead, and `ledger verify` finds all of them."""
    targets = {"important": "pages", "duplicate": "storms", "default": "analysis"}
    gate.prepare(
        {
            "logs": {
                "text": "{service} {level} {message}",
                "mode": "enforce",
                "raw": {"drop_below": 0.0, "keep_above": 0.0},
                "rules": [{"when": 'level == "RULED"', "then": "keep"}],
                "fold": {"window": "1s", "keep": 1},
                "forward_to": {key: gate.topic(name) for key, name in targets.items()},
            }
        }
    )
    policy = gate.policy_file.read_text()
    gate.policy_file.write_text(policy.replace(gate.topic("pages"), gate.topic("typo")))
    checked = gate.run("check", gate.policy_file, "--bootstrap", gate.bootstrap)
    assert checked.returncode == 2
    (problem,) = checked.stderr.splitlines()
    assert f"target topic '{gate.topic('typo')}' does not exist" in problem
    gate.policy_file.write_text(policy)

    gate.worker.start()
    gate.worker.wait_ready()
    kept, ruled = event("ERROR", "card declined"), event("RULED", "by name")
    await gate.send("logs", kept, kept, kept, ruled)
    await gate.settled("logs", 4)
    found = {}
    for name, count in (("pages", 1), ("analysis", 1), ("storms", 1)):
        (record,) = await gate.read(name, count)
        headers = dict(record.headers)
        found[name] = (headers["sf-reason"], headers.get("sf-priority"))
        if name == "storms":
            assert parse_summary(record.value).folded == 2
    assert found["analysis"] == (b"rule", b"9")
    assert (found["pages"][0], found["storms"]) == (b"important", (b"duplicate", None))
    verified = gate.verify("logs")
    assert verified.returncode == 0, verified.stdout
    (partition,) = orjson.loads(verified.stdout)["partitions"].values()
    assert (partition["forwarded"], partition["folded"], partition["summarized"]) == (2, 2, 2)
    assert gate.worker.stop() == 0
