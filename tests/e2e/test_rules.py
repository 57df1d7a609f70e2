"""Rules in a running worker: the ledger, the headers and the metrics say which one decided."""

from typing import Any

RULED = {
    "text": "{service} {level} {message}",
    "mode": "enforce",
    "holdout": 0.5,
    "rules": [
        {"name": "fatal", "when": 'level == "FATAL"', "then": "keep"},
        {"when": 'path.startsWith("/healthz") && int(status) < 400', "then": "drop", "holdout": 0},
        {"name": "load test", "when": '"x-load-test" in headers || key == "t"', "then": "drop"},
    ],
}


async def test_rules_decide_and_are_named(gate: Any) -> None:
    """Each record is decided by the first rule that holds; holdouts are the rules' own."""
    gate.prepare({"logs": RULED})
    gate.worker.start()
    gate.worker.wait_ready()
    fatal = {"value": b'{"level":"FATAL","message":"disk is full"}', "key": b"t"}
    health = {"value": b'{"path":"/healthz/live","status":"200"}'}
    failing = {"value": b'{"path":"/healthz/live","status":"503","message":"timeout"}'}
    load = {"value": b'{"message":"GET /"}', "headers": [("x-load-test", None)]}
    sent = [fatal, failing, *[health] * 40, *[load] * 40]
    await gate.send("logs", *sent)
    await gate.settled("logs", len(sent))

    decisions = gate.decisions("logs")
    assert [d["rule"] for d in decisions] == ["fatal", None, *["#2"] * 40, *["load test"] * 40]
    ruled = [d for d in decisions if d["rule"]]
    assert all(d["score"] is None for d in ruled)
    assert decisions[1]["score"] is not None
    assert {(d["route"], d["reason"]) for d in decisions[2:42]} == {("discard", "rule")}
    drawn = [d["route"] == "forward" for d in decisions[42:]]
    assert 0 < sum(drawn) < 40, "the topic's holdout is for a rule that names none"

    forwarded = [d for d in decisions if d["route"] == "forward"]
    for record, decision in zip(
        await gate.read("analysis", len(forwarded)), forwarded, strict=True
    ):
        headers = dict(record.headers)
        assert headers.get("sf-rule", b"").decode() == (decision["rule"] or "")
        assert headers["sf-reason"].decode() == decision["reason"]

    shown = gate.run("tap", gate.topic("logs"), "--from-beginning", "--limit", 1, "--rule", "fatal")
    assert shown.stdout.split() == [
        *("forward", "rule", "keep", "-"),
        *(f"{gate.topic('logs')}/0/0", "rule", "fatal"),
    ]
    _, metrics = gate.worker.get("/metrics")
    for rule, count in (("fatal", 1), ("#2", 40), ("load test", 40)):
        labels = f'rule="{rule}",topic="{gate.topic("logs")}"'
        assert f"stream_filter_rule_records_total{{{labels}}} {count}.0" in metrics.decode()
    assert gate.worker.stop() == 0
    assert gate.verify("logs").returncode == 0


def test_check_names_a_bad_rule(gate: Any) -> None:
    """`check` refuses a condition with file, line, key and column, and exits with 2."""
    gate.prepare({"logs": RULED})
    text = gate.policy_file.read_text().replace("int(status)", "int(status) + 1")
    gate.policy_file.write_text(text)
    done = gate.run("check", gate.policy_file)
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    place = f"topics.{gate.topic('logs')}.rules.1.when: column 44: "
    assert f"{gate.policy_file}:1: {place}arithmetic is not covered" in line
