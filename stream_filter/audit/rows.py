"""Part of a block."""

import numpy as np
from numpy.typing import NDArray

from stream_filter.core.decision import Decisions
from stream_filter.core.ledger import Block


def rows_of(block: Block, rows: slice | NDArray[np.bool_]) -> Block:
    """Some rows of a block, without rules, slices and challenger; its header says nothing of
    them."""
    old = block.decisions
    return Block(
        header=block.header,
        offsets=block.offsets[rows],
        text_digests=block.text_digests[rows],
        is_cut=None if block.is_cut is None else block.is_cut[rows],
        decisions=Decisions(
            score=old.score[rows],
            verdict=old.verdict[rows],
            route=old.route[rows],
            reason=old.reason[rows],
            probability=old.probability[rows],
        ),
    )
