"""The authored lines: read from `data/*.txt`, expanded into texts.

    [important] / [routine]     what the lines below it are
    @name = one | two           a list, usable as {name}, in every file
    <one|two|>                  a choice, may be empty, may hold choices; `->` is an arrow
    {n} {ip} {path} ...         a slot, filled at random (`slots.py`)

Anything else is literal.
"""

import random
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from models.starter.slots import SLOTS

DATA = Path(__file__).parent / "data"
_NAME = re.compile(r"\{([A-Za-z_]+)\}")
_LIST = re.compile(r"@([A-Za-z_]+) = (.+)")

Node = str | tuple["Sequence", ...]
Sequence = tuple[Node, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One authored line."""

    place: str
    """File and line number."""
    important: bool
    parts: Sequence

    @property
    def templates(self) -> int:
        """How many texts its choices alone make, lists and slots not counted."""
        return _templates(self.parts)


@dataclass(frozen=True, slots=True, kw_only=True)
class Grammar:
    """All lines, and the lists that they use."""

    lines: tuple[Line, ...]
    lists: Mapping[str, tuple[Sequence, ...]]

    def text(self, line: Line, rng: random.Random) -> str:
        """One text of the line, slots filled."""
        return self._chosen(line.parts, rng)

    def fill(self, text: str, rng: random.Random) -> str:
        """The text with its lists and slots filled."""
        return _NAME.sub(lambda found: self._value(found[1], rng), text)

    def _value(self, name: str, rng: random.Random) -> str:
        if name in self.lists:
            return self._chosen(rng.choice(self.lists[name]), rng)
        return SLOTS[name](rng)

    def _chosen(self, parts: Sequence, rng: random.Random) -> str:
        return "".join(
            self.fill(part, rng) if isinstance(part, str) else self._chosen(rng.choice(part), rng)
            for part in parts
        )


def read_grammar(folder: Path = DATA) -> Grammar:
    """The grammar of all files. ValueError, with the place, for a line that does not parse."""
    lines: list[Line] = []
    lists: dict[str, tuple[Sequence, ...]] = {}
    for place, important, text in _sources(folder):
        try:
            if found := _LIST.fullmatch(text):
                lists[found[1]] = tuple(parse(value.strip()) for value in _split(found[2]))
            elif important is None:
                raise ValueError("a line before [important] or [routine]")
            else:
                lines.append(Line(place=place, important=important, parts=parse(text)))
        except ValueError as error:
            raise ValueError(f"{place}: {error}") from None
    known = lists.keys() | SLOTS.keys()
    for place, _, text in _sources(folder):
        if unknown := set(_NAME.findall(text)) - known:
            raise ValueError(f"{place}: no list and no slot is called {', '.join(sorted(unknown))}")
    return Grammar(lines=tuple(lines), lists=lists)


def _sources(folder: Path) -> Iterator[tuple[str, bool | None, str]]:
    for path in sorted(folder.glob("*.txt")):
        important: bool | None = None
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
            if line in ("[important]", "[routine]"):
                important = line == "[important]"
            elif line and not line.startswith("#"):
                yield f"{path.name}:{number}", important, line


def parse(text: str) -> Sequence:
    """The parts of one line: literals, and choices as tuples of parts."""
    parts, end = _parsed(text, 0, inside=False)
    assert end == len(text), "only a choice ends early"
    return parts[0]


def _parsed(text: str, at: int, *, inside: bool) -> tuple[tuple[Sequence, ...], int]:
    branches: list[Sequence] = []
    parts: list[Node] = []
    literal = ""
    while at < len(text):
        sign = text[at]
        if sign == "<":
            choices, at = _parsed(text, at + 1, inside=True)
            parts += [literal, choices]
            literal = ""
            continue
        if inside and (sign == "|" or (sign == ">" and text[at - 1] != "-")):
            branches.append((*parts, literal))
            parts, literal = [], ""
            if sign == ">":
                return tuple(branches), at + 1
        else:
            literal += sign
        at += 1
    if inside:
        raise ValueError("a choice is not closed")
    return ((*parts, literal),), at


def _split(values: str) -> list[str]:
    """At each `|` outside a choice."""
    depth, found = 0, [""]
    for sign in values:
        depth += (sign == "<") - (sign == ">")
        if sign == "|" and depth == 0:
            found.append("")
        else:
            found[-1] += sign
    return found


def _templates(parts: Sequence) -> int:
    count = 1
    for part in parts:
        if not isinstance(part, str):
            count *= sum(_templates(branch) for branch in part)
    return count
