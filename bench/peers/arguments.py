"""The command line that all peers share."""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path

from bench.rule import Rule, add_rule_arguments, rule_of


@dataclass(frozen=True, slots=True, kw_only=True)
class PeerArguments:
    """Where a peer reads and writes. ``folder`` is its own, for whatever state it keeps."""

    bootstrap: str
    source: str
    target: str
    group: str
    folder: Path
    rule: Rule


def peer_arguments(about: str | None) -> PeerArguments:
    """Read them; every peer is started with exactly these."""
    parser = argparse.ArgumentParser(description=about)
    for name in ("--bootstrap", "--source", "--target", "--group"):
        parser.add_argument(name, required=True)
    parser.add_argument("--folder", type=Path, required=True)
    add_rule_arguments(parser)
    given = parser.parse_args()
    return PeerArguments(
        bootstrap=given.bootstrap,
        source=given.source,
        target=given.target,
        group=given.group,
        folder=given.folder,
        rule=rule_of(given),
    )
