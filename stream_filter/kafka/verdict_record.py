"""A verdict of the analyst as a record: JSON that any analyst in any language can write.
Published in schemas/verdict.schema.json."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from stream_filter.core.errors import StreamFilterError
from stream_filter.core.oracle import Flaw, Judge, OracleVerdict

MOST_BYTES = 64 << 10
_LIKELY = 0.5
_MOST_TOKENS = 1 << 40
_Amount = Annotated[float, Field(ge=0.0, le=1e12, allow_inf_nan=False)]


class VerdictError(StreamFilterError):
    """A record of the verdict topic that holds no verdict."""

    def __init__(self, flaw: Flaw, problem: str) -> None:
        super().__init__(problem)
        self.flaw = flaw


def _share(value: Any) -> Any:
    return float(value) if type(value) is int else value


class JudgeModel(BaseModel):
    """Who judged."""

    model_config = ConfigDict(extra="ignore", frozen=True, strict=True)

    name: str = Field(
        min_length=1,
        max_length=200,
        description="Of the model or the person; one name, one judge.",
        examples=["triage-llm-3"],
    )
    kind: Literal["model", "person"] = Field(description="People override models.")


class VerdictModel(BaseModel):
    """The analyst's answer on one forwarded event. Keys that are not named here are ignored."""

    model_config = ConfigDict(extra="ignore", frozen=True, strict=True)

    sf_id: str = Field(
        alias="sf-id",
        pattern=r"^[0-9a-f]{32}$",
        description="The header `sf-id` of the event, as it is.",
        examples=["9b2f0d6c1a7e4b35880f6c2d1e9a7b44"],
    )
    important: (
        bool
        | Annotated[float, BeforeValidator(_share), Field(ge=0.0, le=1.0, allow_inf_nan=False)]
        | None
    ) = Field(
        description="Whether the event matters; as a number, 0.5 and above is yes. null, with a "
        "`cause`: there is no verdict, and the event counts as one without.",
        examples=[True, 0.8],
    )
    judge: JudgeModel = Field(description="Who judged.")
    repeat: int = Field(
        default=0,
        ge=0,
        le=1_000_000,
        description="Which of several answers of this judge on this event. The same number a "
        "second time counts as the same answer delivered twice.",
    )
    reason: str | None = Field(default=None, description="In words; for people, not counted.")
    cost: _Amount | None = Field(default=None, description="Of this answer, in your currency.")
    tokens: int | None = Field(default=None, ge=0, le=_MOST_TOKENS, description="It took.")
    seconds: _Amount | None = Field(default=None, description="It took.")
    cause: str | None = Field(
        default=None, max_length=200, description="Why there is no verdict, where there is none."
    )
    answers: tuple[bool, ...] | None = Field(
        default=None,
        max_length=100,
        strict=False,
        description="Where the judge was asked several times, each answer; important is what the "
        "majority says.",
    )
    prompt: str | None = Field(
        default=None, max_length=200, description="Digest of the question that was asked."
    )
    answer_ids: tuple[str, ...] | None = Field(
        default=None,
        max_length=100,
        strict=False,
        description="The endpoint's ids of the answers that tokens and cost are a share of.",
    )
    cached: bool | None = Field(default=None, description="The answer was given before.")


def decode_verdict(value: bytes | None, *, offset: int, at_ms: int) -> OracleVerdict:
    """Read a record of the verdict topic, whatever it holds. Raises VerdictError.

    `offset`, `at_ms`: its place in the topic, and when the broker took it.
    """
    if not value:
        raise VerdictError(Flaw.EMPTY, "no value")
    if len(value) > MOST_BYTES:
        raise VerdictError(Flaw.TOO_LARGE, f"{len(value)} bytes, at most {MOST_BYTES} are read")
    try:
        model = VerdictModel.model_validate_json(value)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(step) for step in first["loc"])
        said = " ".join(str(first["msg"]).split())[:200]
        if not where:
            raise VerdictError(Flaw.UNREADABLE, said) from None
        raise VerdictError(Flaw.INVALID, f"{where}: {said}") from None
    important = model.important
    if important is None:
        if model.cause is None:
            raise VerdictError(Flaw.INVALID, "important: is null, without a cause")
        raise VerdictError(Flaw.NO_VERDICT, model.cause)
    return OracleVerdict(
        event_id=bytes.fromhex(model.sf_id),
        important=important if isinstance(important, bool) else important >= _LIKELY,
        judge=Judge(model.judge.name, model.judge.kind == "person"),
        repeat=model.repeat,
        cost=model.cost or 0.0,
        tokens=model.tokens or 0,
        seconds=model.seconds or 0.0,
        offset=offset,
        at_ms=at_ms,
    )
