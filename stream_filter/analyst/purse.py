"""What may be spent today."""

from typing import Protocol


class Purse(Protocol):
    """The day's budget, as far as it is this analyst's to spend."""

    async def reserve(self, amount: float) -> str:
        """Returns when `amount` may be spent, with the day (UTC) that it counts for; waits for
        tomorrow where the budget is gone. Raises BrokerError, and ConfigError where no day has so
        much."""
        ...

    def settle(self, day: str, reserved: float, actual: float) -> None:
        """Of what was reserved on that day, `actual` was spent."""
        ...


class OpenPurse:
    """No budget: everything may be spent."""

    async def reserve(self, amount: float) -> str:
        return ""

    def settle(self, day: str, reserved: float, actual: float) -> None:
        pass
