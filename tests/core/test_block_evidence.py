"""What a block says for the evidence: which of its events count as what, and which were shown."""

import numpy as np

from stream_filter.core.block_evidence import StratumKey, block_evidence
from stream_filter.core.decision import Decisions, Reason, Route, Verdict
from stream_filter.core.ledger import Block, BlockHeader
from stream_filter.core.position import event_id

KEY = b"secret"
ROWS = [
    # verdict, route, reason, probability, slice, and what it counts as
    (Verdict.KEEP, Route.FORWARD, Reason.IMPORTANT, 1.0, 0),
    (Verdict.ABSTAIN, Route.FORWARD, Reason.AMBIGUOUS, 1.0, 1),
    (Verdict.DROP, Route.FORWARD, Reason.NOVEL, 1.0, 0),
    (Verdict.DROP, Route.DISCARD, Reason.BELOW_THRESHOLD, 0.01, 0),
    (Verdict.KEEP, Route.FORWARD, Reason.HOLDOUT, 0.01, 0),
    (Verdict.DROP, Route.FORWARD, Reason.SHADOW, 1.0, 0),
    (Verdict.KEEP, Route.FORWARD, Reason.SHADOW, 1.0, 0),
    (Verdict.DROP, Route.DISCARD, Reason.RULE, 0.0, -1),
    (Verdict.KEEP, Route.FOLD, Reason.DUPLICATE, 0.0, 0),
    (Verdict.ABSTAIN, Route.DEAD_LETTER, Reason.UNDECODABLE, 0.0, -1),
    (Verdict.ABSTAIN, Route.DEFER, Reason.OVER_BUDGET, 1.0, 1),
]


def a_block(**header: object) -> Block:
    verdict, route, reason, probability, slices = zip(*ROWS, strict=True)
    values = {
        **{"topic": "logs", "partition": 2, "first_offset": 100, "last_offset": 119},
        **{"rows": len(ROWS), "policy_id": "0" * 16, "model_id": "1" * 16, "mask_set": "m"},
        **{"worker": "w", "delivery": "exactly_once", "decided_at_ms": 5_678},
        **{"first_timestamp_ms": 0, "last_timestamp_ms": 10**15},
        **{"entry_id": "2" * 16, "epoch_opened_ms": 1_000, "epoch_closes_ms": 9_000},
    }
    return Block(
        header=BlockHeader(**{**values, **header}),  # type: ignore[arg-type]
        offsets=100 + np.arange(len(ROWS)) * 2,
        text_digests=np.zeros(len(ROWS), np.uint64),
        decisions=Decisions(
            score=np.arange(len(ROWS), dtype=np.float32) / 10,
            verdict=np.array(verdict, np.uint8),
            route=np.array(route, np.uint8),
            reason=np.array(reason, np.uint8),
            probability=np.array(probability, np.float32),
        ),
        slice=np.array(slices, np.int16),
        slice_labels=("auth", "pay"),
    )


def test_each_row_is_in_the_stratum_that_it_belongs_to() -> None:
    """Dropped is what is discarded or held out, and in shadow what would be; folded rows count as
    forwarded and are shown to nobody; dead letters are nothing. Probabilities are those of the
    policy, not their nearest float32."""
    found = block_evidence(a_block(), key=KEY)
    assert found is not None
    counts = dict(zip(found.strata, zip(found.events, found.folded, strict=True), strict=True))
    assert counts == {
        StratumKey(False, 1.0, "auth"): (4, 1),  # important, novel, kept in shadow, folded
        StratumKey(False, 1.0, "pay"): (2, 0),  # ambiguous, deferred
        StratumKey(True, 0.01, "auth"): (2, 0),  # below, held out
        StratumKey(True, 1.0, "auth"): (1, 0),
        StratumKey(True, 0.0, ""): (1, 0),
    }
    shown = [0, 1, 2, 4, 5, 6, 10]
    assert [row.tobytes().hex() for row in found.ids] == [
        event_id(f"logs/2/{100 + 2 * row}", key=KEY) for row in shown
    ]
    assert [found.strata[s].is_drop for s in found.stratum] == [r in {4, 5} for r in shown]
    assert found.score.tolist() == [np.float32(row / 10) for row in shown]
    assert (found.offsets, found.at_ms) == ((100, 120), 5_000)
    assert (found.epoch.policy_id, found.epoch.opened_ms) == ("2" * 16, 1_000)


def test_rows_that_were_read_before_are_left_out() -> None:
    """At least once, a block may begin where another one that counts has ended already."""
    found = block_evidence(a_block(), key=KEY, from_offset=112)
    assert found is not None
    assert found.offsets == (112, 120)
    assert int(found.events.sum()) == 4
    assert block_evidence(a_block(), key=KEY, from_offset=120) is None


def test_a_topic_without_a_target_gives_no_evidence() -> None:
    assert block_evidence(a_block(entry_id=""), key=KEY) is None
