"""Which blocks count: of those that overlap, the effective chain."""

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from stream_filter.core.ledger import Span, effective_chain


def effective_rows(blocks: pa.Table) -> NDArray[np.bool_]:
    """Shape (n,): whether each block counts. `blocks`: of the catalogue, sorted by topic,
    partition and first offset."""
    n = len(blocks)
    effective = np.ones(n, np.bool_)
    if n < 2:
        return effective
    topics = blocks["topic"].combine_chunks().dictionary_encode().indices.to_numpy()
    partitions = blocks["partition"].to_numpy()
    first, after = blocks["first_offset"].to_numpy(), blocks["last_offset"].to_numpy() + 1
    begins = np.flatnonzero(np.diff(topics) | np.diff(partitions)) + 1
    sequence = blocks["ledger_offset"].to_numpy()
    for start, end in zip([0, *begins], [*begins, n], strict=True):
        if np.all(first[start + 1 : end] >= after[start : end - 1]):
            continue  # nothing overlaps
        spans = [
            Span(*each)
            for each in zip(
                *(column[start:end].tolist() for column in (first, after, sequence)), strict=True
            )
        ]
        counting = {span.sequence for span in effective_chain(spans)}
        effective[start:end] = [each in counting for each in sequence[start:end].tolist()]
    return effective
