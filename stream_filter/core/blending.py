"""How much each stage of a cascade counts where both have read a text."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from stream_filter.core.ranking import Floats, auc

_SHARES = (0.0, 0.1, 0.2, 0.3)
"""Of the first stage. On texts of new templates n-grams are the lesser model by far: held-out
events that happen to suit them must not let them rule."""


def first_share(
    first: Floats,
    second: Floats,
    important: NDArray[np.bool_],
    weightings: Sequence[Floats],
) -> float:
    """The share s for which s·first + (1 - s)·second ranks best on held-out events: by the mean AUC
    under the `weightings`, the smallest of equals.

    All of shape (n,): `first` and `second` are log-odds.
    """
    areas = [
        sum(auc(s * first + (1 - s) * second, important, weights) for weights in weightings)
        for s in _SHARES
    ]
    return _SHARES[int(np.argmax(areas))]
