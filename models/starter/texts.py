"""The starter's training texts: authored lines expanded, dressed as streams dress them, masked.

A text may begin with the system's name, the part that speaks and a level, in several orders, or
with none of them. Levels agree with the truth most of the time, not always, and stand in a third
of the texts: the model learns to do without.
"""

import hashlib
import json
import random
from collections.abc import Sequence
from dataclasses import dataclass

from models.starter.grammar import Grammar
from stream_filter.core.canonical import canonicalize

FEWEST, MOST = 8, 110
"""Texts of one line: twice its templates, within these bounds."""
_HIGH = ("WARN", "WARNING", "ERROR", "FATAL", "CRITICAL", "E", "W", "error", "warn", "SEVERE")
_LOW = ("INFO", "DEBUG", "NOTICE", "TRACE", "I", "D", "V", "info", "debug", "INFO", "INFO")
_AGREEING = 0.8
_SYSTEMS = (
    "Cluster", "Mobile", "Portal", "Phone", "Grid", "Cloud", "Web", "Core", "Plant", "Desktop",
    "Gateway", "Platform", "Warehouse", "Supercomputer", "Shop", "Bank", "Backend", "Edge",
)  # fmt: skip
_PARTS = (
    "{Class}", "{Noun}", "org.sample.{Noun}.{Class}", "com.acme.{Class}", "{Class}${Noun}",
    "{daemon}", "{daemon}[{n}]", "kernel", "KERNEL", "APP", "HARDWARE", "MONITOR", "{id}",
    "{component}", "acme.{id}.manager", "unix.{id}", "[{Class}]", "{Class}@{n}", "{n}:{Class}",
    "pool-{n}-thread-{n}", "main", "{Noun}-{n}", "app/{id}", "node.{id}", "service.{id}",
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """One canonical text, its truth, and the place of the line that it was made from."""

    text: str
    important: bool
    place: str


def samples(grammar: Grammar, seed: int) -> list[Sample]:
    """All texts, each once. A text that came out with both truths is left out."""
    rng = random.Random(seed)
    truths: dict[str, set[bool]] = {}
    made: dict[str, Sample] = {}
    for line in grammar.lines:
        for _ in range(min(MOST, max(FEWEST, 2 * line.templates))):
            raw = dressed(grammar.text(line, rng), line.important, grammar, rng)
            text = canonicalize(raw)
            truths.setdefault(text, set()).add(line.important)
            made[text] = Sample(text=text, important=line.important, place=line.place)
    return [sample for text, sample in made.items() if len(truths[text]) == 1]


def dressed(message: str, important: bool, grammar: Grammar, rng: random.Random) -> str:
    """The message behind what a stream's text template puts before it."""
    part = system = level = ""
    if rng.random() < 0.55:
        part = grammar.fill(rng.choice(_PARTS), rng) + rng.choice(("", "", ":"))
    if part and rng.random() < 0.4:
        system = rng.choice(_SYSTEMS)
    if rng.random() < 0.33:
        agrees = rng.random() < _AGREEING
        level = rng.choice(_HIGH if important == agrees else _LOW)
    head = [system, level, part] if rng.random() < 0.5 else [system, part, level]
    if rng.random() < 0.03:
        message = message.upper()
    elif rng.random() < 0.25:
        message = message[:1].upper() + message[1:]
    return " ".join(word for word in (*head, message) if word)


def digest_of(data: Sequence[Sample]) -> str:
    """SHA-256 over texts and truths, in order."""
    lines = "\n".join(json.dumps([sample.text, sample.important]) for sample in data)
    return hashlib.sha256(lines.encode()).hexdigest()
