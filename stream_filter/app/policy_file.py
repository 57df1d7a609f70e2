"""The policy file: validated here, frozen into `core.policy`."""

from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    field_validator,
    model_validator,
)

from stream_filter.app.budget_model import (
    BudgetModel,
    OverloadModel,
    freeze_budget,
    freeze_overload,
)
from stream_filter.app.durations import DURATION_PATTERN, check_duration, duration_ms
from stream_filter.app.policy_rules import rule_problems
from stream_filter.app.target_model import (
    TARGET_KEYS,
    UNCALIBRATED,
    CalibrationModel,
    FieldNames,
    HoldoutModel,
    LongDuration,
    OnFailureName,
    SlicesModel,
    TargetModel,
    freeze_calibration,
    freeze_holdout,
    freeze_target,
)
from stream_filter.app.target_problems import target_problems
from stream_filter.app.yaml_lines import YamlDocument, explain, read_yaml
from stream_filter.core.errors import ConfigError
from stream_filter.core.holdout_choice import CertifyWithin, choose_holdout
from stream_filter.core.policy import (
    Fold,
    Format,
    Mode,
    Novelty,
    Policy,
    Rule,
    Thresholds,
    TopicPolicy,
)
from stream_filter.core.targets import Target
from stream_filter.core.template import parse_template

LATER = {
    "challenger": "leave it out",
    "redact": "leave it out",
    "undo_for": "leave it out",
    "priority": "leave it out",
    "schedule": "leave it out",
}
"""Keys that have their place in the policy and no meaning yet: refused, never ignored."""

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
                "masks": "masks-1",
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
    forward_to: _TopicName = Field(
        default="llm.analysis",
        description="The topic that forwarded records go to.",
        examples=["llm.analysis"],
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
    ramp: _Percent = Field(
        default=100.0,
        description="Percent of the records on which mode: enforce acts.",
        examples=[10],
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
        if self.format == "text" and self.text is not None:
            raise ValueError("text: plain text is read whole; leave `text` out or use format: json")
        if self.format == "json":
            if self.text is None:
                raise ValueError(
                    "text: is missing: name the fields to read, like '{level} {message}'"
                )
            try:
                parse_template(self.text)
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
    on_failure: OnFailureName | None = None
    slices: FieldNames | SlicesModel | None = None
    forward_to: _TopicName | None = None
    novelty: NoveltyModel | None = None
    fold: FoldModel | None = None
    ramp: _Percent | None = None
    budget: BudgetModel | None = None
    overload: OverloadModel | None = None
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


def load_policy(path: Path) -> Policy:
    """Read, validate, freeze. Raises ConfigError with a line for each problem."""
    return freeze_policy(read_yaml(path))


def freeze_policy(document: YamlDocument) -> Policy:
    """Validate and freeze what was read. Raises ConfigError with a line for each problem."""
    _refuse_later(document)
    try:
        parsed = PolicyModel.model_validate(with_defaults(document.values))
    except ValidationError as error:
        raise explain(error, document, PolicyModel) from error
    policy = _bound_to_packs(
        Policy(
            topics=tuple(
                _freeze(name, rules, parsed.budgets.get(rules.forward_to))
                for name, rules in parsed.topics.items()
            )
        )
    )
    problems = [
        document.problem(("topics", name), problem)
        for name in parsed.topics
        for problem in _topic_problems(name, policy)
    ]
    problems += [
        document.problem(("budgets", target), "no topic forwards there: correct the name")
        for target in parsed.budgets
        if target not in policy.targets
    ]
    for rules in policy.topics:
        problems += [*rule_problems(rules, document), *target_problems(rules, document)]
    if problems:
        raise ConfigError(*dict.fromkeys(problems))
    return policy


def _refuse_later(document: YamlDocument) -> None:
    topics = document.values.get("topics")
    blocks: list[tuple[tuple[str, ...], Any]] = [(("defaults",), document.values.get("defaults"))]
    blocks += [(("topics", n), t) for n, t in topics.items()] if isinstance(topics, dict) else []
    problems = [
        document.problem((*place, key), f"not supported by this version yet: {LATER[key]}")
        for place, block in blocks
        if isinstance(block, dict)
        for key in block
        if key in LATER
    ]
    for place, block in blocks:
        if isinstance(block, dict) and isinstance(block.get("forward_to"), dict):
            problems.append(
                document.problem(
                    (*place, "forward_to"),
                    "a topic for each reason is not supported by this version yet: name one topic",
                )
            )
    if problems:
        raise ConfigError(*problems)


def with_defaults(values: dict[str, Any]) -> dict[str, Any]:
    """The same policy, with the defaults written into each topic that takes them."""
    defaults, topics = values.get("defaults"), values.get("topics")
    if not isinstance(defaults, dict) or not isinstance(topics, dict):
        return values
    merged = {
        name: {
            **{
                k: v
                for k, v in defaults.items()
                if k in TopicModel.model_fields and _fits(k, rules, defaults)
            },
            **rules,
        }
        if isinstance(rules, dict)
        else rules
        for name, rules in topics.items()
    }
    return {**values, "topics": merged}


def _fits(key: str, rules: dict[str, Any], defaults: dict[str, Any]) -> bool:
    """A default text template is not for topics of plain text, and what belongs to a target not
    for topics without one."""
    if key == "text":
        return rules.get("format") != "text"
    return key not in TARGET_KEYS or {**defaults, **rules}.get("target") is not None


def _freeze(name: str, rules: TopicModel, shared: BudgetModel | None) -> TopicPolicy:
    pack = PackModel(pack=rules.model) if isinstance(rules.model, str) else rules.model
    target = freeze_target(rules) if rules.target else None
    wanted = freeze_holdout(rules.holdout) if isinstance(rules.holdout, HoldoutModel) else None
    return TopicPolicy(
        topic=name,
        format=Format(rules.format),
        text=parse_template(rules.text) if rules.text is not None else None,
        model=pack.pack,
        model_id=pack.id,
        thresholds=Thresholds(drop_below=rules.raw.drop_below, keep_above=rules.raw.keep_above)
        if rules.raw
        else UNCALIBRATED,
        mode=Mode(rules.mode),
        holdout=rules.holdout if isinstance(rules.holdout, float) else _chosen(wanted, target),
        forward_to=rules.forward_to,
        novelty=Novelty(forward_first=rules.novelty.forward_first) if rules.novelty else None,
        fold=Fold(window_ms=duration_ms(rules.fold.window), keep=rules.fold.keep)
        if rules.fold
        else None,
        ramp=rules.ramp,
        rules=tuple(Rule(**rule.model_dump()) for rule in rules.rules),
        target=target,
        calibrated_for=freeze_calibration(rules.calibration) if rules.calibration else None,
        is_uncalibrated=rules.raw is None,
        certify_within=wanted,
        budget=freeze_budget(rules.budget, shared),
        overload=freeze_overload(rules.overload) if rules.overload else None,
    )


def _chosen(wanted: CertifyWithin | None, target: Target | None) -> float:
    """What is refused afterwards, or follows from nothing known, has the usual holdout."""
    chosen = choose_holdout(wanted, target) if wanted and target else None
    return HOLDOUT if chosen is None else chosen


def _bound_to_packs(policy: Policy) -> Policy:
    """The same policy, each pack with the id that thresholds were calibrated for: it is one pack
    for all topics that name it."""
    ids = {r.model: r.calibrated_for.model_id for r in policy.topics if r.calibrated_for}
    return Policy(
        topics=tuple(
            replace(rules, model_id=rules.model_id or ids.get(rules.model))
            for rules in policy.topics
        )
    )


def _topic_problems(name: str, policy: Policy) -> list[str]:
    problems = []
    rules = next(rules for rules in policy.topics if rules.topic == name)
    plain = name if not rules.is_pattern else name.translate({ord(c): "x" for c in "*?[]!"})
    if plain in {"", ".", ".."} or len(plain) > 249 or not set(plain) <= _NAME_CHARACTERS:
        problems.append("not a topic name: letters, digits, '.', '_', '-', or a glob of them")
    for other in policy.topics:
        if other.forward_to == name:
            problems.append(
                f"{other.topic} forwards to it: a gate that reads what it wrote would feed "
                "itself; use another forward_to"
            )
    if "/" in rules.model or rules.model in {"", ".", ".."}:
        problems.append(f"model: {rules.model!r} is not a pack's folder name")
    for other in policy.topics:
        if other.model == rules.model and other.model_id != rules.model_id:
            problems.append(f"model: {other.topic} uses the pack {rules.model} with another id")
    return problems


_NAME_CHARACTERS = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-")
