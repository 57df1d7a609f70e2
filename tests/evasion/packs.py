"""The committed packs under attack, and the table of it: `make evasion`."""

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Literal

import numpy as np
import orjson

from stream_filter.app.evasion import ATTACKS, dropped_by_attack
from stream_filter.core.canonical import canonicalize
from stream_filter.core.ranking import threshold_at
from stream_filter.demo.generator import PlatformStream
from stream_filter.models.pack import load_pack
from stream_filter.models.staged_scorer import StagedScorer
from tests.evasion.lines import IMPORTANT, ROUTINE

MODELS = Path(__file__).parents[2] / "models"
STARTER_RECALL = 0.99
"""The starter has no threshold of its own: here the one that keeps so many of the lines."""
DEMO_THRESHOLD = 0.2
BEYOND_THE_LIMIT = tuple(name for name in ATTACKS if "beyond the limit" in name)


LongTexts = Literal["forward", "score"]


@cache
def dropped(long_texts: LongTexts = "forward") -> Mapping[str, Mapping[str, float]]:
    """By pack and attack: the share of important events that are dropped."""
    return {"triage-starter": _starter(long_texts), "demo-platform": _demo(long_texts)}


def _starter(long_texts: LongTexts) -> dict[str, float]:
    scorer = StagedScorer(load_pack(MODELS / "triage-starter"), threads=1)
    texts = [canonicalize(line) for line in (*IMPORTANT, *ROUTINE)]
    important = np.arange(len(texts)) < len(IMPORTANT)
    scores = scorer.score(texts).astype(np.float64)
    threshold = threshold_at(scores, important, np.ones(len(texts)), STARTER_RECALL)
    return dropped_by_attack(
        scorer.score,
        texts,
        important.astype(float),
        (~important).astype(float),
        threshold,
        long_texts=long_texts,
    )


def _demo(long_texts: LongTexts) -> dict[str, float]:
    """On the demo's own stream, failures of kinds that the pack knows."""
    scorer = StagedScorer(load_pack(MODELS / "demo-platform"), threads=1)
    source = PlatformStream(seed=99, start_ms=1_700_000_000_000, duration_s=100)
    truth = {}
    for second in range(100):
        for event in source.events(second, 100):
            if not event.kind.startswith("unseen/"):
                fields = orjson.loads(event.value)
                text = canonicalize("{service} {level} {message}".format_map(fields))
                truth[text] = event.important
    important = np.array(list(truth.values()))
    return dropped_by_attack(
        scorer.score,
        list(truth),
        important.astype(float),
        (~important).astype(float),
        DEMO_THRESHOLD,
        long_texts=long_texts,
    )


def table() -> str:
    """In Markdown, as docs/packs.md shows it; long texts also where the policy scores them."""
    found, scored = dropped(), dropped("score")
    rows = [f"| attack | {' | '.join(f'`{pack}`' for pack in found)} |", "|---|" + "---|" * 2]
    rows += [
        f"| {name} | {' | '.join(f'{shares[name]:.0%}' for shares in found.values())} |"
        for name in ATTACKS
    ]
    rows += [
        f"| {name}, `long_texts: score` | "
        f"{' | '.join(f'{shares[name]:.0%}' for shares in scored.values())} |"
        for name in BEYOND_THE_LIMIT
    ]
    return "\n".join(rows)
