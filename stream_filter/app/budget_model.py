"""The policy's budgets and its overload: as they are written, and frozen."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, field_validator, model_validator

from stream_filter.app.durations import DURATION_PATTERN, check_long_duration, duration_ms
from stream_filter.core.budget import Budget, Limit, Overflow, Unit
from stream_filter.core.policy import Overload, Thresholds, WhenOverloaded

_Amount = Annotated[int, Field(ge=1, le=1 << 40)]
_Duration = Annotated[
    str,
    BeforeValidator(check_long_duration),
    Field(json_schema_extra={"pattern": DURATION_PATTERN}),
]
_LIMITS = {
    "per_minute": (60_000, Unit.EVENTS),
    "per_hour": (3_600_000, Unit.EVENTS),
    "per_day": (86_400_000, Unit.EVENTS),
    "tokens_per_minute": (60_000, Unit.TOKENS),
    "tokens_per_hour": (3_600_000, Unit.TOKENS),
    "tokens_per_day": (86_400_000, Unit.TOKENS),
}


class _Closed(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class BudgetModel(_Closed):
    """The most that is forwarded, and what becomes of the rest."""

    per_minute: _Amount | None = Field(
        default=None, description="Events in any minute.", examples=[300]
    )
    per_hour: _Amount | None = Field(
        default=None, description="Events in any hour.", examples=[10_000]
    )
    per_day: _Amount | None = Field(
        default=None, description="Events in any day.", examples=[200_000]
    )
    tokens_per_minute: _Amount | None = Field(
        default=None,
        description="Tokens in any minute, estimated as bytes / 3.",
        examples=[100_000],
    )
    tokens_per_hour: _Amount | None = Field(
        default=None, description="Tokens in any hour.", examples=[2_000_000]
    )
    tokens_per_day: _Amount | None = Field(
        default=None, description="Tokens in any day.", examples=[20_000_000]
    )

    overflow: Literal["defer", "widen", "forward"] = Field(
        default="defer",
        description="What becomes of what does not fit. defer: it waits in the deferred topic for "
        "`stream-filter drain`; widen: it is dropped; forward: it goes on and is marked.",
        examples=["defer", "widen", "forward"],
    )
    price: Annotated[float, Field(ge=0, allow_inf_nan=False)] | None = Field(
        default=None,
        description="Of a million tokens that the reader behind the gate takes in.",
        examples=[2.5],
    )

    @field_validator("price", mode="before")
    @classmethod
    def _whole_price(cls, value: Any) -> Any:
        return float(value) if type(value) is int else value

    @model_validator(mode="after")
    def _limits_something(self) -> "BudgetModel":
        if not _limits_of(self):
            raise ValueError("a budget without a limit: name one, like per_minute: 300")
        return self


class OverloadModel(_Closed):
    """When the gate has fallen behind, and what it does with texts that the model has not read."""

    max_lag: _Duration = Field(
        description="Behind is who reads records older than this; from 1s to 366d.",
        examples=["30s"],
    )
    then: Literal["wait", "scout_only", "forward"] = Field(
        default="wait",
        description="wait: the model reads them all the same; scout_only: the pack's scout decides "
        "alone, by drop_below and keep_above given here; forward: their records go on unread.",
        examples=["forward", "scout_only"],
    )
    drop_below: Annotated[float, Field(ge=0, le=1)] | None = Field(
        default=None, description="With scout_only: its scores below are dropped.", examples=[0.05]
    )
    keep_above: Annotated[float, Field(ge=0, le=1)] | None = Field(
        default=None,
        description="With scout_only: its scores at or above are kept; those between go on as "
        "overloaded.",
        examples=[0.95],
    )

    @model_validator(mode="after")
    def _scout_has_thresholds(self) -> "OverloadModel":
        given = (self.drop_below, self.keep_above)
        if self.then != "scout_only":
            if given != (None, None):
                raise ValueError("drop_below and keep_above belong to scout_only; leave them out")
        elif self.drop_below is None or self.keep_above is None:
            raise ValueError(
                "scout_only: give drop_below and keep_above, further apart than those of raw"
            )
        elif self.drop_below > self.keep_above:
            raise ValueError("thresholds are crossed: drop_below is above keep_above; swap them")
        return self


def freeze_budget(own: BudgetModel | None, shared: Mapping[str, BudgetModel]) -> Budget | None:
    """A topic's budget: its own limits, and by target those that it shares with all that forward
    there. Of the other keys the topic's own count, then the first target's."""
    budgets = ([own] if own else []) + list(shared.values())
    if not budgets:
        return None
    limits = _limits_of(own) if own else ()
    for target, budget in shared.items():
        limits += _limits_of(budget, target=target)
    return Budget(
        limits=limits,
        overflow=Overflow(budgets[0].overflow),
        price=next((budget.price for budget in budgets if budget.price is not None), None),
    )


def freeze_overload(model: OverloadModel) -> Overload:
    """The core's form."""
    thresholds = None
    if model.drop_below is not None and model.keep_above is not None:
        thresholds = Thresholds(drop_below=model.drop_below, keep_above=model.keep_above)
    return Overload(
        max_lag_ms=duration_ms(model.max_lag),
        then=WhenOverloaded(model.then),
        thresholds=thresholds,
    )


def _limits_of(budget: BudgetModel, *, target: str | None = None) -> tuple[Limit, ...]:
    return tuple(
        Limit(amount=amount, window_ms=window_ms, unit=unit, target=target)
        for key, (window_ms, unit) in _LIMITS.items()
        if (amount := getattr(budget, key)) is not None
    )
