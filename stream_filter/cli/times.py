"""Points in time on the command line."""

import re
from datetime import UTC, datetime, timedelta

import click

_AGO = re.compile(r"-?([0-9]{1,6})([smhd])")
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}


class PointInTime(click.ParamType):
    """`2026-11-24T12:00:00Z`, or `15m` ago; in Unix milliseconds. Without a zone: UTC."""

    name = "time"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> int:
        if isinstance(value, int):
            return value
        text = str(value)
        ago = _AGO.fullmatch(text)
        if ago:
            at = datetime.now(UTC) - timedelta(**{_UNITS[ago[2]]: int(ago[1])})
        else:
            try:
                at = datetime.fromisoformat(text)
            except ValueError:
                self.fail(f"{text!r} is neither a time (2026-11-24T12:00:00Z) nor an age (15m)")
        if at.tzinfo is None:
            at = at.replace(tzinfo=UTC)
        return int(at.timestamp() * 1000)
