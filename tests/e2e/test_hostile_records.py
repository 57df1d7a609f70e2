"""Every hostile kind of record has its stated outcome (docs/formats.md), and costs no other."""

from typing import Any

FINE = b'{"service":"auth","level":"INFO","message":"cache hit for user 42"}'
JSON_RULES = {"text": "{service} {level} {message}", "mode": "enforce", "holdout": 0.0}

HOSTILE: dict[str, tuple[bytes | None, str, str]] = {
    # kind: value, route, reason
    "broken JSON": (b'{"message": "cut o', "dead_letter", "undecodable"),
    "wrong encoding": (b'{"message": "caf\xe9"}', "dead_letter", "undecodable"),
    "UTF-16": ('{"message": "x"}'.encode("utf-16"), "dead_letter", "undecodable"),
    "an array": (b"[1, 2, 3]", "dead_letter", "undecodable"),
    "a number": (b"42", "dead_letter", "undecodable"),
    "JSON null": (b"null", "dead_letter", "undecodable"),
    "empty": (b"", "dead_letter", "undecodable"),
    "binary": (bytes(range(256)), "dead_letter", "undecodable"),
    "nested": (
        b'{"message":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
        "dead_letter",
        "undecodable",
    ),
    "two documents": (b'{"message":"a"}\n{"message":"b"}', "dead_letter", "undecodable"),
    "NaN": (b'{"message": NaN}', "dead_letter", "undecodable"),
    "tombstone": (None, "forward", "unreadable"),
    "no such field": (b'{"other": 1}', "forward", "unreadable"),
}


async def test_each_hostile_record_has_its_stated_outcome(gate: Any) -> None:
    """Route and reason are as documented, neighbours are decided, dead letters are untouched."""
    gate.prepare({"logs": JSON_RULES})
    sent = []
    for name, (value, _, _) in HOSTILE.items():
        headers = [("odd", b"\x00\xff\xfe"), ("sf-id", b"spoofed"), ("none", None), ("", b"")]
        sent += [{"value": FINE}, {"key": name.encode(), "value": value, "headers": headers}]
    gate.worker.start()
    gate.worker.wait_ready()
    await gate.send("logs", *sent, {"value": FINE})
    await gate.settled("logs", len(sent) + 1)

    decisions = {d["position"]: d for d in gate.decisions("logs")}
    for index, (name, (_, route, reason)) in enumerate(HOSTILE.items()):
        found = decisions[f"{gate.topic('logs')}/0/{2 * index + 1}"]
        assert (found["route"], found["reason"]) == (route, reason), name
        neighbour = decisions[f"{gate.topic('logs')}/0/{2 * index}"]
        assert neighbour["score"] is not None, f"the record before {name!r} is scored"

    dead_kinds = [name for name, (_, route, _) in HOSTILE.items() if route == "dead_letter"]
    for letter, name in zip(await gate.read("dead", len(dead_kinds)), dead_kinds, strict=True):
        assert letter.key == name.encode()
        assert letter.value == HOSTILE[name][0], "the payload is untouched"
        assert letter.headers[:4] == (
            ("odd", b"\x00\xff\xfe"),
            ("sf-id", b"spoofed"),
            ("none", None),
            ("", b""),
        ), "the headers are untouched, the gate's come after them"
        own = dict(letter.headers)
        assert own["sf-source"].startswith(gate.topic("logs").encode())
        assert own["sf-reason"] == b"undecodable"
        assert own["sf-cause"], "the cause is stated"
        assert own["sf-id"] != b"spoofed"

    _, metrics = gate.worker.get("/metrics")
    count = f'reason="undecodable",route="dead_letter",topic="{gate.topic("logs")}"'
    assert f"stream_filter_records_total{{{count}}} {len(dead_kinds)}.0" in metrics.decode()
    assert gate.worker.stop() == 0
    assert gate.verify("logs").returncode == 0


async def test_plain_text_lines_are_never_dead_lettered(gate: Any) -> None:
    """Odd bytes in a line of text read as U+FFFD; an empty line is forwarded as unreadable."""
    gate.prepare({"lines": {"format": "text", "mode": "enforce", "holdout": 0.0}})
    gate.worker.start()
    gate.worker.wait_ready()
    lines = [b"INFO cache hit", b"caf\xe9 \xff\xfe is up", b"", b"   ", None]
    await gate.send("lines", *({"key": b"k", "value": line} for line in lines))
    await gate.settled("lines", len(lines))
    decisions = gate.decisions("lines")
    assert [d["score"] is not None for d in decisions] == [True, True, False, False, False]
    assert [d["reason"] for d in decisions[2:]] == ["unreadable"] * 3
    assert {d["route"] for d in decisions[2:]} == {"forward"}


async def test_a_record_of_10_mb_is_forwarded_whole_or_dead_lettered_by_reference(
    kafka_gate: Any,
) -> None:
    """What the target takes is forwarded; what it does not take goes to the dead letters, without
    its payload where they do not take it either."""
    from aiokafka.admin import AIOKafkaAdminClient, NewTopic

    gate = kafka_gate
    admin = AIOKafkaAdminClient(bootstrap_servers=gate.bootstrap)
    await admin.start()
    large = {"max.message.bytes": str(20 << 20)}
    small = {"max.message.bytes": "100000"}
    await admin.create_topics(
        [
            NewTopic(gate.topic("large"), 1, 1, topic_configs=large),
            NewTopic(gate.topic("largest"), 1, 1, topic_configs=large),
            NewTopic(gate.topic("narrow"), 1, 1, topic_configs=small),
            NewTopic(gate.topic("dead"), 1, 1, topic_configs=large),
        ]
    )
    await admin.close()
    shadow = {**JSON_RULES, "mode": "shadow"}
    gate.prepare({"large": shadow, "largest": {**shadow, "forward_to": gate.topic("narrow")}})
    gate.worker.start()
    gate.worker.wait_ready()
    ten = b'{"service":"a","message":"' + b"x y " * (10 << 18) + b'"}'
    await gate.send("large", {"value": ten}, {"value": FINE})
    await gate.send("largest", {"value": ten}, {"value": FINE})
    forwarded = await gate.read("analysis", 2)
    assert forwarded[0].value == ten
    (letter,) = await gate.read("dead", 1)
    assert letter.value == ten
    assert dict(letter.headers)["sf-reason"] == b"too_large"
    await gate.settled("largest", 2)
    assert gate.verify("largest").returncode == 0


async def test_forwarded_records_keep_what_they_had(gate: Any) -> None:
    """Payload, key, timestamp and the source's headers are as they were; the gate's headers say
    the decision."""
    gate.prepare({"logs": {**JSON_RULES, "mode": "shadow"}})
    gate.worker.start()
    gate.worker.wait_ready()
    await gate.send(
        "logs",
        {
            "value": FINE,
            "key": b"k",
            "headers": [("trace", b"t1")],
            "timestamp_ms": 1_700_000_000_123,
        },
    )
    (record,) = await gate.read("analysis", 1)
    assert (record.value, record.key, record.timestamp) == (FINE, b"k", 1_700_000_000_123)
    assert record.headers[0] == ("trace", b"t1")
    headers = dict(record.headers)
    assert headers["sf-source"] == f"{gate.topic('logs')}/0/0".encode()
    assert headers["sf-reason"] in {b"shadow", b"important", b"ambiguous"}
    assert 0.0 <= float(headers["sf-score"]) <= 1.0
    assert {"sf-id", "sf-verdict", "sf-policy", "sf-model"} <= set(headers)
