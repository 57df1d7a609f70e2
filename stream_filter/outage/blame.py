"""Who may be the cause: blame that services pass on, followed to where it stays."""

from collections.abc import Mapping, Sequence

import numpy as np

_PASSED_ON = 0.85
_STEPS = 60


def suspects(
    onsets: Mapping[str, int],
    own: Mapping[str, float],
    blame: Mapping[tuple[str, str], float],
) -> list[tuple[str, float]]:
    """Services with their share of the blame, the most first; shares add up to 1.

    `onsets`: when each began to complain, in any unit; a service that is only blamed by others may
    lack. `own`: how much each says that names nobody else. `blame`: how much the first says
    against the second. A walk begins at those who complain, earlier ones more often, and goes on
    to whom they blame; at who blames nobody it stays.
    """
    names = sorted({*onsets, *(name for pair in blame for name in pair)})
    if not names:
        return []
    index = {name: place for place, name in enumerate(names)}
    passed = np.zeros((len(names), len(names)))
    for (of, at), weight in blame.items():
        if of != at:
            passed[index[of], index[at]] += max(0.0, weight)
    for name in names:
        kept = max(0.0, own.get(name, 0.0))
        passed[index[name], index[name]] = kept if passed[index[name]].any() else 1.0
    passed /= passed.sum(axis=1, keepdims=True)
    begin = np.zeros(len(names))
    for rank, name in enumerate(_by_onset(onsets)):
        begin[index[name]] = 1.0 / (1.0 + rank)
    begin = begin / begin.sum() if begin.any() else np.full(len(names), 1.0 / len(names))
    share = begin
    for _ in range(_STEPS):
        share = (1.0 - _PASSED_ON) * begin + _PASSED_ON * (share @ passed)
    order = sorted(names, key=lambda name: (-share[index[name]], name))
    return [(name, float(share[index[name]])) for name in order]


def _by_onset(onsets: Mapping[str, int]) -> Sequence[str]:
    return sorted(onsets, key=lambda name: (onsets[name], name))
