"""Slices: by the values of which fields evidence is counted apart."""

import json
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from stream_filter.core.policy import TopicPolicy
from stream_filter.gate.ports import Column, FieldRead

MOST_SLICES = 100
"""In a batch. A field with more values is no slice; what is beyond is counted together."""
OTHER = "(other)"
_MOST_CHARS = 64


def slice_reads(rules: TopicPolicy) -> tuple[FieldRead, ...]:
    """The fields that a topic's slices are read from."""
    if rules.target is None or rules.target.slices is None:
        return ()
    return tuple(FieldRead(path) for path in rules.target.slices.fields)


def split_columns(
    rules: TopicPolicy, columns: Sequence[Column]
) -> tuple[Sequence[Column], Sequence[Column]]:
    """The columns that the rules read, and after them those of the slices."""
    slices = len(slice_reads(rules))
    cut = len(columns) - slices
    return columns[:cut], columns[cut:]


def slice_of(columns: Sequence[Column], rows: int) -> tuple[NDArray[np.int16], tuple[str, ...]]:
    """Which slice each row is in, shape (rows,), and what the slices are called: the fields'
    values, joined by `/`; -1 where a row has none of the fields."""
    # Of one field the codes tell the slices apart as they are.
    codes = columns[0].codes
    if len(columns) > 1:
        stacked = np.stack([column.codes for column in columns], axis=1)
        codes = np.unique(stacked, axis=0, return_inverse=True)[1].reshape(rows).astype(np.int32)
    _, first, inverse = np.unique(codes, return_index=True, return_inverse=True)
    distinct = np.stack([column.codes[first] for column in columns], axis=1)
    labels: dict[str, int] = {}
    by_code = np.full(len(distinct), -1, np.int16)
    for place in np.argsort(first).tolist():  # in the order in which they are met
        combination = distinct[place].tolist()
        if all(code < 0 for code in combination):
            continue
        label = "/".join(
            _text(column.values[code]) if code >= 0 else ""
            for column, code in zip(columns, combination, strict=True)
        )
        if len(labels) >= MOST_SLICES:
            label = label if label in labels else OTHER
        by_code[place] = labels.setdefault(label, len(labels))
    return by_code[inverse.reshape(rows)], tuple(labels)


def _text(value: object) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return text.encode("utf-8", "replace").decode()[:_MOST_CHARS]
