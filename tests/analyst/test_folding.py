"""Batching and folding: far fewer tokens, and the same verdicts."""

import re
from pathlib import Path

import orjson

from stream_filter.analyst.config import load_analyst
from stream_filter.core.canonical import canonicalize
from stream_filter.testing.stand_in import StandIn
from tests.analyst.without_broker import judged

_TROUBLE = re.compile("error|fail|fatal|refused|denied|exception|invalid|timeout|panic", re.I)


def truth(text: str) -> bool:
    """A deterministic judge of what a text says, not of its numbers."""
    return bool(_TROUBLE.search(canonicalize(text)))


async def test_a_fifth_of_the_tokens_and_the_same_verdicts(
    tmp_path: Path, log_lines: list[bytes]
) -> None:
    """Of 600 real log lines, spread over all systems: one event a prompt against twenty texts a
    prompt, equal ones asked once. Every verdict is the same, at most a fifth of the tokens."""
    values = log_lines[:: len(log_lines) // 600][:600]
    tokens, verdicts = {}, {}
    for name, batch, topic in (
        ("alone", {"events": 1}, {"fold": "off"}),
        ("folded", {"events": 20}, {}),
    ):
        async with StandIn(truth) as server:
            path = tmp_path / f"{name}.yaml"
            endpoint = {"base_url": server.base_url, "model": "m"}
            document = {"version": 1, "endpoint": endpoint, "batch": batch, "topics": {"t": topic}}
            document["cache"] = {"entries": 0}
            path.write_bytes(orjson.dumps(document))
            found, _ = await judged(load_analyst(path), values)
            verdicts[name] = {n: v["important"] for n, v in found.items()}
            tokens[name] = (server.input_tokens + server.output_tokens) / len(values)
            assert sum(v["tokens"] for v in found.values()) == round(tokens[name] * len(values))
    assert len(verdicts["alone"]) == len(values)
    assert verdicts["alone"] == verdicts["folded"]
    assert tokens["folded"] <= tokens["alone"] / 5
    print(f"\ntokens an event: {tokens['alone']:.0f} alone, {tokens['folded']:.1f} folded")
