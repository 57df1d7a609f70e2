"""What goes wrong has a stated outcome: packs, dead-letter limits, brokers, topics."""

import asyncio
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

REPO = Path(__file__).parents[2]
FINE = b'{"service":"auth","level":"INFO","message":"cache hit for user 42"}'
RULES = {"text": "{service} {level} {message}", "mode": "enforce", "holdout": 0.0}


async def test_a_pack_deleted_while_running_costs_nothing_and_is_told(gate: Any) -> None:
    """The worker goes on with the pack in memory and says that a restart will not find it."""
    gate.model_dir = gate.folder / "models"
    shutil.copytree(REPO / "models" / "demo-platform", gate.model_dir / "demo-platform")
    gate.prepare({"logs": RULES})
    gate.worker.start()
    gate.worker.wait_ready()
    shutil.rmtree(gate.model_dir)
    async with asyncio.timeout(30):
        while True:
            if any(line["event"] == "pack.vanished" for line in gate.worker.log_lines()):
                break
            await asyncio.sleep(0.2)
    await gate.send("logs", {"value": FINE})
    await gate.settled("logs", 1)
    assert gate.decisions("logs")[0]["score"] is not None
    assert b'stream_filter_pack_intact{pack="demo-platform"} 0.0' in gate.worker.get("/metrics")[1]
    assert gate.worker.stop() == 0


@pytest.mark.slow
async def test_a_missing_pack_forwards_everything_until_it_is_there(gate: Any) -> None:
    """Without a pack the worker forwards as `degraded`, is not ready, and takes the pack up when
    it appears."""
    gate.model_dir = gate.folder / "models"
    gate.prepare({"logs": RULES})
    gate.worker.start()
    await gate.send("logs", {"value": FINE})
    await gate.settled("logs", 1)
    first = gate.decisions("logs")[0]
    assert (first["route"], first["reason"], first["model_id"]) == ("forward", "degraded", "")
    status, body = gate.worker.get("/readyz")
    assert status == 503
    assert b'"packs_loaded":false' in body
    shutil.copytree(REPO / "models" / "demo-platform", gate.model_dir / "demo-platform")
    await asyncio.sleep(10)
    await gate.send("logs", {"value": FINE}, {"value": FINE})
    await gate.settled("logs", 3)
    assert gate.decisions("logs")[-1]["score"] is not None
    gate.worker.wait_ready()


async def test_a_flipped_byte_in_a_pack_is_refused_by_digest(gate: Any) -> None:
    """`check` names the file and exits 2; a worker forwards everything and says why."""
    gate.model_dir = gate.folder / "models"
    shutil.copytree(REPO / "models" / "demo-platform", gate.model_dir / "demo-platform")
    graph = gate.model_dir / "demo-platform" / "model.onnx"
    data = bytearray(graph.read_bytes())
    data[len(data) // 2] ^= 1
    graph.write_bytes(data)
    gate.prepare({"logs": RULES})
    checked = gate.run("check", gate.policy_file)
    assert checked.returncode == 2
    assert "model.onnx" in checked.stderr
    assert "digest" in checked.stderr
    assert "Traceback" not in checked.stderr
    gate.worker.start()
    await gate.send("logs", {"value": FINE})
    await gate.settled("logs", 1)
    assert gate.decisions("logs")[0]["reason"] == "degraded"


async def test_a_bad_deploy_stops_the_worker_instead_of_flooding_the_dead_letters(
    gate: Any,
) -> None:
    """Past the limit the worker ends with 1 and one clear line, and writes nothing of the batch."""
    gate.settings_lines = ["dead_letters: {max_run: 20}"]
    gate.prepare({"logs": RULES})
    await gate.send("logs", *({"value": b"<xml/>"} for _ in range(50)))
    gate.worker.start()
    code = await asyncio.to_thread(gate.worker.wait, timeout_s=60)
    assert code == 1
    assert "50 records in a row cannot be decoded (limit 20)" in gate.worker.log()
    assert "Traceback" not in gate.worker.log()


def test_exactly_once_is_refused_where_the_broker_cannot(
    embedded_bootstrap: str, tmp_path: Path
) -> None:
    """Asked for explicitly and impossible, the worker does not start and says why."""
    policy = tmp_path / "policy.yaml"
    policy.write_text(
        "version: 1\ntopics:\n  refused.logs:\n    text: '{message}'\n    model: demo-platform\n"
        "    raw: {drop_below: 0.2, keep_above: 0.8}\n"
    )
    common = ["--policy", str(policy), "--bootstrap", embedded_bootstrap]
    command = [sys.executable, "-m", "stream_filter"]
    subprocess.run([*command, "topics", "create", "--with-sources", *common], check=True)
    refused = subprocess.run(
        [*command, "run", *common, "--delivery", "exactly_once"],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert refused.returncode == 2
    assert "exactly_once is impossible" in refused.stderr
    assert "Traceback" not in refused.stderr


async def test_missing_topics_are_named(gate: Any) -> None:
    """A worker without its topics does not start and says how to create them."""
    gate.prepare({"logs": RULES})
    text = gate.policy_file.read_text().replace(gate.topic("analysis"), gate.topic("nowhere"))
    gate.policy_file.write_text(text)
    refused = gate.run("run", "--policy", gate.policy_file)
    assert refused.returncode == 2
    assert f"target topic '{gate.topic('nowhere')}' does not exist" in refused.stderr
    assert "topics create" in refused.stderr
    assert "Traceback" not in refused.stderr
