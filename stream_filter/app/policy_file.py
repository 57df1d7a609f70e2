"""The policy file: validated here, frozen into `core.policy`."""

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

from stream_filter.app.durations import DURATION_PATTERN, check_duration, duration_ms
from stream_filter.app.policy_rules import rule_problems
from stream_filter.app.yaml_lines import YamlDocument, explain, read_yaml
from stream_filter.core.errors import ConfigError
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
from stream_filter.core.template import parse_template

LATER = {
    "target": "give raw thresholds",
    "budget": "leave it out",
    "overload": "leave it out",
    "challenger": "leave it out",
    "on_failure": "leave it out",
    "epoch": "leave it out",
    "max_age": "leave it out",
    "slices": "leave it out",
    "redact": "leave it out",
    "undo_for": "leave it out",
    "priority": "leave it out",
    "schedule": "leave it out",
}
"""Keys that have their place in the policy and no meaning yet: refused, never ignored."""

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
    raw: RawModel = Field(
        description="Thresholds on the score: below the first drop, from the second on keep, "
        "between them abstain.",
        examples=[{"drop_below": 0.2, "keep_above": 0.8}],
    )
    mode: Literal["shadow", "enforce"] = Field(
        default="shadow",
        description="shadow: decide, forward everything; enforce: act.",
        examples=["shadow", "enforce"],
    )
    holdout: _Share = Field(
        default=0.01,
        description="Share of would-be drops that is forwarded all the same.",
        examples=[0.01],
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
    holdout: _Share | None = None
    forward_to: _TopicName | None = None
    novelty: NoveltyModel | None = None
    fold: FoldModel | None = None
    ramp: _Percent | None = None
    rules: list[RuleModel] | None = None


class PolicyModel(_Closed):
    """A policy file."""

    version: Literal[1] = Field(description="Version of this format.", examples=[1])
    defaults: DefaultsModel = Field(
        default=DefaultsModel(),
        description="What holds for every topic that does not set its own value.",
        examples=[{"model": "triage-starter", "raw": {"drop_below": 0.2, "keep_above": 0.8}}],
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
    policy = Policy(topics=tuple(_freeze(name, rules) for name, rules in parsed.topics.items()))
    problems = [
        document.problem(("topics", name), problem)
        for name in parsed.topics
        for problem in _topic_problems(name, policy)
    ]
    for rules in policy.topics:
        problems += rule_problems(rules, document)
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
                if k in TopicModel.model_fields and _fits(k, rules)
            },
            **rules,
        }
        if isinstance(rules, dict)
        else rules
        for name, rules in topics.items()
    }
    return {**values, "topics": merged}


def _fits(key: str, rules: dict[str, Any]) -> bool:
    """A default text template is not for topics of plain text."""
    return not (key == "text" and rules.get("format") == "text")


def _freeze(name: str, rules: TopicModel) -> TopicPolicy:
    pack = PackModel(pack=rules.model) if isinstance(rules.model, str) else rules.model
    return TopicPolicy(
        topic=name,
        format=Format(rules.format),
        text=parse_template(rules.text) if rules.text is not None else None,
        model=pack.pack,
        model_id=pack.id,
        thresholds=Thresholds(drop_below=rules.raw.drop_below, keep_above=rules.raw.keep_above),
        mode=Mode(rules.mode),
        holdout=rules.holdout,
        forward_to=rules.forward_to,
        novelty=Novelty(forward_first=rules.novelty.forward_first) if rules.novelty else None,
        fold=Fold(window_ms=duration_ms(rules.fold.window), keep=rules.fold.keep)
        if rules.fold
        else None,
        ramp=rules.ramp,
        rules=tuple(Rule(**rule.model_dump()) for rule in rules.rules),
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
