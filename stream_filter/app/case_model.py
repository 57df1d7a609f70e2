"""A case: an event, and what a policy is expected to make of it."""

import base64
import binascii
import json
import math
from datetime import UTC, date, datetime
from typing import Annotated, Any, Literal, Self, TypeAlias

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    WithJsonSchema,
    field_validator,
    model_validator,
)

from stream_filter.app.yaml_lines import short, suggestion
from stream_filter.core.decision import Reason, Route, Verdict

MAX_REPEAT = 10_000
_MAX_UNIX_MS = 253_402_300_799_999  # the year 9999


def _label_of(closed_list: type[Verdict] | type[Route] | type[Reason]) -> AfterValidator:
    labels = [member.label for member in closed_list]

    def known(value: str) -> str:
        if value not in labels:
            noun = closed_list.__name__.lower()
            raise ValueError(f"{short(value)} is no {noun}{suggestion(value, labels)}")
        return value

    return AfterValidator(known)


def _labels(closed_list: type[Verdict] | type[Route] | type[Reason]) -> WithJsonSchema:
    return WithJsonSchema({"enum": [member.label for member in closed_list]})


_VerdictLabel: TypeAlias = Annotated[str, _label_of(Verdict), _labels(Verdict)]
_RouteLabel: TypeAlias = Annotated[str, _label_of(Route), _labels(Route)]
_ReasonLabel: TypeAlias = Annotated[str, _label_of(Reason), _labels(Reason)]


def _unix_ms(value: object) -> object:
    """Milliseconds as they are; ISO 8601 and YAML's own times in milliseconds, UTC without zone."""
    if isinstance(value, str):
        try:
            value = datetime.fromisoformat(value)
        except ValueError:
            raise ValueError(f"{value!r} is no time like 2026-11-24T12:00:00Z") from None
    if isinstance(value, date) and not isinstance(value, datetime):
        value = datetime(value.year, value.month, value.day)
    if isinstance(value, datetime):
        aware = value if value.tzinfo else value.replace(tzinfo=UTC)
        value = int(aware.timestamp() * 1000)
    return value


class _Closed(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class ScoreModel(_Closed):
    """Bounds of a score, both included."""

    min: float = Field(default=0.0, ge=0, le=1, description="The least score.", examples=[0.8])
    max: float = Field(default=1.0, ge=0, le=1, description="The greatest score.", examples=[1.0])

    @field_validator("min", "max", mode="before")
    @classmethod
    def _whole_number(cls, value: Any) -> Any:
        return float(value) if type(value) is int else value

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.min > self.max:
            raise ValueError(f"min {self.min} is above max {self.max}: swap them")
        return self


class ExpectModel(_Closed):
    """What must come out. What is left out is not looked at."""

    verdict: _VerdictLabel | None = Field(
        default=None, description="What the policy concludes.", examples=["keep"]
    )
    route: _RouteLabel | None = Field(
        default=None, description="Where the record goes.", examples=["discard"]
    )
    reason: _ReasonLabel | None = Field(
        default=None, description="Why it goes there.", examples=["below_threshold"]
    )
    rule: str | None = Field(
        default=None, description="The rule that decides, by its name.", examples=["health checks"]
    )
    text: str | None = Field(
        default=None,
        description="The canonical text that the model reads.",
        examples=["ERROR card 0 refused"],
    )
    score: ScoreModel | None = Field(
        default=None, description="Bounds of the model's score.", examples=[{"min": 0.8}]
    )

    @model_validator(mode="after")
    def _expects_something(self) -> Self:
        if not self.model_dump(exclude_none=True):
            raise ValueError(f"expects nothing: give one of {', '.join(type(self).model_fields)}")
        return self


class CaseModel(_Closed):
    """An event and what is expected of it."""

    name: str | None = Field(
        default=None,
        min_length=1,
        description="Unique in the file. Left out: the line at which the case stands.",
        examples=["a refused card is kept"],
    )
    topic: str | None = Field(
        default=None,
        description="The topic that it comes from. Left out: the file's, else the policy's only "
        "one.",
        examples=["payments.logs"],
    )
    key: str | None = Field(default=None, description="The record's key.", examples=["customer-7"])
    headers: dict[str, str | None] = Field(
        default={}, description="The record's headers.", examples=[{"tenant": "blue"}]
    )
    timestamp: Annotated[
        int,
        BeforeValidator(_unix_ms),
        Field(ge=0, le=_MAX_UNIX_MS),
        WithJsonSchema({"type": ["integer", "string"]}),
    ] = Field(
        default=0,
        description="The record's time: Unix milliseconds, or ISO 8601.",
        examples=["2026-11-24T12:00:00Z", 1795521600000],
    )
    payload: Annotated[bytes | None, WithJsonSchema({"type": ["object", "string", "null"]})] = (
        Field(
            default=None,
            description="The record's value: an object becomes JSON, a string stays as it is, "
            "null is a tombstone.",
            examples=[{"level": "ERROR", "message": "card refused"}, "a line of text"],
        )
    )
    payload_base64: Annotated[bytes | None, WithJsonSchema({"type": "string"})] = Field(
        default=None,
        description="The record's value, byte by byte, instead of `payload`.",
        examples=["eyJsZXZlbCI6IklORk8ifQ=="],
    )
    repeat: int = Field(
        default=1,
        ge=1,
        le=MAX_REPEAT,
        description="How many times the event comes; the last one is looked at.",
        examples=[6],
    )
    expect: ExpectModel = Field(
        description="What must come out.", examples=[{"verdict": "keep", "route": "forward"}]
    )

    @field_validator("payload", mode="before")
    @classmethod
    def _as_bytes(cls, value: Any) -> bytes | None:
        if value is None:
            return None
        if isinstance(value, str):
            try:
                return value.encode()
            except UnicodeEncodeError:
                raise ValueError("holds half a character: give payload_base64") from None
        if not isinstance(value, dict):
            raise ValueError(f"expected an object, a string or null, not {short(value)}")
        try:
            _refuse_what_json_has_not(value)
            return json.dumps(value, separators=(",", ":")).encode()
        except RecursionError:
            raise ValueError("nested too deeply: give a string or payload_base64") from None

    @field_validator("payload_base64", mode="before")
    @classmethod
    def _decoded(cls, value: Any) -> bytes:
        if not isinstance(value, str):
            raise ValueError(f"expected base64 in a string, not {short(value)}")
        try:
            return base64.b64decode("".join(value.split()), validate=True)
        except (binascii.Error, ValueError) as error:
            raise ValueError(f"not base64: {error}") from None

    @model_validator(mode="after")
    def _has_one_payload(self) -> Self:
        given = self.model_fields_set & {"payload", "payload_base64"}
        if not given:
            raise ValueError("payload: is missing")
        if len(given) > 1:
            raise ValueError("payload and payload_base64 stand here both: leave one out")
        return self

    @model_validator(mode="after")
    def _has_text_headers(self) -> Self:
        for text in (self.key, *self.headers, *self.headers.values()):
            if text is not None and text.encode("utf-8", "replace").decode() != text:
                raise ValueError("key and headers: hold half a character")
        return self


class CasesModel(_Closed):
    """A case file. As JSON lines, each line is one of the cases."""

    version: Literal[1] = Field(description="Version of this format.", examples=[1])
    topic: str | None = Field(
        default=None,
        description="The topic of cases that name none.",
        examples=["payments.logs"],
    )
    cases: list[CaseModel] = Field(
        min_length=1,
        description="Decided one by one: none knows of another.",
        examples=[[{"payload": {"level": "ERROR"}, "expect": {"verdict": "keep"}}]],
    )

    @field_validator("version", mode="before")
    @classmethod
    def _is_a_number(cls, value: Any) -> Any:
        return str(value) if isinstance(value, bool) else value  # True equals 1


def _refuse_what_json_has_not(value: object) -> None:
    """YAML reads more than JSON writes: say so, rather than write something else."""
    if isinstance(value, dict):
        for inner in value.values():
            _refuse_what_json_has_not(inner)
    elif isinstance(value, list):
        for inner in value:
            _refuse_what_json_has_not(inner)
    elif isinstance(value, float) and not math.isfinite(value):
        raise ValueError(f"{value} is not JSON: put it in quotes")
    elif not isinstance(value, str | int | float | None):
        raise ValueError(f"YAML reads {short(value)} as no JSON value: put it in quotes")
