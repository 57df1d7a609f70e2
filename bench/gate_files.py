"""The gate's policy and settings for a benchmark, with thresholds that forward a stated share.

The peers' rule forwards a few percent; for the gate to send as much as they do, its thresholds
are quantiles of the pack's scores on the stream itself.
"""

from __future__ import annotations

import socket
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from bench.streams import Stream
from stream_filter.core.policy import Format, Mode, Thresholds, TopicPolicy
from stream_filter.core.template import parse_template
from stream_filter.formats.text_reader import text_reader
from stream_filter.gate.ports import Texts
from stream_filter.models.pack import load_pack
from stream_filter.models.staged_scorer import StagedScorer


@dataclass(frozen=True, slots=True, kw_only=True)
class GateFiles:
    """Where the gate's files are."""

    policy: Path
    settings: Path


def canonical_texts(stream: Stream, count: int) -> Texts:
    """The canonical texts of the first ``count`` events, made by the gate's own reader."""
    rules = TopicPolicy(
        topic="bench",
        format=Format.JSON,
        text=parse_template(stream.template),
        model="bench",
        model_id=None,
        thresholds=Thresholds(drop_below=0.0, keep_above=1.0),
        mode=Mode.ENFORCE,
        holdout=0.0,
        forward_to="bench-out",
    )
    return text_reader(rules).read(list(islice(stream.values(count), count)))


def thresholds_for(share: float, stream: Stream, count: int, pack: Path) -> Thresholds:
    """Thresholds under which at most ``share`` of the first ``count`` events is forwarded.

    Half of that share is kept, the other half is in the band between, where the gate abstains.
    """
    texts = canonical_texts(stream, count)
    scores = StagedScorer(load_pack(pack), threads=2).score(texts.distinct)
    drawn = np.sort(scores[texts.codes[texts.codes >= 0]])
    drop_below, keep_above = (
        float(np.nextafter(drawn[int(len(drawn) * (1 - part)) - 1], np.float32(1)))
        for part in (share, share / 2)
    )
    return Thresholds(drop_below=drop_below, keep_above=max(drop_below, keep_above))


def write_gate_files(
    folder: Path,
    *,
    stream: Stream,
    source: str,
    target: str,
    pack: Path,
    thresholds: Thresholds,
    more: Mapping[str, Any],
) -> GateFiles:
    """Policy and settings as a user would write them; everything not named keeps its default.
    `more`: keys that the topic has besides."""
    folder.mkdir(parents=True, exist_ok=True)
    policy = {
        "version": 1,
        "topics": {
            source: {
                "format": "json",
                "text": stream.template,
                "model": pack.name,
                "raw": {
                    "drop_below": thresholds.drop_below,
                    "keep_above": thresholds.keep_above,
                },
                "mode": "enforce",
                "forward_to": target,
                **more,
            }
        },
    }
    settings = {
        "model_dir": str(pack.parent),
        **gate_topics(target),
        "key": "a benchmark keeps no secrets",
        "web": {"host": "127.0.0.1", "port": _free_port()},
    }
    files = GateFiles(policy=folder / "policy.yaml", settings=folder / "settings.yaml")
    files.policy.write_text(yaml.safe_dump(policy, sort_keys=False))
    files.settings.write_text(yaml.safe_dump(settings, sort_keys=False))
    return files


def gate_topics(target: str) -> dict[str, str]:
    """The gate's own topics that belong to a forward topic, by their setting."""
    return {
        "ledger_topic": f"{target}.ledger",
        "memory_topic": f"{target}.memory",
        "dead_letter_topic": f"{target}.dead-letters",
        "deferred_topic": f"{target}.deferred",
    }


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
