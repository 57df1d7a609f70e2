"""Rates, spans of time and shares, as people write and read them."""

import math
import re
from typing import Any

import click

_SECONDS = {"s": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0, "d": 86_400.0, "day": 86_400.0}
_NUMBER = r"([0-9]+(?:\.[0-9]+)?(?:e[0-9]{1,2})?)"


class Figure(click.FloatRange):
    """A number within bounds, and a number: click lets NaN and infinity through."""

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        figure: float = super().convert(value, param, ctx)
        if not math.isfinite(figure):
            self.fail(f"{value!r} is not a finite number", param, ctx)
        return figure


class Rate(click.ParamType):
    """`50000/s`, `3e6/day`: events a second. A bare number is a second's."""

    name = "rate"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        if isinstance(value, float):
            return value
        match = re.fullmatch(rf"{_NUMBER}(?:/(s|min|h|d|day))?", str(value))
        rate = float(match[1]) / _SECONDS[match[2] or "s"] if match else 0.0
        if not rate:
            self.fail(f"{value!r} is not a rate like 50000/s, 2000/min, 3e6/day", param, ctx)
        return rate


class Span(click.ParamType):
    """`90s`, `15m`, `24h`, `7d`: seconds."""

    name = "span"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        if isinstance(value, float):
            return value
        match = re.fullmatch(rf"{_NUMBER}(s|m|min|h|d)", str(value))
        span = float(match[1]) * _SECONDS[match[2]] if match else 0.0
        if not span:
            self.fail(f"{value!r} is not a span of time like 15m, 24h, 7d", param, ctx)
        return span


class OpenShare(click.ParamType):
    """A number strictly between 0 and 1."""

    name = "share"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        try:
            share = float(str(value))
        except ValueError:
            share = math.nan
        if not 0.0 < share < 1.0:
            self.fail(f"{value!r} is not between 0 and 1, both excluded", param, ctx)
        return share


def span_text(seconds: float) -> str:
    """Two digits that matter: `37 s`, `4.2 h`; more than ten years is not in sight."""
    if not seconds < 3650 * _SECONDS["d"]:
        return "not in sight"
    for unit, least in (("d", 2 * 86_400.0), ("h", 2 * 3600.0), ("min", 120.0)):
        if seconds >= least:
            return f"{_short(seconds / _SECONDS[unit])} {unit}"
    return f"{_short(seconds)} s"


def share_text(share: float) -> str:
    """A share in percent, with more digits near its ends: `97.1 %`, `0.0032 %`."""
    percent = round(100.0 * share, 9)
    if percent in {0.0, 100.0}:
        return f"{percent:.0f} %"
    digits = (
        1
        if 1.0 <= percent <= 99.0
        else min(1 - _magnitude(round(min(percent, 100.0 - percent), 9)), 8)
    )
    return f"{percent:.{digits}f} %"


def money_text(amount: float) -> str:
    """Whole units above a hundred, else two digits behind the point."""
    return f"{amount:,.0f}" if amount >= 100 else f"{amount:.2f}"


def _short(number: float) -> str:
    return f"{number:.0f}" if number >= 10 else f"{number:.1f}"


def _magnitude(number: float) -> int:
    return math.floor(math.log10(number))
