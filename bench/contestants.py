"""Who is measured on which stream, and how each is started."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bench.full_policy import full_policy
from bench.gate_files import write_gate_files
from bench.streams import Stream
from stream_filter.core.policy import Thresholds

_JAVA_PEER = Path(__file__).parent / "peers" / "StreamsPeer.java"
_SLOW_WINDOW_S = 20.0
FULL_POLICY = "gate_full_policy"


@dataclass(frozen=True, slots=True, kw_only=True)
class Course:
    """A stream in its topic, and what contestants need to run on it."""

    bootstrap: str
    stream: Stream
    topic: str
    records: int
    matching: int
    window_s: float
    kafka_home: Path
    pack: Path
    thresholds: Thresholds
    folder: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Start:
    """The names and the place of one run."""

    group: str
    target: str
    folder: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Contestant:
    """One line of the table. ``applies_rule``: its output is counted against the rule's."""

    name: str
    streams: tuple[str, ...]
    command: Callable[[Course, Start], list[str]]
    env: Callable[[Course], Mapping[str, str]] = field(default=lambda course: {})
    applies_rule: bool = False
    max_window_s: float = float("inf")
    has_delay: bool = False
    """Whether the delay that it adds is measured."""

    @property
    def is_gate(self) -> bool:
        """Whether it is stream-filter itself."""
        return self.name.startswith("gate")


def contestants() -> tuple[Contestant, ...]:
    """All of them, in the order in which they run."""
    both = ("repeating", "otrf")
    return (
        _gate("at_least_once"),
        _streams_peer("at_least_once"),
        _gate(
            "at_least_once",
            name=FULL_POLICY,
            streams=("repeating",),
            more=full_policy(),
        ),
        _gate("exactly_once"),
        _streams_peer("exactly_once_v2"),
        _python_peer("quixstreams", "quixstreams_peer", both),
        _python_peer("faststream_batch", "faststream_batch", both),
        _python_peer("faststream_undecoded", "faststream_undecoded", both),
        _python_peer("faust_agent", "faust_agent", ("repeating",), max_window_s=_SLOW_WINDOW_S),
        Contestant(
            name="faust_model",
            streams=("repeating",),
            command=_python_command("faust_model"),
            env=_model_env,
            max_window_s=_SLOW_WINDOW_S,
        ),
    )


def compile_streams_peer(kafka_home: Path, folder: Path) -> None:
    """Compile the Java peer into ``folder/classes``, so that no run pays for it."""
    jars = os.pathsep.join(str(jar) for jar in sorted(kafka_home.glob("libs/*.jar")))
    classes = str(folder / "classes")
    compiler = ["java", "-m", "jdk.compiler/com.sun.tools.javac.Main"]
    subprocess.run([*compiler, "-cp", jars, "-d", classes, str(_JAVA_PEER)], check=True)


def _gate(
    delivery: str,
    *,
    name: str = "",
    streams: tuple[str, ...] = ("repeating", "unique", "otrf"),
    more: Mapping[str, Any] | None = None,
) -> Contestant:
    def command(course: Course, start: Start) -> list[str]:
        files = write_gate_files(
            start.folder,
            stream=course.stream,
            source=course.topic,
            target=start.target,
            pack=course.pack,
            thresholds=course.thresholds,
            more=more or {},
        )
        return [
            *(sys.executable, "-m", "stream_filter", "run", "--policy", str(files.policy)),
            *("--settings", str(files.settings), "--bootstrap", course.bootstrap),
            *("--group", start.group, "--delivery", delivery),
        ]

    return Contestant(
        name=name or f"gate_{delivery}", streams=streams, command=command, has_delay=not name
    )


def _streams_peer(guarantee: str) -> Contestant:
    def command(course: Course, start: Start) -> list[str]:
        classes = course.folder / "classes"
        path = os.pathsep.join([str(classes), f"{course.kafka_home}/libs/*"])
        program = ["java", "-Xmx512m", "-cp", path, "StreamsPeer", "--guarantee", guarantee]
        return [*program, *_shared_arguments(course, start)]

    name = f"kafka_streams_{guarantee.removesuffix('_v2')}"
    return Contestant(name=name, streams=("repeating", "otrf"), command=command, applies_rule=True)


def _python_peer(
    name: str, module: str, streams: tuple[str, ...], *, max_window_s: float = float("inf")
) -> Contestant:
    return Contestant(
        name=name,
        streams=streams,
        command=_python_command(module),
        applies_rule=True,
        max_window_s=max_window_s,
    )


def _python_command(module: str) -> Callable[[Course, Start], list[str]]:
    def command(course: Course, start: Start) -> list[str]:
        program = [sys.executable, "-m", f"bench.peers.{module}"]
        return [*program, *_shared_arguments(course, start)]

    return command


def _shared_arguments(course: Course, start: Start) -> list[str]:
    return [
        *("--bootstrap", course.bootstrap, "--source", course.topic, "--target", start.target),
        *("--group", start.group, "--folder", str(start.folder)),
        *course.stream.rule.arguments(),
    ]


def _model_env(course: Course) -> Mapping[str, str]:
    return {
        "BENCH_TEMPLATE": course.stream.template,
        "BENCH_PACK": str(course.pack),
        "BENCH_KEEP_ABOVE": repr(course.thresholds.drop_below),
    }
