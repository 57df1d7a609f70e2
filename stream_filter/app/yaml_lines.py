"""YAML with a memory of lines, so that every complaint can name its place."""

import difflib
from collections.abc import Iterable
from pathlib import Path
from typing import Any, TypeAlias

import yaml
from pydantic import BaseModel, ValidationError

from stream_filter.core.errors import ConfigError

Place: TypeAlias = tuple[str | int, ...]
_LIMIT_BYTES = 1_000_000
_LIMIT_NODES = 100_000


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
    if len(data) > _LIMIT_BYTES:
        raise ConfigError(f"{path}: {len(data)} bytes: more than {_LIMIT_BYTES} is no such file")
    loader: Any = None
    try:
        loader = yaml.SafeLoader(data.decode("utf-8-sig"))
        node = loader.get_single_node()
        reader = _Reader(str(path), loader)
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
    return YamlDocument(str(path), values, reader.lines)


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
                key = str(self._loader.construct_object(key_node, deep=True))
                if key in values:
                    raise ConfigError(
                        f"{self._name}:{key_node.start_mark.line + 1}: {key}: stands here twice"
                    )
                self.lines[(*place, key)] = key_node.start_mark.line + 1
                values[key] = self.read(value_node, (*place, key))
            return values
        if isinstance(node, yaml.SequenceNode):
            return [self.read(item, (*place, index)) for index, item in enumerate(node.value)]
        return self._loader.construct_object(node)


def explain(error: ValidationError, document: YamlDocument, model: type[BaseModel]) -> ConfigError:
    """A pydantic error as one line a problem: file, line, key, what, the way out."""
    problems = []
    for item in error.errors(include_url=False):
        place = tuple(step for step in item["loc"] if not _is_branch(step))
        message = item["msg"].removeprefix("Value error, ")
        if item["type"] == "extra_forbidden":
            message = "unknown key" + _suggestion(str(place[-1]), _known_keys(model))
        elif item["type"] == "missing":
            message = "is missing"
        elif item["type"] != "value_error":
            message = f"{message[0].lower()}{message[1:]}, not {item['input']!r}"
        problems.append(document.problem(place, message))
    return ConfigError(*dict.fromkeys(problems))


def _is_branch(step: str | int) -> bool:
    """pydantic names the branch of a union in the place: it is no key of the file."""
    return isinstance(step, str) and (step in {"str", "float", "int"} or step.endswith("Model"))


def _suggestion(word: str, known: Iterable[str]) -> str:
    known = sorted(known)
    close = difflib.get_close_matches(word, known, n=1)
    return f": did you mean {close[0]}?" if close else f": known are {', '.join(known)}"


def _known_keys(model: type[BaseModel]) -> set[str]:
    keys = set(model.model_fields)
    for field in model.model_fields.values():
        for inner in (field.annotation, *getattr(field.annotation, "__args__", ())):
            if isinstance(inner, type) and issubclass(inner, BaseModel) and inner is not model:
                keys |= _known_keys(inner)
    return keys
