"""A source that forgets sooner than the policy's `undo_for`, on Apache Kafka."""

import asyncio
import contextlib
from typing import Any

import pytest
from structlog.testing import capture_logs

from stream_filter.app.policy_file import load_policy
from stream_filter.app.settings import load_settings
from stream_filter.app.undo_guard import guard_undo
from stream_filter.core.policy import Policy
from stream_filter.kafka.topics import TopicAdmin

HOUR_MS = 60 * 60 * 1000


@pytest.mark.slow
async def test_a_short_retention_is_told_once(kafka_gate: Any) -> None:
    """`check` warns of a topic that keeps its records for less than `undo_for`; the guard of a
    worker logs it once, however often it looks. What keeps them long enough, for ever, or for an
    entry that asks nothing, is not named."""
    gate = kafka_gate
    kept = {"short": HOUR_MS, "long": 48 * HOUR_MS, "ever": -1, "free": HOUR_MS}
    async with TopicAdmin(load_settings(None, {"bootstrap": gate.bootstrap}).connection()) as admin:
        for name, retention_ms in kept.items():
            await admin.create(
                gate.topic(name),
                partitions=1,
                replication=1,
                configs={"retention.ms": str(retention_ms)},
            )
    gate.prepare(
        {name: {"format": "text", "undo_for": None if name == "free" else "1d"} for name in kept}
    )
    settings, policy = load_settings(gate.settings_file, {}), load_policy(gate.policy_file)

    checked = gate.run("check", gate.policy_file)
    assert checked.returncode == 0, checked.stderr
    warnings = [line for line in checked.stderr.splitlines() if "undo_for" in line]
    assert len(warnings) == 1
    assert f"'{gate.topic('short')}' keeps records for 1h" in warnings[0]

    looks = 0

    def in_force() -> Policy:
        nonlocal looks
        looks += 1
        return policy

    with capture_logs() as logs:
        guarding = asyncio.create_task(guard_undo(settings, in_force, every_s=0.2))
        async with asyncio.timeout(60):
            while looks < 5:  # noqa: ASYNC110  nobody tells
                await asyncio.sleep(0.05)
        guarding.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await guarding
    told = [line for line in logs if line["event"].startswith("retention.")]
    assert [line["event"] for line in told] == ["retention.short"]
    assert gate.topic("short") in told[0]["problem"]
