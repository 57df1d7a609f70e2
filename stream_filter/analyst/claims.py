"""A day's budget that several analysts share: claims in a log, granted in the order of the log.

Who wants to spend claims a part of the budget first and spends only what was granted, which all
readers of the log find alike. A killed analyst takes what he had claimed and not spent with him,
until the next day: so the budget is never exceeded, whatever happens.
"""

from dataclasses import dataclass, field

from pydantic import BaseModel, ConfigDict, Field, ValidationError

_ROUNDING = 1e-9


class ClaimModel(BaseModel):
    """A record of the spending topic."""

    model_config = ConfigDict(extra="ignore", frozen=True, strict=True)

    day: str = Field(pattern=r"^[0-9]{4}-[0-9]{2}-[0-9]{2}$", description="Of the budget, in UTC.")
    who: str = Field(min_length=1, max_length=100, description="One life of one analyst.")
    number: int = Field(ge=1, description="Counts this life's records.")
    amount: float = Field(
        allow_inf_nan=False,
        description="Above 0: a claim. Below: what of earlier claims is given back.",
    )


def read_claim(value: bytes | None) -> ClaimModel | None:
    """A record of the spending topic; None for what is none."""
    try:
        return ClaimModel.model_validate_json(value or b"")
    except ValidationError:
        return None


@dataclass(slots=True)
class ClaimBook:
    """What is claimed of a budget, by day."""

    budget: float
    _claimed: dict[str, float] = field(default_factory=dict)
    _granted: dict[tuple[str, str], float] = field(default_factory=dict)
    """By day and analyst."""

    def take(self, claim: ClaimModel) -> float:
        """The next record of the log: how much was granted by it, or given back (below 0)."""
        day, who = claim.day, claim.who
        claimed, own = self._claimed.get(day, 0.0), self._granted.get((day, who), 0.0)
        if claim.amount > self.left(day) + _ROUNDING * self.budget:
            return 0.0
        amount = max(claim.amount, -own)
        self._claimed[day] = claimed + amount
        self._granted[day, who] = own + amount
        return amount

    def left(self, day: str) -> float:
        """What nobody has claimed of a day's budget."""
        return self.budget - self._claimed.get(day, 0.0)

    def forget_before(self, day: str) -> None:
        """Days that are over."""
        for old in [known for known in self._claimed if known < day]:
            del self._claimed[old]
        for key in [key for key in self._granted if key[0] < day]:
            del self._granted[key]
