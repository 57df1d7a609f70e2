"""What the reader behind the gate costs: tokens, estimated from length, and their price."""

import numpy as np
from numpy.typing import NDArray

BYTES_PER_TOKEN = 3
"""An assumption, not a measurement: English prose has about 4, JSON and logs full of ids fewer."""


def estimated_tokens(sizes_bytes: NDArray[np.int64]) -> NDArray[np.int64]:
    """Tokens of payloads of these sizes, shape (n,): bytes / 3, rounded up, at least 1 each."""
    return np.maximum(1, -(-sizes_bytes // BYTES_PER_TOKEN))


def cost_of(tokens: float, *, price_per_million_tokens: float) -> float:
    """What so many tokens cost, in the currency of the price."""
    return tokens * price_per_million_tokens / 1_000_000
