"""Slices of a batch: by the values of fields, few of them, each with a readable name."""

import numpy as np

from stream_filter.formats.columns import column_of
from stream_filter.gate.slicing import MOST_SLICES, OTHER, slice_of


def test_one_field_gives_its_values() -> None:
    codes, labels = slice_of([column_of(["auth", "pay", None, "auth"])], 4)
    assert labels == ("auth", "pay")
    assert codes.tolist() == [0, 1, -1, 0]


def test_several_fields_are_joined() -> None:
    """A row that lacks one of them is still in a slice; one that lacks all is in none."""
    columns = [column_of(["a", "a", None, None]), column_of([1, True, {"x": "é"}, None])]
    codes, labels = slice_of(columns, 4)
    assert labels == ("a/1", "a/true", '/{"x": "é"}')
    assert codes.tolist() == [0, 1, 2, -1]


def test_what_is_beyond_the_most_is_one_slice() -> None:
    """A field like a user's number is no slice; long values and lone surrogates are cut to size."""
    values = [f"{number}" for number in range(MOST_SLICES + 50)] + ["x" * 500, "\ud800"]
    codes, labels = slice_of([column_of(values)], len(values))
    assert len(labels) == MOST_SLICES + 1
    assert labels[-1] == OTHER
    assert (codes[MOST_SLICES:] == MOST_SLICES).all()
    assert codes[:MOST_SLICES].tolist() == list(range(MOST_SLICES))
    _, labels = slice_of([column_of(["x" * 500, "\ud800"])], 2)
    assert labels == ("x" * 64, "?")


def test_no_rows() -> None:
    codes, labels = slice_of([column_of([])], 0)
    assert (codes.dtype, len(codes), labels) == (np.int16, 0, ())
