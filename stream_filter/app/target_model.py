"""The keys of a topic that speak of its recall: as they are written, and frozen."""

from datetime import UTC, datetime
from typing import Annotated, Any, Literal, Protocol

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    field_validator,
    model_validator,
)

from stream_filter.app.durations import DURATION_PATTERN, check_long_duration, duration_ms
from stream_filter.app.rates import RATE_PATTERN, check_rate, per_second
from stream_filter.core.holdout_choice import CertifyWithin
from stream_filter.core.policy import Thresholds
from stream_filter.core.targets import (
    USUAL_SIGNS,
    CalibratedFor,
    OnFailure,
    SignLimits,
    Slices,
    Target,
)
from stream_filter.core.template import parse_path

TARGET_KEYS = ("epoch", "max_age", "patience", "on_failure", "slices", "signs")
"""Keys of a topic that say nothing without its `target`."""
UNCALIBRATED = Thresholds(drop_below=0.0, keep_above=1.0)
"""Where a target has no thresholds yet: nothing is dropped for its score."""

OpenShare = Annotated[float, Field(gt=0.0, lt=1.0, allow_inf_nan=False)]
LongDuration = Annotated[
    str,
    BeforeValidator(check_long_duration),
    Field(json_schema_extra={"pattern": DURATION_PATTERN}),
]


def check_path(value: str) -> str:
    parse_path(value)
    return value


FieldNames = Annotated[
    list[Annotated[str, AfterValidator(check_path)]], Field(min_length=1, max_length=4)
]
_Rate = Annotated[
    str, BeforeValidator(check_rate), Field(json_schema_extra={"pattern": RATE_PATTERN})
]
_Digest = Annotated[str, Field(pattern=r"^[0-9a-f]{16}$")]
OnFailureName = Literal["forward_all", "widen", "shadow"]


class _Closed(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class TargetModel(_Closed):
    """The recall that is promised, and the chance that the promise is wrong."""

    recall: OpenShare = Field(
        description="Share of the important events that is to be forwarded.", examples=[0.95]
    )
    failure_probability: OpenShare = Field(
        default=0.05, description="Chance that a promise is wrong.", examples=[0.05]
    )


class HoldoutModel(_Closed):
    """A holdout that follows from the time by which a certificate is wanted."""

    certify_within: LongDuration = Field(
        description="By when, as likely as not; from 1s to 366d.", examples=["24h"]
    )
    rate: _Rate | None = Field(
        default=None, description="Events of the topic, of all partitions.", examples=["50000/s"]
    )
    prevalence: OpenShare | None = Field(
        default=None, description="Share of important events.", examples=[0.001]
    )
    recall: OpenShare | None = Field(
        default=None,
        description="At which the gate runs; without it halfway from the target to 1.",
        examples=[0.98],
    )
    at_most: Annotated[float, Field(gt=0.0, le=0.5, allow_inf_nan=False)] = Field(
        default=0.5,
        description="The greatest share of the drops that may be spent.",
        examples=[0.05],
    )

    @model_validator(mode="after")
    def _both_or_none(self) -> "HoldoutModel":
        if (self.rate is None) != (self.prevalence is None):
            missing = "rate" if self.rate is None else "prevalence"
            raise ValueError(f"{missing}: is missing: rate and prevalence belong together")
        return self


class SlicesModel(_Closed):
    """Which events are counted apart, and the recall that none of these may be below."""

    by: FieldNames = Field(description="Fields of the event.", examples=[["service"]])
    recall: OpenShare = Field(
        default=Slices(fields=()).floor,
        description="The floor: a certificate falls where a slice is shown to be below.",
        examples=[0.8],
    )


_Change = Annotated[float, Field(gt=0.0, le=1.0, allow_inf_nan=False)]


class SignsModel(_Closed):
    """From where on a sign of drift that needs no verdict makes a certificate stale."""

    scores: _Change = Field(
        default=USUAL_SIGNS.score_shift,
        description="Total variation distance of the scores from those right after the policy was "
        "put in force, chance apart; at 1 it is not looked at.",
        examples=[0.2],
    )
    novelty: _Change = Field(
        default=USUAL_SIGNS.novelty_growth,
        description="By how much the share of events with new texts has grown, chance apart.",
        examples=[0.2],
    )
    window: LongDuration = Field(
        default="10m", description="The stretches that are compared.", examples=["10m"]
    )

    @field_validator("scores", "novelty", mode="before")
    @classmethod
    def _whole_share(cls, value: Any) -> Any:
        return float(value) if type(value) is int else value


class CalibrationModel(_Closed):
    """What `raw.drop_below` was calibrated for. Written by `stream-filter calibrate --write`."""

    drop_below: Annotated[float, Field(ge=0.0, le=1.0, allow_inf_nan=False)] = Field(
        description="The threshold that keeps the promise.", examples=[0.123]
    )
    recall: OpenShare = Field(description="The promised recall.", examples=[0.95])
    failure_probability: OpenShare = Field(
        description="Chance that the promise is wrong.", examples=[0.05]
    )
    pack: _Digest = Field(
        description="Id of the pack whose scores the labels had.", examples=["0123456789abcdef"]
    )
    masks: str = Field(description="Mask set of the texts that it read.", examples=["masks-2"])
    reading: _Digest = Field(
        description="Digest of `format` and `text`: of what is read.", examples=["0123456789abcdef"]
    )
    labels: _Digest = Field(description="Digest of the labels.", examples=["0123456789abcdef"])
    positives: int = Field(ge=0, description="Important events among them.", examples=[300])
    at: str = Field(description="When it was calibrated, UTC.", examples=["2026-01-31T12:00:00Z"])

    @field_validator("at")
    @classmethod
    def _is_a_time(cls, value: str) -> str:
        try:
            datetime.strptime(value, _TIME)
        except ValueError as error:
            raise ValueError(f"{value!r} is no time like 2026-01-31T12:00:00Z") from error
        return value


_TIME = "%Y-%m-%dT%H:%M:%S%z"


class TargetKeys(Protocol):
    """The keys of a topic that `freeze_target` reads."""

    @property
    def target(self) -> TargetModel | None: ...
    @property
    def epoch(self) -> str: ...
    @property
    def max_age(self) -> str: ...
    @property
    def patience(self) -> str: ...
    @property
    def on_failure(self) -> OnFailureName: ...
    @property
    def slices(self) -> list[str] | SlicesModel | None: ...


def freeze_target(keys: TargetKeys) -> Target:
    """Of a topic that has a target."""
    target = keys.target
    assert target is not None, "a topic that has a target"
    slices = SlicesModel(by=keys.slices) if isinstance(keys.slices, list) else keys.slices
    return Target(
        recall=target.recall,
        failure_probability=target.failure_probability,
        epoch_ms=duration_ms(keys.epoch),
        max_age_ms=duration_ms(keys.max_age),
        patience_ms=duration_ms(keys.patience),
        on_failure=OnFailure(keys.on_failure),
        slices=Slices(fields=tuple(map(parse_path, slices.by)), floor=slices.recall)
        if slices
        else None,
    )


def freeze_signs(model: SignsModel) -> SignLimits:
    return SignLimits(
        score_shift=model.scores,
        novelty_growth=model.novelty,
        window_ms=duration_ms(model.window),
    )


def freeze_holdout(model: HoldoutModel) -> CertifyWithin:
    return CertifyWithin(
        within_ms=duration_ms(model.certify_within),
        events_per_s=per_second(model.rate) if model.rate else None,
        prevalence=model.prevalence,
        recall=model.recall,
        at_most=model.at_most,
    )


def freeze_calibration(model: CalibrationModel) -> CalibratedFor:
    return CalibratedFor(
        drop_below=model.drop_below,
        recall=model.recall,
        failure_probability=model.failure_probability,
        model_id=model.pack,
        mask_set=model.masks,
        reading_id=model.reading,
        labels_id=model.labels,
        positives=model.positives,
        at_ms=int(datetime.strptime(model.at, _TIME).timestamp() * 1000),
    )


def calibration_values(bound: CalibratedFor) -> dict[str, Any]:
    """As `freeze_calibration` reads it: keys and values of YAML."""
    at = datetime.fromtimestamp(bound.at_ms / 1000, UTC)
    return {
        "drop_below": bound.drop_below,
        "recall": bound.recall,
        "failure_probability": bound.failure_probability,
        "pack": bound.model_id,
        "masks": bound.mask_set,
        "reading": bound.reading_id,
        "labels": bound.labels_id,
        "positives": bound.positives,
        "at": at.strftime("%Y-%m-%dT%H:%M:%SZ"),
    }
