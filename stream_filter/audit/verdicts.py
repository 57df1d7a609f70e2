"""The analyst's verdicts beside the rows of blocks."""

import numpy as np
from numpy.typing import NDArray

from stream_filter.audit.recorded import RecordedLedger
from stream_filter.audit.views import asked
from stream_filter.core.evidence import IMPORTANT, NO_VERDICT, UNIMPORTANT
from stream_filter.core.ledger import Block
from stream_filter.core.position import keyed_hash
from stream_filter.core.what_if import shown_to_analyst

# People override models; of two alike the first counts.
EFFECTIVE = """
    SELECT sf_id, arg_min(important, (judge_kind <> 'person', topic_offset)) AS important
    FROM chosen GROUP BY sf_id
"""


class Verdicts:
    """By `sf-id`, of any time."""

    def __init__(self, ledger: RecordedLedger, *, key: bytes) -> None:
        """`key`: the gate's secret, which makes the ids."""
        found = asked(ledger.verdicts(), EFFECTIVE).fetchall()
        self._said = {
            bytes.fromhex(sf_id): IMPORTANT if important else UNIMPORTANT
            for sf_id, important in found
        }
        self._identity = keyed_hash(key)

    def __len__(self) -> int:
        return len(self._said)

    def on(self, block: Block) -> NDArray[np.int8]:
        """Shape (n,): what was said of each row, NO_VERDICT of what was not shown."""
        said = np.full(len(block.offsets), NO_VERDICT, np.int8)
        if not self._said:
            return said
        rows = np.flatnonzero(shown_to_analyst(block.decisions))
        prefix = f"{block.header.topic}/{block.header.partition}/".encode()
        get, identity = self._said.get, self._identity
        verdicts = []
        for offset in block.offsets[rows].tolist():
            of_event = identity.copy()
            of_event.update(b"%s%d" % (prefix, offset))
            verdicts.append(get(of_event.digest(), NO_VERDICT))
        said[rows] = verdicts
        return said
