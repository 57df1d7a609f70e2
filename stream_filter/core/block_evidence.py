"""What a block of the ledger says for the evidence: how many events of which kind, and which of
them the analyst has been shown."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from stream_filter.core.decision import Reason, Route, Verdict
from stream_filter.core.epochs import Epoch
from stream_filter.core.ledger import Block
from stream_filter.core.position import keyed_hash


@dataclass(frozen=True, slots=True, order=True)
class StratumKey:
    """Events that had the same chance to be shown."""

    is_drop: bool
    """A would-be drop: discarded, held out, or forwarded only because the gate does not act."""
    probability: float
    slice: str


@dataclass(frozen=True, slots=True, kw_only=True)
class BlockEvidence:
    """Of one block of a topic with a target. s strata, n events that were shown."""

    epoch: Epoch
    partition: int
    offsets: tuple[int, int]
    """Source offsets [first, next)."""
    at_ms: int
    """When the block was decided, to the second: the time of all its events here. Records' own
    timestamps come from outside and may be anything."""
    strata: tuple[StratumKey, ...]
    events: NDArray[np.int64]
    """Shape (s,)."""
    folded: NDArray[np.int64]
    """Shape (s,): of these, those that were folded. Nobody is asked about them."""
    ids: NDArray[np.uint8]
    """Shape (n, 16): the bytes of the `sf-id`s."""
    stratum: NDArray[np.int16]
    """Shape (n,): index into `strata`."""
    score: NDArray[np.float32]
    """Shape (n,); NaN where there is none."""


def block_evidence(block: Block, *, key: bytes, from_offset: int = 0) -> BlockEvidence | None:
    """Read a block; rows before `from_offset` have been read before. None where the topic has no
    target, or nothing is left. `key`: the gate's secret, which makes the ids.

    Would-be drops are what is discarded or held out, and in shadow mode or outside the ramp what
    would be. All else that is forwarded, deferred or folded counts as forwarded. Dead letters are
    neither. A folded event has no verdict of its own, so it is one that stays silent: for the
    lower end of recall unimportant, for the upper end important.
    """
    header, decisions = block.header, block.decisions
    first = max(header.first_offset, from_offset)
    if not header.entry_id or first > header.last_offset:
        return None
    fresh = block.offsets >= first
    route, reason = decisions.route, decisions.reason
    sent = fresh & ((route == Route.FORWARD) | (route == Route.DEFER))
    # What a budget would drop is held out whatever its verdict.
    would_drop = (reason == Reason.HOLDOUT) | (
        (decisions.verdict == Verdict.DROP) & (reason == Reason.SHADOW)
    )
    is_drop = fresh & ((route == Route.DISCARD) | (sent & would_drop))
    folded = fresh & (route == Route.FOLD)
    rows = np.flatnonzero(sent | is_drop | folded)
    strata, stratum = _strata(block, rows, is_drop)
    shown = sent[rows]
    counts = [
        np.bincount(stratum[of], minlength=len(strata)).astype(np.int64)
        for of in (slice(None), folded[rows])
    ]
    return BlockEvidence(
        epoch=Epoch(
            topic=header.topic,
            policy_id=header.entry_id,
            model_id=header.model_id,
            opened_ms=header.epoch_opened_ms,
            closes_ms=header.epoch_closes_ms,
        ),
        partition=header.partition,
        offsets=(first, header.last_offset + 1),
        at_ms=header.decided_at_ms // 1000 * 1000,
        strata=strata,
        events=counts[0],
        folded=counts[1],
        ids=_event_ids(block, rows[shown], key),
        stratum=stratum[shown],
        score=decisions.score[rows[shown]],
    )


def _strata(
    block: Block, rows: NDArray[np.intp], is_drop: NDArray[np.bool_]
) -> tuple[tuple[StratumKey, ...], NDArray[np.int16]]:
    """The strata of a block's rows, and which each row is in."""
    decisions = block.decisions
    is_folded = decisions.route[rows] == Route.FOLD
    chance = np.where(is_folded, np.float32(1.0), decisions.probability[rows]).astype(np.float32)
    # One whole number for each row: rows are told apart without comparing columns.
    codes = chance.view(np.uint32).astype(np.int64) << 17
    if block.slice is not None:
        codes |= (block.slice[rows].astype(np.int64) + 1) << 1
    codes |= is_drop[rows]
    distinct, first, inverse = np.unique(codes, return_index=True, return_inverse=True)
    strata = tuple(
        StratumKey(
            is_drop=bool(code & 1),
            # The ledger's float32, as the policy wrote it.
            probability=float(f"{chance[at]:.7g}"),
            slice=block.slice_labels[(code >> 1 & 0xFFFF) - 1] if code >> 1 & 0xFFFF else "",
        )
        for code, at in zip(distinct.tolist(), first.tolist(), strict=True)
    )
    return strata, inverse.astype(np.int16)


def _event_ids(block: Block, rows: NDArray[np.intp], key: bytes) -> NDArray[np.uint8]:
    identity = keyed_hash(key)
    prefix = f"{block.header.topic}/{block.header.partition}/".encode()
    digests = []
    for offset in block.offsets[rows].tolist():
        of_event = identity.copy()
        of_event.update(b"%s%d" % (prefix, offset))
        digests.append(of_event.digest())
    return np.frombuffer(b"".join(digests), np.uint8).reshape(-1, 16)
