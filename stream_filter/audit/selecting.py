"""Which events of a topic a condition selects, beside blocks read in order."""

import numpy as np
from numpy.typing import NDArray

from stream_filter.audit.recorded import RecordedLedger
from stream_filter.audit.snapshot import Window
from stream_filter.audit.views import sql_problem
from stream_filter.core.errors import ConfigError
from stream_filter.core.ledger import Block

_ROWS = 100_000
_MOST_OFFSETS = 1 << 33


class Selection:
    """A bit for each offset of a window."""

    def __init__(self, ledger: RecordedLedger, topic: str, window_ms: Window, where: str) -> None:
        """Raises ConfigError."""
        blocks = ledger.blocks(topic, window_ms)
        spans = zip(
            *(blocks[n].to_pylist() for n in ("partition", "first_offset", "last_offset")),
            strict=True,
        )
        bounds: dict[int, tuple[int, int]] = {}
        for partition, first, last in spans:
            low, high = bounds.get(partition, (first, last))
            bounds[partition] = min(low, first), max(high, last)
        if sum(high - low for low, high in bounds.values()) > _MOST_OFFSETS:
            raise ConfigError("--where: the window has too many offsets: narrow --from and --to")
        self._first = {p: low // 8 * 8 for p, (low, _) in bounds.items()}
        self._bits = {
            p: np.zeros((high - self._first[p]) // 8 + 1, np.uint8)
            for p, (_, high) in bounds.items()
        }
        chosen = ledger.decisions(topic, window_ms, where).project('"partition", "offset"')
        with sql_problem("--where"):
            reader = chosen.to_arrow_reader(_ROWS)
            for batch in reader:
                self._set(*(column.to_numpy() for column in batch.columns))

    def _set(self, partitions: NDArray[np.int32], offsets: NDArray[np.int64]) -> None:
        for partition in np.unique(partitions).tolist():
            at = offsets[partitions == partition] - self._first[partition]
            bit = (np.uint8(1) << (at & 7).astype(np.uint8)).astype(np.uint8)
            np.bitwise_or.at(self._bits[partition], at >> 3, bit)

    def of(self, block: Block) -> NDArray[np.bool_]:
        """Shape (n,): which of a block's rows."""
        partition = block.header.partition
        at = block.offsets - self._first[partition]
        bits = self._bits[partition][at >> 3] >> (at & 7).astype(np.uint8)
        selected: NDArray[np.bool_] = (bits & np.uint8(1)).astype(np.bool_)
        return selected
