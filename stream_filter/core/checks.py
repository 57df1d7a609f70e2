"""Checks of what the statistics are given: a ValueError that names what is wrong."""

from numbers import Real

import numpy as np
from numpy.typing import ArrayLike, NDArray


def require_open_share(name: str, value: float) -> float:
    """A number strictly between 0 and 1."""
    number = _number(name, value)
    if not 0.0 < number < 1.0:
        raise ValueError(f"{name}: must lie between 0 and 1, both excluded, not {value!r}")
    return number


def require_probability(name: str, value: float) -> float:
    """A chance above 0, at most 1: what was never shown says nothing about itself."""
    number = _number(name, value)
    if not 0.0 < number <= 1.0:
        raise ValueError(f"{name}: must be above 0 and at most 1, not {value!r}")
    return number


def require_counts(name: str, values: ArrayLike) -> NDArray[np.float64]:
    """Whole numbers, 0 or more, as float64 of the same shape (exact up to 2**53)."""
    counts = _real(name, values)
    if not (np.isfinite(counts) & (counts >= 0) & (counts == np.floor(counts))).all():
        raise ValueError(f"{name}: must be whole numbers, 0 or more")
    return counts


def require_finite_column(name: str, values: ArrayLike) -> NDArray[np.float64]:
    """A column of numbers, shape (n,) with n ≥ 1, without NaN and infinity, as float64."""
    column = _real(name, values)
    if column.ndim != 1:
        raise ValueError(f"{name}: must have one dimension, not {column.ndim}")
    if not len(column):
        raise ValueError(f"{name}: is empty")
    missing = int(np.isnan(column).sum())
    if missing:
        raise ValueError(f"{name}: NaN in {missing} of {len(column)}")
    if not np.isfinite(column).all():
        raise ValueError(f"{name}: must be finite")
    return column


def require_labels(name: str, values: ArrayLike) -> NDArray[np.bool_]:
    """A column of labels, each 0 or 1 (or False or True), shape (n,) with n ≥ 1."""
    column = np.asarray(values)
    labels = require_finite_column(
        name, column.astype(np.uint8) if column.dtype == bool else column
    )
    strange = labels[(labels != 0.0) & (labels != 1.0)]
    if len(strange):
        raise ValueError(f"{name}: labels must be 0 or 1, not {float(strange[0])!r}")
    is_one: NDArray[np.bool_] = labels == 1.0
    return is_one


def _number(name: str, value: float) -> float:
    number = _real(name, value)
    if number.ndim:
        raise ValueError(f"{name}: must be one number")
    return float(number)


def _real(name: str, values: ArrayLike) -> NDArray[np.float64]:
    try:
        column = np.asarray(values)
    except ValueError as error:  # rows of differing lengths
        raise ValueError(f"{name}: must be numbers") from error
    if column.dtype == object and all(isinstance(value, Real) for value in column.flat):
        return column.astype(np.float64)  # as pandas holds labels that have had a gap
    if column.size and column.dtype.kind not in "iuf":
        raise ValueError(f"{name}: must be numbers, not {column.dtype}")
    return column.astype(np.float64)
