"""The case file, read and frozen."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from stream_filter.app.case_model import CaseModel, CasesModel
from stream_filter.app.rehearsal import RehearsedRecord
from stream_filter.app.yaml_lines import Place, YamlDocument, explain, read_yaml, short
from stream_filter.core.errors import ConfigError
from stream_filter.core.policy import Policy

_LIMIT_BYTES = 64 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoreRange:
    """Both ends included."""

    min: float
    max: float

    def __str__(self) -> str:
        return f"{self.min:g} to {self.max:g}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """A case, ready to be decided."""

    name: str
    place: str
    """`file:line`."""
    topic: str
    record: RehearsedRecord
    """At offset 0."""
    repeat: int
    expected: Mapping[str, str | ScoreRange]
    """What is looked at: `verdict`, `route`, `reason`, `rule`, `text`, `score` (a range)."""


def load_cases(path: Path, policy: Policy) -> list[Case]:
    """Read and validate. Raises ConfigError with a line for each problem.

    `.jsonl` and `.ndjson` hold a case a line, every other file YAML.
    """
    document = _read_lines(path) if path.suffix in {".jsonl", ".ndjson"} else read_yaml(path)
    try:
        parsed = CasesModel.model_validate(document.values)
    except ValidationError as error:
        raise explain(error, document, CasesModel) from error
    cases: list[Case] = []
    problems: list[str] = []
    names: dict[str, Case] = {}
    for index, model in enumerate(parsed.cases):
        place: Place = ("cases", index)
        case = _freeze(
            model, document, place, model.topic or parsed.topic or policy.only_topic or ""
        )
        cases.append(case)
        problem = _topic_problem(case.topic, policy)
        if problem:
            problems.append(document.problem((*place, "topic"), problem))
        if case.name in names:
            problems.append(
                document.problem(
                    (*place, "name"),
                    f"{short(case.name)} stands at {names[case.name].place} already: CI systems "
                    "take only one of them",
                )
            )
        names.setdefault(case.name, case)
    if problems:
        raise ConfigError(*problems)
    return cases


def _freeze(model: CaseModel, document: YamlDocument, place: Place, topic: str) -> Case:
    line = document.line(place)
    expected = model.expect.model_dump(exclude_none=True)
    if model.expect.score is not None:
        expected["score"] = ScoreRange(min=model.expect.score.min, max=model.expect.score.max)
    return Case(
        name=model.name or f"line {line}",
        place=f"{document.name}:{line}",
        topic=topic,
        record=RehearsedRecord(
            offset=0,
            timestamp=model.timestamp,
            key=None if model.key is None else model.key.encode(),
            value=model.payload if "payload" in model.model_fields_set else model.payload_base64,
            headers=tuple(
                (name, None if value is None else value.encode())
                for name, value in model.headers.items()
            ),
        ),
        repeat=model.repeat,
        expected=expected,
    )


def _topic_problem(topic: str, policy: Policy) -> str | None:
    has = f"the policy has {', '.join(rules.topic for rules in policy.topics)}"
    if not topic:
        return f"is missing: {has}"
    return None if policy.for_topic(topic) else f"no rules for {short(topic)}: {has}"


def _read_lines(path: Path) -> YamlDocument:
    """JSON lines as the document that a YAML file of the same cases would be."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}: check the path") from error
    if len(data) > _LIMIT_BYTES:
        raise ConfigError(f"{path}: {len(data)} bytes: more than {_LIMIT_BYTES} are no cases")
    cases: list[Any] = []
    lines: dict[Place, int] = {}
    for number, line in enumerate(data.removeprefix(b"\xef\xbb\xbf").split(b"\n"), 1):
        if not line.strip():
            continue
        lines["cases", len(cases)] = number
        try:
            cases.append(json.loads(line.decode(), object_pairs_hook=_without_repeats))
        except UnicodeDecodeError as error:
            raise ConfigError(f"{path}:{number}: not UTF-8 at byte {error.start}") from None
        except json.JSONDecodeError as error:
            problem = f"not JSON: {error.msg} at character {error.pos}"
            raise ConfigError(f"{path}:{number}: {problem}") from None
        except (RecursionError, ValueError) as error:
            said = "nested too deeply" if isinstance(error, RecursionError) else str(error)
            raise ConfigError(f"{path}:{number}: not JSON: {said}") from None
    return YamlDocument(str(path), {"version": 1, "cases": cases}, lines)


def _without_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    values = dict(pairs)
    if len(values) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"{twice}: stands here twice")
    return values
