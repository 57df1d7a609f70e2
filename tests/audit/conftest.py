"""Stores of sealed blocks, made without a broker."""

from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from stream_filter.core.chain import ChainEnd
from stream_filter.core.decision import Decisions, Reason, Route, Verdict
from stream_filter.core.ledger import Block, BlockHeader
from stream_filter.store.block_facts import facts_of
from stream_filter.store.decision_file import encode_file, stored
from stream_filter.store.folder import Folder
from stream_filter.store.stretches import Stretch, day_of

MakeStore = Callable[[Iterable[Block]], Path]
ROWS = 10
NOW_MS = 1_764_000_000_000
MINUTE_MS = 60_000
TOPIC = "payments.logs"


def make_block(partition: int, number: int, *, policy_id: str = "0123456789abcdef") -> Block:
    """Ten records: two kept, one held out, six dropped, one by a rule; texts repeat."""
    first = ROWS * number
    reason = np.full(ROWS, Reason.BELOW_THRESHOLD, np.uint8)
    reason[[0, 1, 2, 3]] = [Reason.IMPORTANT, Reason.IMPORTANT, Reason.HOLDOUT, Reason.RULE]
    route = np.full(ROWS, Route.DISCARD, np.uint8)
    route[:3] = Route.FORWARD
    verdict = np.full(ROWS, Verdict.DROP, np.uint8)
    verdict[:2] = Verdict.KEEP
    score = np.linspace(0.9, 0.0, ROWS, dtype=np.float32)
    score[3] = np.nan
    probability = np.full(ROWS, 0.01, np.float32)
    probability[:2] = 1.0
    rule = np.full(ROWS, -1, np.int16)
    rule[3] = 0
    at_ms = NOW_MS + number * MINUTE_MS
    return Block(
        header=BlockHeader(
            topic=TOPIC,
            partition=partition,
            first_offset=first,
            last_offset=first + ROWS - 1,
            rows=ROWS,
            policy_id=policy_id,
            model_id="fedcba9876543210",
            mask_set="masks-2",
            worker="gate-1",
            delivery="exactly_once",
            first_timestamp_ms=at_ms - 500,
            last_timestamp_ms=at_ms - 1,
            decided_at_ms=at_ms,
        ),
        offsets=np.arange(first, first + ROWS),
        text_digests=np.arange(1, ROWS + 1, dtype=np.uint64) + np.uint64(number % 2),
        decisions=Decisions(
            score=score,
            verdict=verdict,
            route=route,
            reason=reason,
            probability=probability,
            rule=rule,
        ),
        rule_labels=("health checks",),
    )


def sealed(blocks: Iterable[Block]) -> list[Block]:
    """Blocks as links of one chain for each partition."""
    ends: dict[int, ChainEnd] = {}
    return [ends.setdefault(b.header.partition, ChainEnd()).add(b) for b in blocks]


def write_store(
    path: Path, blocks: Iterable[Block], *, per_file: int = 4, first: int = 0
) -> list[Stretch]:
    """Blocks as they come from one partition of the ledger topic, so many to a file."""
    folder, stretches = Folder(str(path)), []
    numbered = list(enumerate(blocks, first))
    for at in range(0, len(numbered), per_file):
        part = numbered[at : at + per_file]
        header = part[0][1].header
        stretch = Stretch(
            kind="decisions",
            topic=header.topic,
            day=day_of(header.decided_at_ms),
            partition=0,
            first=part[0][0],
            next=part[-1][0] + 1,
        )
        folder.put(
            stretch.name,
            encode_file(
                stored(block, facts_of(block, place=(0, offset), block_bytes=100))
                for offset, block in part
            ),
        )
        stretches.append(stretch)
    return stretches


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """Two partitions with twelve blocks each, in six files."""
    blocks = sealed(make_block(partition, n) for n in range(12) for partition in range(2))
    write_store(tmp_path / "store", blocks)
    return tmp_path / "store"


@pytest.fixture
def make_store(tmp_path: Path) -> MakeStore:
    """Makes a store of blocks as they are."""

    def make(blocks: Iterable[Block]) -> Path:
        path = tmp_path / "made"
        write_store(path, blocks)
        return path

    return make


def with_header(block: Block, **values: object) -> Block:
    """A block that says otherwise, its digest left as it was."""
    return replace(block, header=replace(block.header, **values))  # type: ignore[arg-type]
