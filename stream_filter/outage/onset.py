"""When it began: the change-point of a series of counts."""

import numpy as np
from numpy.typing import NDArray


def onset_slot(counts: NDArray[np.int64]) -> int:
    """The slot at which a series most likely left its usual rate, by a step or by a ramp that has
    risen since: the one of greatest likelihood. `counts`: shape (slots,)."""
    slots = len(counts)
    if slots < 2 or not counts.any():
        return 0
    at = np.arange(slots)
    total = counts.sum()
    n_before = np.concatenate(([0], np.cumsum(counts)[:-1]))
    n_after = total - n_before
    t_after = slots - at
    # Half an event more, so that no rate is 0.
    rate_before = (n_before + 0.5) / (at + 1.0)
    rate_after = np.maximum(n_after / t_after, rate_before)
    quiet = n_before * np.log(rate_before) - rate_before * at
    step = quiet + n_after * np.log(rate_after) - rate_after * t_after
    # A ramp: rate_before + slope · (slots since), the slope by moments.
    since = np.maximum(at[None, :] - at[:, None] + 1.0, 0.0)
    rise = np.maximum(n_after - rate_before * t_after, 0.0)
    slope = rise / (t_after * (t_after + 1.0) / 2.0)
    rates = rate_before[:, None] + slope[:, None] * since
    on_ramp = np.where(since > 0, counts[None, :] * np.log(rates) - rates, 0.0).sum(axis=1)
    ramp = quiet + on_ramp
    return int(np.argmax(np.maximum(step, ramp)))
