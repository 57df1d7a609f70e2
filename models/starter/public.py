"""How the starter does on logs and events of real systems: evaluated, never trained on.

    python -m models.starter.public FOLDER [PACK]

FOLDER holds `loghub.jsonl.gz` (lines of logpai/loghub: source, component, message, important) and
`panther.jsonl.gz` (test events of panther-labs/panther-analysis: source, event, important).
"""

import argparse
import gzip
import json
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.scouts import figure
from stream_filter.app.figures import keyword_scores
from stream_filter.core.canonical import canonicalize
from stream_filter.core.ranking import auc, forwarded_share
from stream_filter.models.manifest import Quality
from stream_filter.models.pack import load_pack
from stream_filter.models.staged_scorer import StagedScorer

DEVELOPED_ON = ("Android", "BGL", "HDFS", "Zookeeper")
"""Systems whose figures were looked at while the lines were written; the others only at the end."""

Score = Callable[[Sequence[str]], NDArray[Any]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Labelled:
    """Canonical texts of one source, and which are important."""

    texts: list[str]
    important: NDArray[np.bool_]

    @property
    def has_both(self) -> bool:
        return bool(self.important.any() and not self.important.all())


def public_figures(score: Score, folder: Path) -> list[Quality]:
    """Macro-averaged AUC over the systems, each system's own, and panther's. The level is not
    read; the text is component and message, or the whole event as JSON."""
    systems = {name: data for name, data in logs(folder).items() if data.has_both}
    by_name = {name: _auc(score, data) for name, data in systems.items()}
    late = [name for name in by_name if name not in DEVELOPED_ON]
    pack, rule = "this pack", "a keyword rule"
    found = [
        figure("auc, macro-averaged", _mean(by_name.values()), f"{len(by_name)} systems of loghub"),
        figure(
            "auc, macro-averaged, of a keyword rule",
            _mean(_auc(keyword_scores, data) for data in systems.values()),
            f"{len(by_name)} systems of loghub",
        ),
        figure(
            "auc, macro-averaged",
            _mean(by_name[name] for name in late),
            f"{len(late)} of these that were looked at once, at the end",
        ),
    ]
    found += [figure("auc", value, f"loghub, {name}") for name, value in by_name.items()]
    events = security(folder)
    share = float(events.important.mean())
    for name, scores in ((pack, score(events.texts)), (rule, keyword_scores(events.texts))):
        ranked = np.asarray(scores, np.float64)
        weights = np.ones(len(ranked))
        split = f"panther, {len(ranked):,} security events, {share:.0%} important, {name}"
        found += [
            figure("auc", auc(ranked, events.important, weights), split),
            figure(
                "forwarded share at recall 0.9",
                forwarded_share(ranked, events.important, weights, 0.9),
                split,
            ),
        ]
    return found


def logs(folder: Path) -> dict[str, Labelled]:
    """The labelled systems of loghub."""
    texts: dict[str, list[str]] = defaultdict(list)
    truth: dict[str, list[bool]] = defaultdict(list)
    for row in _rows(folder / "loghub.jsonl.gz"):
        if row["important"] is not None:
            texts[row["source"]].append(canonicalize(f"{row['component'] or ''} {row['message']}"))
            truth[row["source"]].append(row["important"])
    return {
        name: Labelled(texts=texts[name], important=np.array(truth[name])) for name in sorted(texts)
    }


def security(folder: Path) -> Labelled:
    """The events of panther, as JSON text behind their log type."""
    rows = list(_rows(folder / "panther.jsonl.gz"))
    return Labelled(
        texts=[canonicalize(f"{row['source']} {json.dumps(row['event'])}") for row in rows],
        important=np.array([row["important"] for row in rows]),
    )


def _rows(path: Path) -> Iterator[dict[str, Any]]:
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        yield from map(json.loads, lines)


def _auc(score: Score, data: Labelled) -> float:
    distinct, inverse = np.unique(np.array(data.texts), return_inverse=True)
    scores = np.asarray(score(distinct.tolist()), np.float64)[inverse]
    return auc(scores, data.important, np.ones(len(scores)))


def _mean(values: Any) -> float:
    return float(np.mean(list(values)))


def main() -> None:
    """Command line entry."""
    parser = argparse.ArgumentParser(description="The starter on public logs.")
    parser.add_argument("folder", type=Path)
    parser.add_argument(
        "pack", type=Path, nargs="?", default=Path(__file__).parents[1] / "triage-starter"
    )
    arguments = parser.parse_args()
    scorer = StagedScorer(load_pack(arguments.pack), threads=2)
    for found in public_figures(scorer.score, arguments.folder):
        print(f"{found.value:8.4f}  {found.metric}  ({found.split})")


if __name__ == "__main__":
    main()
