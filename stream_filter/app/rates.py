"""Rates as people write them: 50000/s, 2000/min, 3e6/day."""

import re
from typing import Any

RATE_PATTERN = r"^[0-9]+(\.[0-9]+)?(e[0-9]{1,2})?/(s|min|h|day)$"
_SECONDS = {"s": 1.0, "min": 60.0, "h": 3_600.0, "day": 86_400.0}


def per_second(text: str) -> float:
    """Events a second; `text` has passed `check_rate`."""
    number, _, unit = text.partition("/")
    return float(number) / _SECONDS[unit]


def check_rate(value: Any) -> str:
    """Raises ValueError where this is no rate above 0."""
    if not isinstance(value, str) or not re.fullmatch(RATE_PATTERN, value) or not per_second(value):
        shown = repr(value)[:40]
        raise ValueError(f"{shown} is no rate: write a number and /s, /min, /h or /day, like 500/s")
    return value
