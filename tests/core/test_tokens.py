"""What the reader costs: an estimate that never says nothing."""

import numpy as np

from stream_filter.core.tokens import cost_of, estimated_tokens


def test_three_bytes_are_a_token() -> None:
    """Tokens are a third of the bytes, rounded up, and at least one."""
    sizes = np.array([0, 1, 3, 4, 300, 2**40], np.int64)
    assert estimated_tokens(sizes).tolist() == [1, 1, 1, 2, 100, 2**40 // 3 + 1]


def test_cost_is_by_the_million() -> None:
    """A million tokens cost the price."""
    assert cost_of(1_000_000, price_per_million_tokens=2.5) == 2.5
    assert cost_of(0, price_per_million_tokens=2.5) == 0
