"""The analyst's config file, as it stands in YAML. Published in schemas/analyst.schema.json."""

import re
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from stream_filter.analyst.prompt import DEFAULT_TASK
from stream_filter.analyst.redaction import KNOWN, check_pattern
from stream_filter.app.durations import (
    DURATION_PATTERN,
    check_duration,
    check_long_duration,
    duration_ms,
)

_Share = Annotated[float, Field(gt=0.0, le=1.0, allow_inf_nan=False)]
_Price = Annotated[float, Field(ge=0.0, le=1e6, allow_inf_nan=False)]
_Duration = Annotated[
    str, BeforeValidator(check_duration), Field(json_schema_extra={"pattern": DURATION_PATTERN})
]
_LongDuration = Annotated[
    str,
    BeforeValidator(check_long_duration),
    Field(json_schema_extra={"pattern": DURATION_PATTERN}),
]


def _check_address(schemes: str) -> BeforeValidator:
    def check(value: Any) -> Any:
        # What stands here may have a password in it: it must not be printed.
        try:
            is_one = bool(
                re.fullmatch(rf"({schemes})://[^\s?#]+", value) and urlsplit(value).port != 0
            )
        except (TypeError, ValueError):
            is_one = False
        if not is_one:
            raise ValueError(
                f"an address is one of {schemes.replace('|', ', ')}, ://, host and path"
            )
        return value

    return BeforeValidator(check)


_Address = Annotated[
    str,
    _check_address("http|https"),
    Field(json_schema_extra={"pattern": r"^https?://[^\s?#]+$"}),
]
_Proxy = Annotated[
    str,
    _check_address("http|https|socks5|socks5h"),
    Field(json_schema_extra={"pattern": r"^(https?|socks5h?)://[^\s?#]+$"}),
]
_Path = Annotated[str, Field(min_length=1, max_length=200)]


class _Closed(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class KeyModel(_Closed):
    """Where the endpoint's key is. It never stands in this file."""

    env: str | None = Field(default=None, description="The name of an environment variable.")
    file: Path | None = Field(default=None, description="A file that holds nothing else.")

    @model_validator(mode="before")
    @classmethod
    def _is_no_key(cls, given: Any) -> Any:
        # What stands here may be the key itself: it must not be printed.
        if not isinstance(given, dict):
            raise ValueError("a key does not stand in this file: write {env: NAME} or {file: PATH}")
        name = given.get("env")
        if name is not None and not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]{0,99}", str(name)):
            raise ValueError("env is the name of a variable, not the key: letters, digits and _")
        return given

    @model_validator(mode="after")
    def _is_one(self) -> "KeyModel":
        if (self.env is None) is (self.file is None):
            raise ValueError("give one of env, the variable's name, and file, its path")
        return self


class PriceModel(_Closed):
    """Of a million tokens, in your currency."""

    input: _Price = Field(description="Of what is asked.")
    output: _Price = Field(description="Of what is answered.")


class EndpointModel(_Closed):
    """An OpenAI-compatible endpoint: hosted, vLLM, llama.cpp, Ollama."""

    base_url: _Address = Field(
        description="Up to /v1.",
        examples=["http://localhost:8000/v1"],
    )
    model: str = Field(min_length=1, max_length=200, description="The model's name there.")
    judge: str | None = Field(
        default=None,
        min_length=1,
        max_length=200,
        description="Its name in verdicts; unset: the model's. One name, one judge.",
    )
    key: KeyModel | None = Field(default=None, description="Unset: the endpoint wants none.")
    price: PriceModel | None = Field(default=None, description="Unset: it costs nothing.")
    structured: Literal["auto", "json_schema", "tool", "json_object"] = Field(
        default="auto",
        description="How answers of a schema are asked for. auto: the first of these that the "
        "server takes.",
    )
    timeout: _Duration = Field(default="60s", description="Of one request.")
    temperature: float | None = Field(
        default=0.0, ge=0.0, le=2.0, description="null: the server's own."
    )
    answer_tokens: int = Field(
        default=60, ge=8, le=100_000, description="Room for the answer on one event."
    )
    proxy: _Proxy | None = Field(
        default=None, description="An HTTP proxy, or a SOCKS one (with the package socksio)."
    )
    ca_file: Path | None = Field(
        default=None, description="PEM file of the authorities to trust; unset: the system's."
    )


class LimitsModel(_Closed):
    """What the whole group of analysts may do, however many there are."""

    requests_per_minute: int | None = Field(default=None, ge=1, description="In any 60 s.")
    tokens_per_minute: int | None = Field(default=None, ge=1, description="In any 60 s.")
    concurrency: int = Field(
        default=8, ge=1, le=1_000, description="Prompts on their way at once, of one analyst."
    )
    budget_per_day: float | None = Field(
        default=None,
        gt=0.0,
        allow_inf_nan=False,
        description="Money for a day (UTC), in the currency of the prices. When it is gone, "
        "records wait on the topic.",
    )


class BatchModel(_Closed):
    """How much goes into one prompt."""

    events: int = Field(default=20, ge=1, le=200, description="Most texts in one prompt.")
    tokens: int = Field(default=8_000, ge=100, description="Most tokens of texts in one prompt.")
    linger_ms: int = Field(
        default=300, ge=0, le=60_000, description="How long a prompt may wait to be filled."
    )


class CacheModel(_Closed):
    """Findings remembered by text, prompt and model."""

    entries: int = Field(default=100_000, ge=0, le=10_000_000, description="0: none.")
    max_age: _LongDuration = Field(default="1d", description="Older ones are asked again.")


def _check_redaction(value: str) -> str:
    check_pattern(value)
    return value


class RedactModel(_Closed):
    """A pattern of your own."""

    pattern: Annotated[str, AfterValidator(_check_redaction)] = Field(
        min_length=1, description="In RE2's syntax."
    )
    replacement: str = Field(default="<redacted>", description="What stands in its place.")


def _check_examples(value: Any) -> Any:
    # One line for both of what it may be.
    is_number = isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= 200
    if not is_number and not isinstance(value, str | None):
        raise ValueError("give how many of people's verdicts, 1 to 200, or the path of a file")
    return value


_Examples = Annotated[Annotated[int, Field(ge=1, le=200)] | Path, BeforeValidator(_check_examples)]


class TopicModel(_Closed):
    """How the events of one analysis topic are asked about."""

    task: str = Field(
        default=DEFAULT_TASK, min_length=1, description="What the model is to do, in words."
    )
    event: str | None = Field(
        default=None,
        min_length=1,
        description="A Jinja template of an event over its fields; unset: its whole value.",
        examples=["{{ service }} {{ level }} {{ message }}"],
    )
    redact: list[Literal["email", "ip", "card", "token", "secret"] | RedactModel] = Field(
        default=["token", "secret"],
        description=f"What is taken out before anything is sent: {', '.join(KNOWN)}, or patterns.",
    )
    fold: Literal["canonical", "exact", "off"] = Field(
        default="canonical",
        description="Which events are asked about once: of one canonical text, or of equal text.",
    )
    max_event_tokens: int = Field(
        default=500, ge=16, le=100_000, description="Of longer ones head and tail are shown."
    )
    examples: _Examples | None = Field(
        default=None,
        description="Shown to the model beforehand: so many of the events that people have judged, "
        "or a file of JSON lines {event or text, important}.",
    )
    reasons: bool = Field(default=False, description="Whether it says why, in a few words.")


class OutageFieldsModel(_Closed):
    """Where an event says who speaks, of whom, and in the course of what: dotted paths."""

    service: list[_Path] = Field(
        default=["service"], min_length=1, max_length=8, description="The first that is there."
    )
    peer: list[_Path] = Field(
        default=["peer"], max_length=8, description="Services that the event is about."
    )
    trace: list[_Path] = Field(
        default=["trace_id", "request_id"], max_length=8, description="Ids that services share."
    )


class OutageModel(_Closed):
    """The view of an outage."""

    fields: OutageFieldsModel = Field(
        default=OutageFieldsModel(), description="What tells how services hang together."
    )
    window: _Duration = Field(default="5m", description="The time that is looked at.")
    baseline: _Duration = Field(
        default="1h", description="The time before, that counts are held against."
    )
    every: _Duration = Field(default="30s", description="From one look to the next.")
    quiet: _Duration = Field(
        default="10m", description="An incident in which so long nothing complains is over."
    )
    false_alarms: float = Field(
        default=0.001,
        gt=0.0,
        le=0.1,
        allow_inf_nan=False,
        description="The chance that a window in which nothing has changed opens an incident.",
    )
    ask: bool = Field(default=True, description="Whether the judge is asked about incidents.")
    tokens: int = Field(
        default=8_000, ge=500, le=1_000_000, description="Most of what the question shows."
    )
    ask_every: _Duration = Field(
        default="5m", description="While it goes on, the judge is asked again after so long."
    )

    @model_validator(mode="after")
    def _is_in_order(self) -> "OutageModel":
        if duration_ms(self.baseline) < 4 * duration_ms(self.window):
            raise ValueError("baseline is at least four windows: raise it, or lower window")
        if duration_ms(self.baseline) > 100 * duration_ms(self.window):
            raise ValueError("baseline is at most a hundred windows: lower it, or raise window")
        if duration_ms(self.every) > duration_ms(self.window):
            raise ValueError("every is at most a window: lower it")
        return self


class SecondModel(EndpointModel):
    """Another model that is asked about a share of the events as well."""

    share: _Share = Field(description="Of the events, drawn by their ids.")


class AnalystModel(_Closed):
    """The config of `stream-filter analyst`."""

    version: Literal[1] = Field(description="Of this file's form.")
    endpoint: EndpointModel = Field(description="The judge.")
    fallback: EndpointModel | None = Field(
        default=None, description="Asked instead while the judge is down."
    )
    second: SecondModel | None = Field(default=None, description="Verifies a share.")
    repeat: int = Field(
        default=1, ge=1, le=15, description="How often each is asked; the majority counts."
    )
    limits: LimitsModel = Field(default=LimitsModel(), description="Of endpoint and fallback each.")
    batch: BatchModel = Field(default=BatchModel(), description="How much goes into one prompt.")
    cache: CacheModel = Field(default=CacheModel(), description="What is remembered.")
    tokenizer: Path | None = Field(
        default=None, description="The model's tokenizer.json; unset: a token is three bytes."
    )
    outage: OutageModel | None = Field(
        default=None, description="Incidents from what the topics say together; unset: none."
    )
    spending_topic: str = Field(
        default="stream-filter.spending",
        description="With a budget: where the analysts of the group claim parts of it.",
    )
    topics: dict[str, TopicModel] = Field(min_length=1, description="By analysis topic.")
