"""The rule that all peers apply: forward an event by its level or by a word in its message."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import msgspec


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """Forward when ``level_field`` is one of ``levels``, or ``text_field`` contains ``needle``.

    Both are fields at the top of a JSON object; a missing or null field does not match.
    """

    level_field: str
    levels: tuple[str, ...]
    text_field: str
    needle: str

    def arguments(self) -> list[str]:
        """The rule as command-line arguments; what ``add_rule_arguments`` reads."""
        return [
            *("--level-field", self.level_field),
            *("--levels", ",".join(self.levels)),
            *("--text-field", self.text_field),
            *("--needle", self.needle),
        ]

    def matcher(self) -> Callable[[bytes], bool]:
        """The rule compiled: a typed decoder that reads two fields and skips the others."""
        fields = [("level", str | None, None), ("text", str | None, None)]
        event = msgspec.defstruct(
            "Event", fields, rename={"level": self.level_field, "text": self.text_field}
        )
        decode: Callable[[bytes], Any] = msgspec.json.Decoder(event).decode
        levels, needle = frozenset(self.levels), self.needle

        def matches(value: bytes) -> bool:
            event = decode(value)
            return event.level in levels or (event.text is not None and needle in event.text)

        return matches


def add_rule_arguments(parser: argparse.ArgumentParser) -> None:
    """The options that make up a rule."""
    for name in ("--level-field", "--levels", "--text-field", "--needle"):
        parser.add_argument(name, required=True)


def rule_of(arguments: argparse.Namespace) -> Rule:
    """The rule that was given on the command line."""
    return Rule(
        level_field=arguments.level_field,
        levels=tuple(arguments.levels.split(",")),
        text_field=arguments.text_field,
        needle=arguments.needle,
    )
