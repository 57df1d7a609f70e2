"""The chain of blocks."""

from dataclasses import replace

import numpy as np
import pytest

from stream_filter.core.chain import ChainEnd, block_digest, seal
from stream_filter.core.decision import Decisions, Reason, Route, Verdict
from stream_filter.core.ledger import Block, BlockHeader, Challenge

N = 5
BLOCK = Block(
    header=BlockHeader(
        topic="payments.logs",
        partition=3,
        first_offset=100,
        last_offset=109,
        rows=N,
        policy_id="0123456789abcdef",
        model_id="fedcba9876543210",
        mask_set="masks-1",
        worker="gate-1",
        delivery="exactly_once",
        first_timestamp_ms=1,
        last_timestamp_ms=2,
        decided_at_ms=3,
    ),
    offsets=np.arange(100, 100 + N),
    text_digests=np.arange(N, dtype=np.uint64),
    decisions=Decisions(
        score=np.array([0.1, np.nan, 0.3, 0.4, 0.5], np.float32),
        verdict=np.full(N, Verdict.DROP, np.uint8),
        route=np.full(N, Route.DISCARD, np.uint8),
        reason=np.full(N, Reason.BELOW_THRESHOLD, np.uint8),
        probability=np.full(N, 0.01, np.float32),
        rule=np.array([-1, 1, -1, 0, 1], np.int16),
    ),
    rule_labels=("health", "fatal"),
)
# Stated once: whoever proves old blocks needs the same digest for ever.
GOLDEN = "06267b0e7dcea0dded37b4e62b80bca5962e5a5151a2a9ac0b8531369182e78f"


def test_the_digest_is_golden() -> None:
    """A block's digest never changes: it is stored in the next one."""
    assert block_digest(BLOCK) == GOLDEN


def test_how_it_is_said_does_not_matter() -> None:
    """Another NaN, other labels beside those used, another order of them: the same digest."""
    other_nan = np.array([0x7FC00001], np.uint32).view(np.float32)[0]
    score = BLOCK.decisions.score.copy()
    score[1] = other_nan
    decisions = replace(BLOCK.decisions, score=score, rule=np.array([-1, 0, -1, 2, 0], np.int16))
    other = replace(BLOCK, decisions=decisions, rule_labels=("fatal", "unused", "health"))
    assert block_digest(other) == block_digest(BLOCK)
    none = replace(BLOCK.decisions, rule=None)
    unused = replace(BLOCK.decisions, rule=np.full(N, -1, np.int16))
    assert block_digest(replace(BLOCK, decisions=none)) == block_digest(
        replace(BLOCK, decisions=unused)
    )
    assert block_digest(replace(BLOCK, is_cut=np.zeros(N, np.bool_))) == block_digest(BLOCK)


def changed(name: str) -> Block:
    decisions = BLOCK.decisions
    if name in ("policy_id", "worker", "topic", "previous_digest", "overload"):
        return replace(BLOCK, header=replace(BLOCK.header, **{name: "x"}))
    if name == "rule_labels":
        return replace(BLOCK, rule_labels=("health", "fatality"))
    if name == "challenge":
        challenge = Challenge(
            model_id="a", score=decisions.score, verdict=decisions.verdict, reason=decisions.reason
        )
        return replace(BLOCK, challenge=challenge)
    if name == "is_cut":
        return replace(BLOCK, is_cut=np.arange(N) == 2)
    holder = BLOCK if name in ("offsets", "text_digests") else decisions
    values = getattr(holder, name).copy()
    values[2] = values[2] + 1
    if holder is BLOCK:
        return replace(BLOCK, **{name: values})
    return replace(BLOCK, decisions=replace(decisions, **{name: values}))


NAMES = (
    *("policy_id", "worker", "topic", "previous_digest", "overload", "rule_labels", "challenge"),
    *("offsets", "text_digests", "score", "verdict", "route", "reason", "probability", "rule"),
    "is_cut",
)


def test_whatever_is_altered_shows() -> None:
    """Each part of header and rows changes the digest, and each otherwise."""
    digests = {block_digest(changed(name)) for name in NAMES}
    assert len(digests | {block_digest(BLOCK)}) == len(NAMES) + 1


def test_a_sealed_block_proves_itself() -> None:
    """Its digest is of what it says, its predecessor's digest included."""
    sealed = seal(BLOCK, previous_digest="before")
    assert sealed.header.digest == block_digest(sealed) != block_digest(BLOCK)
    assert sealed.header.previous_digest == "before"


def test_the_end_is_remembered() -> None:
    """The next owner of a partition goes on from the last block that was committed; a block that
    does not join it names none."""
    end = ChainEnd()
    first = end.add(BLOCK)
    assert first.header.previous_digest == ""
    taken_over = ChainEnd()
    taken_over.apply(end.changes())
    assert end.changes() == []
    header = replace(BLOCK.header, first_offset=110, last_offset=114)
    second = taken_over.add(replace(BLOCK, header=header))
    assert second.header.previous_digest == first.header.digest
    away = replace(header, first_offset=200, last_offset=204)
    assert taken_over.add(replace(BLOCK, header=away)).header.previous_digest == ""
    with pytest.raises(ValueError, match="numbers"):
        ChainEnd().apply([end.everything()[0]._replace(numbers=(1, 2))])
