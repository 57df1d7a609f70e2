"""The audit of a gate that runs: the chain through crashes, payloads as the policy allows."""

from pathlib import Path
from typing import Any

import orjson

RULES = {
    "text": "{service} {message}",
    "mode": "enforce",
    "holdout": 0.0,
    "raw": {"drop_below": 1.0, "keep_above": 1.0},
    "redact": ["user.email"],
}


def events(first: int, count: int) -> list[dict[str, bytes]]:
    return [
        {
            "value": orjson.dumps(
                {
                    "service": "pay",
                    "message": "cache hit" if n % 3 else "page built",
                    "user": {"email": f"ann{n}@example.com", "plan": "free"},
                }
            )
        }
        for n in range(first, first + count)
    ]


async def test_the_chain_through_a_crash(gate: Any, tmp_path: Path) -> None:
    """Workers that are killed and follow each other make one chain, in the topic, in the store, and
    in the store with what is newer; summary and conservation agree with it."""
    gate.prepare({"logs": RULES})
    store = tmp_path / "store"
    topic = gate.topic("logs")
    asked = ("--topic", topic, "--json")
    for round_ in range(3):
        gate.worker.start()
        gate.worker.wait_ready()
        await gate.send("logs", *events(40 * round_, 40))
        await gate.settled("logs", 40 * (round_ + 1))
        if round_ == 1:
            assert gate.invoke("archive", "--store", store).exit_code == 0
        gate.worker.kill()
    for where in ((), ("--store", store)):
        proven = gate.invoke("audit", "verify", *asked, *where, "--policy", gate.policy_file)
        assert proven.exit_code == 0, proven.output
        found = orjson.loads(proven.stdout)
        assert (found["chain"]["records"], found["chain"]["unsealed"]) == (120, 0)
        assert found["chain"]["overtaken"] == 0
        assert found["conservation"]["ok"]
        summed = orjson.loads(gate.invoke("audit", "summary", *asked, *where).stdout)
        assert (summed["consumed"], summed["dropped"]) == (120, 120)
    alone = gate.invoke("audit", "summary", *asked, "--store", store, "--no-newest")
    assert orjson.loads(alone.stdout)["consumed"] == 80


async def test_payloads_are_redacted_and_looks_are_recorded(gate: Any) -> None:
    """A sample shows the value of one drop of each text without what the policy redacts; the audit
    topic says that somebody looked. Without that topic nothing is shown."""
    gate.settings_lines.append(f"audit_topic: {gate.topic('audit')}")
    gate.prepare({"logs": RULES})
    gate.worker.start()
    gate.worker.wait_ready()
    await gate.send("logs", *events(0, 30))
    await gate.settled("logs", 30)
    sample = ("audit", "sample", "--topic", gate.topic("logs"), "--json")
    hidden = orjson.loads(gate.invoke(*sample).stdout)
    assert [each["value"] for each in hidden] == [None, None]
    shown = gate.invoke(*sample, "--policy", gate.policy_file)
    found = orjson.loads(shown.stdout)
    assert sorted(each["records"] for each in found) == [10, 20]
    for each in found:
        user = orjson.loads(each["value"])["user"]
        assert user == {"email": "<redacted>", "plan": "free"}
    (use,) = [orjson.loads(r.value) for r in await gate.read("audit", 1)]
    assert (use["command"], use["topic"], use["events"]) == ("audit sample", gate.topic("logs"), 2)

    settings = gate.settings_file.read_text()
    gate.settings_file.write_text(settings.replace(gate.topic("audit"), "nowhere"))
    refused = gate.invoke(*sample, "--policy", gate.policy_file)
    assert (refused.exit_code, refused.stderr.count("\n")) == (2, 1)
    assert "example.com" not in refused.output
