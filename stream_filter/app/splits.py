"""Which events train and which test: what belongs together is never on both sides."""

import numpy as np
from numpy.typing import NDArray

from stream_filter.app.labelled_events import LabelledEvents
from stream_filter.core.errors import ConfigError

FOLDS = 5
_HELD_OUT_BY_TIME = 0.2


def unsplit_groups(events: LabelledEvents) -> NDArray[np.int64]:
    """Shape (n,): numbers from 0. Events of one group, or with one canonical text, have the same;
    so have those that are linked by others."""
    parents: dict[int, int] = {}

    def root(at: int) -> int:
        while (above := parents.setdefault(at, at)) != at:
            parents[at] = at = parents.get(above, above)
        return at

    texts = events.codes.astype(np.int64)
    pairs = np.unique(np.stack([texts, events.groups], axis=1), axis=0)
    for text, group in pairs.tolist():
        parents[root(group)] = root(text)
    roots = {text: root(text) for text in np.unique(texts).tolist()}
    found = np.array([roots[text] for text in texts.tolist()], np.int64)
    return np.unique(found, return_inverse=True)[1].astype(np.int64)


def held_out_folds(events: LabelledEvents, *, seed: int) -> tuple[list[NDArray[np.bool_]], str]:
    """Masks of shape (n,), each True where an event tests what the others trained; and in words.

    Where every event has a time, one: the fifth of the groups that begin last. Else five, by
    group, with both classes dealt out evenly. Raises ConfigError where there is too little to
    split.
    """
    groups = unsplit_groups(events)
    count = int(groups.max()) + 1
    important = events.important == 1
    has_important, has_other = (
        np.bincount(groups, rows, count) > 0 for rows in (important, ~important)
    )
    have = int(has_important.sum()), int(has_other.sum())
    if min(have) < FOLDS:
        raise ConfigError(
            f"too few labels to hold any out: {have[0]:,} different important texts (or groups) "
            f"and {have[1]:,} others, at least {FOLDS} of each are needed: label more"
        )
    if not np.isnan(events.times_s).any():
        begins = np.full(count, np.inf)
        np.minimum.at(begins, groups, events.times_s)
        late = np.zeros(count, np.bool_)
        late[np.argsort(begins, kind="stable")[-max(1, int(count * _HELD_OUT_BY_TIME)) :]] = True
        tested = late[groups]
        if all(0 < important[rows].sum() < rows.sum() for rows in (tested, ~tested)):
            return [tested], "the latest fifth of the groups held out, by time"
    rng = np.random.default_rng(seed)
    fold_of = np.zeros(count, np.int64)
    for kind in (has_important & ~has_other, has_important & has_other, ~has_important):
        members = rng.permutation(np.flatnonzero(kind))
        fold_of[members] = np.arange(len(members)) % FOLDS
    folds = [fold_of[groups] == fold for fold in range(FOLDS)]
    return folds, f"{FOLDS}-fold, groups (or canonical texts) held out whole"
