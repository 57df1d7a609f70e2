"""The audit of a gate that runs: the chain through crashes, payloads as the policy allows."""

from pathlib import Path
from typing import Any

import orjson
import pytest

from stream_filter.app.labelled_events import read_labelled
from stream_filter.app.labels import read_labels
from stream_filter.app.policy_file import load_policy
from stream_filter.core.position import event_id

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


@pytest.mark.slow
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


@pytest.mark.slow
async def test_payloads_are_redacted_and_looks_are_recorded(gate: Any, tmp_path: Path) -> None:
    """A sample shows the value of one drop of each text without what the policy redacts, and an
    export the judged events, which `train` and `calibrate` read; the audit topic says that somebody
    looked. Without that topic nothing is shown."""
    gate.settings_lines += [
        f"audit_topic: {gate.topic('audit')}",
        f"verdict_topic: {gate.topic('verdicts')}",
        f"certificate_topic: {gate.topic('certificates')}",
    ]
    gate.prepare({"logs": {**RULES, "holdout": 0.5}})
    topic = gate.topic("logs")
    made = gate.invoke("topics", "create", "--policy", gate.policy_file, "--evidence")
    assert made.exit_code == 0, made.output
    gate.worker.start()
    gate.worker.wait_ready()
    await gate.send("logs", *events(0, 60))
    await gate.settled("logs", 60)
    sample = ("audit", "sample", "--topic", topic, "--json")
    hidden = orjson.loads(gate.invoke(*sample).stdout)
    assert [each["value"] for each in hidden] == [None, None]
    shown = gate.invoke(*sample, "--policy", gate.policy_file)
    found = orjson.loads(shown.stdout)
    for each in found:
        user = orjson.loads(each["value"])["user"]
        assert user == {"email": "<redacted>", "plan": "free"}
    decisions = {d["position"]: d for d in gate.decisions("logs")}
    held_out = {p for p, d in decisions.items() if d["reason"] == "holdout"}
    assert sum(each["records"] for each in found) == 60 - len(held_out)

    judge = {"name": "llm", "kind": "model"}
    person = {"name": "ann", "kind": "person"}
    verdicts = [
        {
            "sf-id": event_id(p, key=b"test"),
            "important": bool(int(p.split("/")[-1]) % 2),
            "judge": judge,
        }
        for p in sorted(decisions)
    ]
    overruled = sorted(held_out)[0]
    verdicts.append({"sf-id": event_id(overruled, key=b"test"), "important": True, "judge": person})
    await gate.send("verdicts", *({"value": orjson.dumps(verdict)} for verdict in verdicts))
    out = tmp_path / "labelled.jsonl"
    export = ("audit", "export", "--topic", topic, "--out", out)
    done = gate.invoke(*export, "--policy", gate.policy_file, "--json")
    assert done.exit_code == 0, done.output
    lines = [orjson.loads(line) for line in out.read_bytes().splitlines()]
    # Only what was shown counts: a verdict on a drop that nobody was shown is forged.
    assert {line["position"] for line in lines} == held_out
    for line in lines:
        odd = bool(int(line["position"].split("/")[-1]) % 2)
        assert line["important"] == (odd or line["position"] == overruled)
        assert (line["probability"], line["reason"]) == (0.5, "holdout")
        assert line["event"]["user"]["email"] == "<redacted>"
    rules = load_policy(gate.policy_file).for_topic(topic)
    labels, labelled = read_labels(out), read_labelled(out, rules=rules)
    assert labels.important.sum() == labelled.important.sum() == sum(e["important"] for e in lines)
    assert labelled.weights.tolist() == [2.0] * len(lines)
    assert gate.invoke(*export).exit_code == 2
    assert gate.invoke(*export, "--no-payload").exit_code == 0
    assert "event" not in orjson.loads(out.read_bytes().splitlines()[0])

    uses = [orjson.loads(r.value) for r in await gate.read("audit", 2)]
    assert [(use["command"], use["topic"]) for use in uses] == [
        ("audit sample", topic),
        ("audit export", topic),
    ]
    settings = gate.settings_file.read_text()
    gate.settings_file.write_text(settings.replace(gate.topic("audit"), "nowhere"))
    refused = gate.invoke(*sample, "--policy", gate.policy_file)
    assert (refused.exit_code, refused.stderr.count("\n")) == (2, 1)
    assert "example.com" not in refused.output
