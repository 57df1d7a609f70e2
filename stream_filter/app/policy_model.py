"""The policy file's keys: as they are written."""

from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    field_validator,
    model_validator,
)

from stream_filter.app.budget_model import BudgetModel, OverloadModel
from stream_filter.app.durations import DURATION_PATTERN, check_duration
from stream_filter.app.target_model import (
    CalibrationModel,
    FieldNames,
    HoldoutModel,
    LongDuration,
    OnFailureName,
    SignsModel,
    SlicesModel,
    TargetModel,
    check_path,
)
from stream_filter.core.template import parse_template

HOLDOUT = 0.01
"""Where none is given."""

_Share = Annotated[float, Field(ge=0.0, le=1.0, allow_inf_nan=False)]
_Percent = Annotated[float, Field(ge=0.0, le=100.0, allow_inf_nan=False)]
_Duration = Annotated[
    str, BeforeValidator(check_duration), Field(json_schema_extra={"pattern": DURATION_PATTERN})
]
_TopicName = Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]{1,249}$")]


class _Closed(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class RawModel(_Closed):
    """Thresholds on the score, chosen by hand."""

    drop_below: _Share = Field(description="Scores below are dropped.", examples=[0.2])
    keep_above: _Share = Field(description="Scores at or above are kept.", examples=[0.8])

    @model_validator(mode="after")
    def _ordered(self) -> "RawModel":
        if self.drop_below > self.keep_above:
            raise ValueError(
                f"thresholds are crossed: drop_below {self.drop_below} is above keep_above "
                f"{self.keep_above}; swap them"
            )
        return self


class PackModel(_Closed):
    """A model pack and the id that the thresholds were made for."""

    pack: str = Field(description="Folder name of the pack.", examples=["triage-starter"])
    id: str | None = Field(
        default=None,
        pattern=r"^[0-9a-f]{16}$",
        description="The pack's id, as `stream-filter check` prints it. Another pack is refused.",
        examples=["0123456789abcdef"],
    )


class NoveltyModel(_Closed):
    """The first occurrences of a text that would be dropped are forwarded."""

    forward_first: int = Field(
        ge=1, le=1_000_000, description="How many of each canonical text.", examples=[5]
    )


class FoldModel(_Closed):
    """In a storm of equal texts a few are forwarded, the rest counted in one summary."""

    window: _Duration = Field(
        description="Length of a window of the records' time, from 1s to 1d.", examples=["60s"]
    )
    keep: int = Field(
        ge=1,
        le=1_000_000,
        description="How many of a text are forwarded in a window.",
        examples=[3],
    )


class RampModel(_Closed):
    """A part on which the policy acts."""

    percent: _Percent = Field(description="Percent, from 0 to 100.", examples=[10])
    by: Literal["position", "key"] = Field(
        default="position",
        description="What is drawn: each record by its position, or each key with all its records.",
        examples=["key"],
    )

    @field_validator("percent", mode="before")
    @classmethod
    def _whole_percent(cls, value: Any) -> Any:
        return float(value) if type(value) is int else value


class ForwardToModel(_Closed):
    """A topic for each reason."""

    default: _TopicName = Field(
        description="For every reason that is not named.", examples=["llm.analysis"]
    )
    important: _TopicName | None = Field(
        default=None, description="Scores at or above keep_above.", examples=["pages"]
    )
    ambiguous: _TopicName | None = Field(
        default=None, description="Scores between the thresholds.", examples=["llm.analysis"]
    )
    rule: _TopicName | None = Field(
        default=None, description="What a rule keeps or abstains on.", examples=["pages"]
    )
    novel: _TopicName | None = Field(
        default=None, description="The first of a text.", examples=["llm.novel"]
    )
    holdout: _TopicName | None = Field(
        default=None, description="Drops forwarded to learn from.", examples=["llm.audit"]
    )
    shadow: _TopicName | None = Field(
        default=None, description="What the gate does not act on.", examples=["llm.shadow"]
    )
    degraded: _TopicName | None = Field(
        default=None, description="What the model gave no score.", examples=["llm.unread"]
    )
    unreadable: _TopicName | None = Field(
        default=None, description="What has no text.", examples=["llm.unread"]
    )
    overloaded: _TopicName | None = Field(
        default=None, description="What the model had no time for.", examples=["llm.unread"]
    )
    text_cut: _TopicName | None = Field(
        default=None,
        description="What is too long to be read whole, and not important by head and tail.",
        examples=["llm.long"],
    )
    over_budget: _TopicName | None = Field(
        default=None,
        description="With overflow: forward, what the budget would refuse.",
        examples=["llm.cheap"],
    )
    paused: _TopicName | None = Field(
        default=None, description="All, while the topic is paused.", examples=["llm.analysis"]
    )
    duplicate: _TopicName | None = Field(
        default=None, description="Fold summaries.", examples=["storms"]
    )


class RuleModel(_Closed):
    """A condition on a record, and the verdict where it holds."""

    name: str | None = Field(
        default=None,
        pattern=r"^[A-Za-z0-9][A-Za-z0-9 ._-]{0,63}$",
        description="What ledger, headers and metrics call the rule; without it its place: #1.",
        examples=["health checks"],
    )
    when: str = Field(
        description="A condition in CEL on the fields of the event, `key`, `headers` and "
        "`timestamp`.",
        examples=['level == "FATAL"', 'path.startsWith("/healthz")'],
    )
    then: Literal["keep", "drop", "abstain"] = Field(
        description="The verdict where it holds.", examples=["drop"]
    )
    holdout: _Share | None = Field(
        default=None,
        description="Share of what this rule drops that is forwarded all the same, instead of "
        "the topic's.",
        examples=[0],
    )

    @field_validator("holdout", mode="before")
    @classmethod
    def _whole_share(cls, value: Any) -> Any:
        return float(value) if type(value) is int else value

    @model_validator(mode="after")
    def _only_drops_have_a_holdout(self) -> "RuleModel":
        if self.holdout is not None and self.then != "drop":
            raise ValueError("holdout: only a rule that drops has one; leave it out")
        return self


class ChallengerModel(_Closed):
    """What decides beside the topic, and never acts. What is not named is the topic's own."""

    model: str | PackModel | None = Field(
        default=None, description="Another pack.", examples=["payments-2"]
    )
    raw: RawModel | None = Field(
        default=None,
        description="Other thresholds.",
        examples=[{"drop_below": 0.3, "keep_above": 0.8}],
    )
    text: str | None = Field(
        default=None, description="Another template of fields.", examples=["{level} {message}"]
    )
    rules: list[RuleModel] | None = Field(
        default=None,
        max_length=1000,
        description="Other rules, in place of the topic's. []: none.",
        examples=[[{"when": 'level == "DEBUG"', "then": "drop"}]],
    )

    @model_validator(mode="after")
    def _differs_in_something(self) -> "ChallengerModel":
        if not self.model_fields_set:
            raise ValueError("a challenger that is the champion: name model, raw, text or rules")
        return self


class TopicModel(_Closed):
    """What the gate does with one topic, or with all that a glob matches."""

    format: Literal["json", "text"] = Field(
        default="json",
        description="How a value is read: a JSON object, or a line of text.",
        examples=["json", "text"],
    )
    text: str | None = Field(
        default=None,
        description="JSON: the fields that the model reads, as a template.",
        examples=["{service} {level} {message}"],
    )
    model: str | PackModel = Field(
        description="The model pack that gives the scores: its folder's name, or name and id.",
        examples=["triage-starter", {"pack": "triage-starter", "id": "0123456789abcdef"}],
    )
    raw: RawModel | None = Field(
        default=None,
        description="Thresholds on the score: below the first drop, from the second on keep, "
        "between them abstain. Required where there is no target.",
        examples=[{"drop_below": 0.2, "keep_above": 0.8}],
    )
    target: TargetModel | None = Field(
        default=None,
        description="The recall to be certified. Without raw, nothing is dropped for its score "
        "until a threshold is calibrated. null: no target.",
        examples=[{"recall": 0.95, "failure_probability": 0.05}],
    )
    calibration: CalibrationModel | None = Field(
        default=None,
        description="What raw was calibrated for, written by `stream-filter calibrate`. Another "
        "pack, mask set or text is refused. null: raw was chosen by hand.",
        examples=[
            {
                "drop_below": 0.2,
                "recall": 0.95,
                "failure_probability": 0.05,
                "pack": "0123456789abcdef",
                "masks": "masks-2",
                "reading": "0123456789abcdef",
                "labels": "0123456789abcdef",
                "positives": 300,
                "at": "2026-01-31T12:00:00Z",
            }
        ],
    )
    mode: Literal["shadow", "enforce"] = Field(
        default="shadow",
        description="shadow: decide, forward everything; enforce: act.",
        examples=["shadow", "enforce"],
    )
    holdout: _Share | HoldoutModel = Field(
        default=HOLDOUT,
        description="Share of would-be drops that is forwarded all the same; or by when a "
        "certificate is wanted, which it follows from.",
        examples=[0.01, {"certify_within": "24h", "rate": "50000/s", "prevalence": 0.001}],
    )
    epoch: LongDuration = Field(
        default="7d",
        description="For how long evidence is counted together; each epoch has bounds of its own.",
        examples=["7d"],
    )
    max_age: LongDuration = Field(
        default="1d",
        description="Without a verdict for so long, a certificate is stale.",
        examples=["6h"],
    )
    patience: LongDuration = Field(
        default="10m",
        description="An event that waits longer for its verdict counts against the gate.",
        examples=["10m"],
    )
    on_failure: OnFailureName = Field(
        default="forward_all",
        description="What all workers do when the certificate is refuted or stale.",
        examples=["forward_all", "widen", "shadow"],
    )
    slices: FieldNames | SlicesModel | None = Field(
        default=None,
        description="Fields by whose values recall is watched apart, with a floor for each. "
        "null: none.",
        examples=[["service"], {"by": ["service"], "recall": 0.8}],
    )
    signs: SignsModel | None = Field(
        default=SignsModel(),
        description="From where on a sign of drift that needs no verdict makes the certificate "
        "stale: how scores are spread, how many texts are new. null: neither is looked for.",
        examples=[{"scores": 0.2, "novelty": 0.2, "window": "10m"}],
    )
    forward_to: _TopicName | ForwardToModel = Field(
        default="llm.analysis",
        description="The topic that forwarded records go to; or one for each reason.",
        examples=["llm.analysis", {"important": "pages", "default": "llm.analysis"}],
    )
    novelty: NoveltyModel | None = Field(
        default=None,
        description="Forward the first of each text that would be dropped. null: none.",
        examples=[{"forward_first": 5}],
    )
    fold: FoldModel | None = Field(
        default=None,
        description="Forward the first of equal texts in a window, count the rest. null: no fold.",
        examples=[{"window": "60s", "keep": 3}],
    )
    long_texts: Literal["forward", "score"] = Field(
        default="forward",
        description="Of a text of more than 2,048 characters head and tail are read. forward: it "
        "is never dropped for its score; score: head and tail decide.",
        examples=["score"],
    )
    ramp: _Percent | RampModel = Field(
        default=100.0,
        description="Percent of the records on which mode: enforce acts, drawn by position or key.",
        examples=[10, {"percent": 10, "by": "key"}],
    )

    budget: BudgetModel | None = Field(
        default=None,
        description="The most that is forwarded, shared out to the topic's partitions. null: no "
        "limit.",
        examples=[{"per_minute": 300, "overflow": "defer"}],
    )
    overload: OverloadModel | None = Field(
        default=None,
        description="What happens when new texts come faster than the model reads. null: the gate "
        "waits for the model, and nobody is told.",
        examples=[{"max_lag": "30s", "then": "forward"}],
    )
    challenger: ChallengerModel | None = Field(
        default=None,
        description="A second policy or pack, decided beside this one and compared in the ledger; "
        "it never acts. null: none.",
        examples=[{"model": "payments-2"}, {"raw": {"drop_below": 0.3, "keep_above": 0.8}}],
    )
    redact: list[Annotated[str, AfterValidator(check_path)]] = Field(
        default=[],
        max_length=100,
        description="Fields that commands which show or export payloads leave out.",
        examples=[["user.email", "card"]],
    )
    undo_for: LongDuration | None = Field(
        default=None,
        description="For how long a drop must be undoable: a source whose retention is shorter is "
        "warned of. null: nobody asks.",
        examples=["7d"],
    )
    rules: list[RuleModel] = Field(
        default=[],
        max_length=1000,
        description="Conditions that decide before the model does; the first that holds counts.",
        examples=[[{"when": 'level == "FATAL"', "then": "keep"}]],
    )

    @field_validator("holdout", "ramp", mode="before")
    @classmethod
    def _whole_share(cls, value: Any) -> Any:
        return float(value) if type(value) is int else value

    @model_validator(mode="after")
    def _has_thresholds_or_a_target(self) -> "TopicModel":
        if self.raw is None and self.target is None:
            raise ValueError(
                "raw: is missing: give raw thresholds, or a target like {recall: 0.95}"
            )
        return self

    @model_validator(mode="after")
    def _text_fits_format(self) -> "TopicModel":
        templates = [self.text]
        if self.challenger is not None and self.challenger.text is not None:
            templates.append(self.challenger.text)
        if self.format == "text" and any(templates):
            raise ValueError("text: plain text is read whole; leave `text` out or use format: json")
        if self.format == "json":
            if self.text is None:
                raise ValueError(
                    "text: is missing: name the fields to read, like '{level} {message}'"
                )
            for template in filter(None, templates):
                try:
                    parse_template(template)
                except ValueError as error:
                    raise ValueError(f"text: {error}") from error
        return self


class DefaultsModel(_Closed):
    """Values for every topic that does not set its own."""

    format: Literal["json", "text"] | None = None
    text: str | None = None
    model: str | PackModel | None = None
    raw: RawModel | None = None
    mode: Literal["shadow", "enforce"] | None = None
    target: TargetModel | None = None
    calibration: CalibrationModel | None = None
    holdout: _Share | HoldoutModel | None = None
    epoch: LongDuration | None = None
    max_age: LongDuration | None = None
    patience: LongDuration | None = None
    on_failure: OnFailureName | None = None
    slices: FieldNames | SlicesModel | None = None
    signs: SignsModel | None = None
    forward_to: _TopicName | ForwardToModel | None = None
    novelty: NoveltyModel | None = None
    fold: FoldModel | None = None
    long_texts: Literal["forward", "score"] | None = None
    ramp: _Percent | RampModel | None = None
    budget: BudgetModel | None = None
    overload: OverloadModel | None = None
    challenger: ChallengerModel | None = None
    redact: list[Annotated[str, AfterValidator(check_path)]] | None = None
    undo_for: LongDuration | None = None
    rules: list[RuleModel] | None = None


class PolicyModel(_Closed):
    """A policy file."""

    version: Literal[1] = Field(description="Version of this format.", examples=[1])
    defaults: DefaultsModel = Field(
        default=DefaultsModel(),
        description="What holds for every topic that does not set its own value.",
        examples=[{"model": "triage-starter", "raw": {"drop_below": 0.2, "keep_above": 0.8}}],
    )
    budgets: dict[_TopicName, BudgetModel] = Field(
        default={},
        description="The most that is forwarded to a topic, by its name, whoever forwards there.",
        examples=[{"llm.analysis": {"per_minute": 300, "tokens_per_day": 20_000_000}}],
    )
    topics: dict[str, TopicModel] = Field(
        min_length=1,
        description="What the gate does, by topic name or by glob (`*`, `?`, `[…]`).",
        examples=[
            {
                "payments.logs": {
                    "text": "{service} {level} {message}",
                    "model": "triage-starter",
                    "raw": {"drop_below": 0.2, "keep_above": 0.8},
                }
            }
        ],
    )

    @field_validator("version", mode="before")
    @classmethod
    def _is_a_number(cls, value: Any) -> Any:
        return str(value) if isinstance(value, bool) else value  # True equals 1
