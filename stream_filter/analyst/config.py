"""The config file: validated here, made into endpoints and prompts."""

import os
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson
from pydantic import ValidationError

from stream_filter.analyst.config_model import AnalystModel, EndpointModel, KeyModel, TopicModel
from stream_filter.analyst.endpoint import EndpointSpec, Form
from stream_filter.analyst.prompt import Example, Prompt
from stream_filter.analyst.redaction import KNOWN, Redaction
from stream_filter.analyst.token_counts import ByLength, ByTokenizer, TokenCounter
from stream_filter.app.durations import duration_ms
from stream_filter.app.line_file import numbered_lines
from stream_filter.app.yaml_lines import YamlDocument, explain, read_yaml
from stream_filter.core.errors import ConfigError
from stream_filter.kafka.connection import Secret


@dataclass(frozen=True, slots=True, kw_only=True)
class AnalystConfig:
    """What was asked for, ready to use. Its repr shows no secret."""

    model: AnalystModel = field(repr=False)
    endpoint: EndpointSpec
    fallback: EndpointSpec | None
    second: EndpointSpec | None
    prompts: dict[str, Prompt]
    """By analysis topic; examples that people give are not yet in them."""

    @property
    def secrets(self) -> list[str]:
        """Keys, and what is as good as one in an address: must stand in nothing that is written."""
        specs = (self.endpoint, self.fallback, self.second)
        return [secret for spec in specs if spec is not None for secret in spec.secrets]


def load_analyst(path: Path) -> AnalystConfig:
    """Read, validate, freeze. Raises ConfigError with a line for each problem."""
    document = read_yaml(path)
    try:
        model = AnalystModel.model_validate(document.values)
    except ValidationError as error:
        raise explain(error, document, AnalystModel) from error
    if problems := list(_problems(model, document)):
        raise ConfigError(*problems)
    counter = ByTokenizer(model.tokenizer) if model.tokenizer else ByLength()
    return AnalystConfig(
        model=model,
        endpoint=_spec(model.endpoint, document, "endpoint"),
        fallback=_spec(model.fallback, document, "fallback") if model.fallback else None,
        second=_spec(model.second, document, "second") if model.second else None,
        prompts={
            topic: _prompt(topic, given, document, counter) for topic, given in model.topics.items()
        },
    )


def _problems(model: AnalystModel, document: YamlDocument) -> list[str]:
    problems = []
    judges = [
        (name, given.judge or given.model)
        for name in ("endpoint", "fallback", "second")
        if (given := getattr(model, name)) is not None
    ]
    for number, (name, judge) in enumerate(judges):
        if judge in [other for _, other in judges[:number]]:
            problems.append(
                document.problem((name,), f"is the judge {judge!r} again: give it a judge's name")
            )
    limits = model.limits
    if limits.budget_per_day is not None:
        problems += [
            document.problem((name,), "has no price, which budget_per_day needs: add price")
            for name, _ in judges
            if getattr(model, name).price is None
        ]
    longest = model.batch.tokens + max(len(t.task) for t in model.topics.values())
    if limits.tokens_per_minute is not None and limits.tokens_per_minute < 2 * longest:
        problems.append(
            document.problem(
                ("limits", "tokens_per_minute"),
                f"{limits.tokens_per_minute} has no room for two prompts of batch.tokens: lower "
                f"batch.tokens below {limits.tokens_per_minute // 2}",
            )
        )
    if model.outage is not None and limits.tokens_per_minute is not None:
        most = limits.tokens_per_minute // 2
        if model.outage.ask and model.outage.tokens > most:
            problems.append(
                document.problem(
                    ("outage", "tokens"),
                    f"{model.outage.tokens} is more than half of limits.tokens_per_minute: lower "
                    f"it to {most} or less",
                )
            )
    return problems


def _spec(given: EndpointModel, document: YamlDocument, name: str) -> EndpointSpec:
    price = given.price
    return EndpointSpec(
        base_url=given.base_url,
        model=given.model,
        judge=given.judge or given.model,
        key=_secret(given.key, document, name) if given.key else None,
        input_price=price.input if price else 0.0,
        output_price=price.output if price else 0.0,
        form=None if given.structured == "auto" else Form(given.structured),
        timeout_s=duration_ms(given.timeout) / 1000,
        temperature=given.temperature,
        answer_tokens=given.answer_tokens,
        proxy=given.proxy,
        ca_file=given.ca_file,
    )


def _secret(given: KeyModel, document: YamlDocument, name: str) -> Secret:
    if given.env is not None:
        value = os.environ.get(given.env, "")
        problem, way_out = f"the variable {given.env} is not set", "set it"
        place: tuple[str, ...] = (name, "key", "env")
    else:
        place, value = (name, "key", "file"), ""
        problem, way_out = f"{given.file} is empty", "put the key in it"
        try:
            value = Path(str(given.file)).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            problem, way_out = f"{given.file} cannot be read: {_said(error)}", "check the path"
    if not value.strip():
        raise ConfigError(document.problem(place, f"{problem}: {way_out}"))
    if not re.fullmatch(r"[\x21-\x7e]+", value.strip()):
        problem = "the key has characters that no key has"
        raise ConfigError(document.problem(place, f"{problem}: it is visible ASCII, one line"))
    return Secret(value.strip())


def _said(error: Exception) -> str:
    return str(error.strerror) if isinstance(error, OSError) else "it is not UTF-8"


def _prompt(topic: str, given: TopicModel, document: YamlDocument, counter: TokenCounter) -> Prompt:
    redactions = [
        Redaction(*KNOWN[each])
        if isinstance(each, str)
        else Redaction(each.pattern, each.replacement)
        for each in given.redact
    ]
    try:
        return Prompt(
            task=given.task,
            template=given.event,
            redactions=redactions,
            counter=counter,
            max_event_tokens=given.max_event_tokens,
            fold=given.fold,
            examples=_examples(given.examples) if isinstance(given.examples, Path) else (),
            with_reasons=given.reasons,
        )
    except ValueError as error:
        raise ConfigError(document.problem(("topics", topic, "event"), str(error))) from None


def _examples(path: Path) -> list[Example]:
    examples = []
    for number, line in numbered_lines(path):
        if not line.strip():
            continue
        try:
            row: Any = orjson.loads(line)
        except orjson.JSONDecodeError as error:
            raise ConfigError(f"{path}:{number}: broken JSON: {error}") from None
        event = row.get("event", row.get("text")) if isinstance(row, dict) else None
        if event is None or not isinstance(row.get("important"), bool):
            raise ConfigError(
                f"{path}:{number}: an example is {{event or text, important}}, with true or false"
            )
        value = event.encode() if isinstance(event, str) else orjson.dumps(event)
        examples.append(Example(value, row["important"]))
    return examples
