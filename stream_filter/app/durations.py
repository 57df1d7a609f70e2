"""Durations as people write them: 60s, 5m, 1h."""

import re
from typing import Any

DURATION_PATTERN = "^[1-9][0-9]{0,5}[smhd]$"
_UNIT_MS = {"s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}
_LONGEST_MS = _UNIT_MS["d"]


def duration_ms(text: str) -> int:
    """Milliseconds; `text` has passed `check_duration`."""
    return int(text[:-1]) * _UNIT_MS[text[-1]]


def check_duration(value: Any) -> str:
    """Raises ValueError where this is no duration from 1s to 1d."""
    if not isinstance(value, str) or not re.fullmatch(DURATION_PATTERN, value):
        shown = repr(value)[:40]
        raise ValueError(f"{shown} is no duration: write a number and s, m or h, like 60s")
    if duration_ms(value) > _LONGEST_MS:
        raise ValueError(f"{value} is longer than a day: the most is 1d")
    return value
