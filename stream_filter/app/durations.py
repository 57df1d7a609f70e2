"""Durations as people write them: 60s, 5m, 1h."""

import re
from typing import Any

DURATION_PATTERN = "^[1-9][0-9]{0,5}[smhd]$"
_UNIT_MS = {"s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}
_DAY_MS = _UNIT_MS["d"]
_YEAR_MS = 366 * _DAY_MS


def duration_ms(text: str) -> int:
    """Milliseconds; `text` has passed one of the checks."""
    return int(text[:-1]) * _UNIT_MS[text[-1]]


def check_duration(value: Any) -> str:
    """Raises ValueError where this is no duration from 1s to 1d."""
    if duration_ms(_checked(value)) > _DAY_MS:
        raise ValueError(f"{value} is longer than a day: the most is 1d")
    return str(value)


def check_long_duration(value: Any) -> str:
    """Raises ValueError where this is no duration from 1s to 366d."""
    if duration_ms(_checked(value)) > _YEAR_MS:
        raise ValueError(f"{value} is longer than a year: the most is 366d")
    return str(value)


def _checked(value: Any) -> str:
    if not isinstance(value, str) or not re.fullmatch(DURATION_PATTERN, value):
        shown = repr(value)[:40]
        raise ValueError(f"{shown} is no duration: write a number and s, m, h or d, like 60s")
    return value


def duration_text(ms: int) -> str:
    """The shortest that reads as this: `90m`, `7d`; below a second as `250ms`."""
    for unit in ("d", "h", "m", "s"):
        if ms and ms % _UNIT_MS[unit] == 0:
            return f"{ms // _UNIT_MS[unit]}{unit}"
    return f"{ms}ms"
