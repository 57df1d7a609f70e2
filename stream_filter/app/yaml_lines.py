"""YAML with a memory of lines, so that every complaint can name its place."""

import difflib
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any, TypeAlias

import yaml
from pydantic import BaseModel, SecretStr, ValidationError
from pydantic_core import ErrorDetails

from stream_filter.core.errors import ConfigError

Place: TypeAlias = tuple[str | int, ...]
_LIMIT_BYTES = 1_000_000
_LIMIT_NODES = 100_000
_PLAIN_BRANCH = re.compile(r"(constrained-)?(str|float|int)$|list\[")
_KEYS_BRANCH = re.compile(r"(function-after\[.*, )?\w*Model\]?$")


class YamlDocument:
    """Plain values of a YAML file and the line of each key."""

    def __init__(self, name: str, values: dict[str, Any], lines: dict[Place, int]) -> None:
        self.name = name
        self.values = values
        self._lines = lines

    def line(self, place: Place) -> int:
        """The line of a place, or of the nearest thing around it."""
        while place not in self._lines and place:
            place = place[:-1]
        return self._lines.get(place, 1)

    def problem(self, place: Place, message: str) -> str:
        """`file:line: a.b: message`."""
        dotted = ".".join(str(step) for step in place)
        return f"{self.name}:{self.line(place)}: {dotted + ': ' if dotted else ''}{message}"


def read_yaml(path: Path) -> YamlDocument:
    """Read a mapping. Raises ConfigError: not readable, not YAML, not a mapping, a key twice."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}: check the path") from error
    return parse_yaml(str(path), data)


def parse_yaml(path: str, data: bytes) -> YamlDocument:
    """The same of what was read elsewhere; `path` names it in what is raised."""
    if len(data) > _LIMIT_BYTES:
        raise ConfigError(f"{path}: {len(data)} bytes: more than {_LIMIT_BYTES} is no such file")
    loader: Any = None
    try:
        loader = yaml.SafeLoader(data.decode("utf-8-sig"))
        node = loader.get_single_node()
        reader = _Reader(path, loader)
        values = reader.read(node, ()) if node is not None else {}
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: not UTF-8 at byte {error.start}") from error
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise ConfigError(f"{path}:{line}: not YAML: {error.problem}") from error
    except (yaml.YAMLError, RecursionError) as error:
        raise ConfigError(f"{path}: not YAML: {' '.join(str(error).split())}") from error
    if not isinstance(values, dict):
        raise ConfigError(f"{path}:1: expected keys and values at the top level")
    return YamlDocument(path, values, reader.lines)


class _Reader:
    def __init__(self, name: str, loader: Any) -> None:
        self._name = name
        self._loader = loader
        self._nodes = 0
        self.lines: dict[Place, int] = {}

    def read(self, node: yaml.Node, place: Place) -> Any:
        self._nodes += 1
        line = node.start_mark.line + 1
        if self._nodes > _LIMIT_NODES:  # aliases of aliases grow without bound
            raise ConfigError(
                f"{self._name}:{line}: more than {_LIMIT_NODES} values, aliases included"
            )
        self.lines.setdefault(place, line)
        if isinstance(node, yaml.MappingNode):
            values: dict[str, Any] = {}
            for key_node, value_node in node.value:
                # As it stands in the file: YAML 1.1 would read `on` as True and 007 as 7.
                key = str(key_node.value if isinstance(key_node, yaml.ScalarNode) else "")
                if key in values:
                    raise ConfigError(
                        f"{self._name}:{key_node.start_mark.line + 1}: {key}: stands here twice"
                    )
                self.lines[(*place, key)] = key_node.start_mark.line + 1
                values[key] = self.read(value_node, (*place, key))
            return values
        if isinstance(node, yaml.SequenceNode):
            return [self.read(item, (*place, index)) for index, item in enumerate(node.value)]
        try:
            return self._loader.construct_object(node)
        except (ValueError, KeyError, OverflowError) as error:  # 2026-13-45, or a tag that lies
            key = ".".join(str(step) for step in place)
            said = f"{short(node.value)} is no valid number, date or truth value"
            raise ConfigError(
                f"{self._name}:{line}: {key}: {said}: correct it, or put it in quotes"
            ) from error


def explain(error: ValidationError, document: YamlDocument, model: type[BaseModel]) -> ConfigError:
    """A pydantic error as one line a problem: file, line, key, what, the way out."""
    problems = []
    for item in error.errors(include_url=False):
        place = tuple(step for step in item["loc"] if not _is_branch(step))
        if _is_beside_the_point(item):
            continue
        message = item["msg"].removeprefix("Value error, ")
        if item["type"] == "extra_forbidden":
            message = "unknown key" + suggestion(str(place[-1]), _known_keys(model, place[:-1]))
        elif item["type"] == "missing":
            message = "is missing"
        elif item["type"] != "value_error":
            if item["type"] in {"model_type", "dict_type"}:
                message = "expected keys and values"
            message = f"{message[0].lower()}{message[1:]}"
            if not _holds_secret(_annotation(model, place)):
                message += f", not {short(item['input'])}"
        problems.append(document.problem(place, message))
    return ConfigError(*dict.fromkeys(problems))


def _is_branch(step: str | int) -> bool:
    """pydantic names the branch of a union in the place: it is no key of the file."""
    return isinstance(step, str) and bool(_PLAIN_BRANCH.match(step) or _KEYS_BRANCH.match(step))


def _is_beside_the_point(item: ErrorDetails) -> bool:
    """Of a union of a plain value and keys, the branch that the user did not take."""
    branch = str(item["loc"][-1])
    has_keys = isinstance(item["input"], dict)
    if _PLAIN_BRANCH.match(branch):
        return item["type"] in {"string_type", "float_type", "list_type"} and has_keys
    return item["type"] == "model_type" and bool(_KEYS_BRANCH.match(branch)) and not has_keys


def _annotation(model: type[BaseModel], place: Place) -> object:
    """The type of the field at a place, as far as models lead there."""
    found: object = model
    for step in place:
        inner = next((m for m in _parts(found) if _is_model(m)), None)
        if inner is None or step not in inner.model_fields:
            break
        found = inner.model_fields[step].annotation
    return found


def _holds_secret(annotation: object) -> bool:
    return any(
        part is SecretStr
        or (
            _is_model(part) and any(_holds_secret(f.annotation) for f in part.model_fields.values())
        )
        for part in _parts(annotation)
    )


def _parts(annotation: object) -> tuple[Any, ...]:
    return (annotation, *getattr(annotation, "__args__", ()))


def _is_model(part: object) -> bool:
    return isinstance(part, type) and issubclass(part, BaseModel)


def short(value: object) -> str:
    """A value as a complaint shows it."""
    try:
        shown = repr(value)
    except RecursionError:
        return "what is nested too deeply"
    return shown if len(shown) <= 60 else f"{shown[:57]}…"


def suggestion(word: str, known: Iterable[str]) -> str:
    """The way out for a word that is not of a closed list."""
    known = sorted(known)
    close = difflib.get_close_matches(word, known, n=1)
    return f": did you mean {close[0]}?" if close else f": known are {', '.join(known)}"


def _known_keys(model: type[BaseModel], place: Place) -> set[str]:
    """The keys that may stand at a place. Steps that are no key of a model are names of entries
    and indices."""
    found: list[type[BaseModel]] = [model]
    for step in place:
        inner = [m.model_fields[str(step)] for m in found if str(step) in m.model_fields]
        found = [m for field in inner for m in _models(field.annotation)] if inner else found
    return {key for candidate in found for key in candidate.model_fields}


def _models(annotation: object) -> list[type[BaseModel]]:
    if _is_model(annotation):
        return [annotation]  # type: ignore[list-item]  # what `_is_model` says
    return [m for part in getattr(annotation, "__args__", ()) for m in _models(part)]
