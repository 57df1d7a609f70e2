"""Columns for rules: codes and distinct values are the values, types included."""

from hypothesis import given
from hypothesis import strategies as st

from stream_filter.formats.columns import column_of
from stream_filter.gate.ports import Column

scalars = (
    st.none() | st.booleans() | st.integers(-1, 1) | st.sampled_from([0.0, 1.0, -1.0, "", "a"])
)
values = scalars | st.lists(scalars, max_size=2) | st.just({"a": 1})


def read(column: Column) -> list[object]:
    """The values by record, their types beside them."""
    found = [None if code < 0 else column.values[code] for code in column.codes.tolist()]
    return [(type(value), value) for value in found]


@given(st.lists(values))
def test_a_column_is_its_values(given_values: list[object]) -> None:
    """Each record has its own value: true, 1 and 1.0 stay apart."""
    assert read(column_of(given_values)) == [(type(value), value) for value in given_values]


@given(st.lists(st.sampled_from(["a", "b", None])))
def test_equal_strings_stand_once(given_values: list[str | None]) -> None:
    """Of equal strings one is kept."""
    distinct = column_of(given_values).values
    assert len(distinct) == len(set(given_values) - {None})
