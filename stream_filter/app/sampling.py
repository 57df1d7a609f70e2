"""Fewer events, where there are more than can be held in memory at once."""

from dataclasses import replace

import numpy as np

from stream_filter.app.labelled_events import LabelledEvents


def sampled(events: LabelledEvents, *, most_texts: int, seed: int) -> LabelledEvents:
    """All events of at most `most_texts` distinct texts: texts that are ever important fill at most
    half, if the others need the rest. Weights are divided by a text's chance to be chosen, so
    that figures stay those of the stream."""
    count = len(events.texts)
    if count <= most_texts:
        return events
    is_important = np.zeros(count, np.bool_)
    is_important[events.codes[events.important == 1]] = True
    have = int(is_important.sum())
    quota = min(have, max(most_texts // 2, most_texts - (count - have)))
    rng = np.random.default_rng(seed)
    chance = np.zeros(count)
    chosen = np.zeros(count, np.bool_)
    for kind, room in ((True, quota), (False, most_texts - quota)):
        members = np.flatnonzero(is_important == kind)
        taken = rng.permutation(members)[:room]
        chosen[taken] = True
        chance[members] = len(taken) / max(1, len(members))
    rows = chosen[events.codes]
    number = np.cumsum(chosen) - 1
    codes = number[events.codes[rows]].astype(np.int32)
    # A text that is its own group has its number for it.
    groups = events.groups[rows]
    return replace(
        events,
        texts=[text for text, kept in zip(events.texts, chosen.tolist(), strict=True) if kept],
        codes=codes,
        important=events.important[rows],
        weights=events.weights[rows] / chance[events.codes[rows]],
        groups=np.where(groups >= 0, codes, groups),
        times_s=events.times_s[rows],
        slices={
            key: [value for value, kept in zip(values, rows.tolist(), strict=True) if kept]
            for key, values in events.slices.items()
        },
    )
