"""One benchmark session: every contestant on every stream, in turn, on one broker."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from bench.cluster import Cluster
from bench.contestants import Contestant, Course, Start, compile_streams_peer, contestants
from bench.gate_files import canonical_texts, gate_topics, thresholds_for
from bench.latency import measure_delay
from bench.machine import load_average
from bench.measure import Trial, TrialError, measure
from bench.report import Run, medians
from bench.streams import Stream, open_stream

ONNX_ALONE = "onnx_alone"

# How many events the thresholds are read from, and how many texts the bare runtime scores.
_SCORED_EVENTS = {"repeating": 32_000, "unique": 4_000, "otrf": 20_000}
_BARE_TEXTS = 20_000
_WINDOW_S = {"repeating": 120.0, "unique": 60.0, "otrf": 120.0}
_DELAY_WARM_EVENTS = 64_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What to measure. ``records`` by stream; ``only`` names contestants, empty for all."""

    streams: tuple[str, ...]
    records: dict[str, int]
    runs: int
    only: tuple[str, ...]
    has_delay: bool
    delay_seconds: float
    pack: Path
    kafka_home: Path


class Session:
    """Runs a plan against a broker and keeps every raw run."""

    def __init__(self, plan: Plan, *, bootstrap: str, folder: Path, cluster: Cluster) -> None:
        self._plan = plan
        self._bootstrap = bootstrap
        self._folder = folder
        self._cluster = cluster
        self._count = 0
        self.runs: list[Run] = []
        self.delay: dict[str, dict[str, float]] = {}
        self.failures: list[str] = []
        self.streams: dict[str, dict[str, object]] = {}

    async def run(self) -> None:
        """Measure everything; a contestant that fails is noted and the others go on."""
        compile_streams_peer(self._plan.kafka_home, self._folder)
        for name in self._plan.streams:
            stream = open_stream(name)
            if stream is None:
                print(f"\n{name}: left out, its data is not there")
                continue
            course = await self._prepare(stream, self._plan.records[name])
            entrants = [entrant for entrant in contestants() if self._takes_part(entrant, name)]
            for turn in range(self._plan.runs):
                for entrant in entrants:
                    await self._race(entrant, course, turn)
                if name == "unique" and self._is_wanted(ONNX_ALONE):
                    self._race_bare_runtime(course, turn)
            await self._cluster.delete_topics([course.topic])
        if self._plan.has_delay:
            await self._measure_delays()

    def _is_wanted(self, name: str) -> bool:
        return not self._plan.only or name in self._plan.only

    def _takes_part(self, entrant: Contestant, stream: str) -> bool:
        return stream in entrant.streams and self._is_wanted(entrant.name)

    async def _prepare(self, stream: Stream, records: int, *, label: str = "") -> Course:
        """Fill a topic and choose the gate's thresholds."""
        topic = f"bench-{stream.name}{label}"
        await self._cluster.create_topics([topic])
        print(f"\n{topic}: loading {records:,} events of {stream.source} ...", flush=True)
        loaded = _load(self._bootstrap, topic, stream.name, records)
        share = max(loaded["matching"] / records, 0.002)
        thresholds = thresholds_for(
            share, stream, min(records, _SCORED_EVENTS[stream.name]), self._plan.pack
        )
        self.streams[topic] = {**loaded, "source": stream.source, **asdict(thresholds)}
        return Course(
            bootstrap=self._bootstrap,
            stream=stream,
            topic=topic,
            records=records,
            matching=loaded["matching"],
            window_s=_WINDOW_S[stream.name],
            kafka_home=self._plan.kafka_home,
            pack=self._plan.pack,
            thresholds=thresholds,
            folder=self._folder,
        )

    async def _start(self, entrant: Contestant) -> Start:
        """A group, a folder and empty topics for one run."""
        self._count += 1
        label = f"bench-{self._count:03d}-{entrant.name}"
        start = Start(group=label, target=f"{label}-out", folder=self._folder / label)
        start.folder.mkdir()
        await self._cluster.create_topics(_topics(entrant, start))
        return start

    async def _race(self, entrant: Contestant, course: Course, turn: int) -> None:
        start = await self._start(entrant)
        trial = Trial(
            command=entrant.command(course, start),
            env=entrant.env(course),
            group=start.group,
            source=course.topic,
            records=course.records,
            window_s=min(course.window_s, entrant.max_window_s),
            log_file=start.folder / "log",
        )
        load_before = load_average()
        try:
            measured = await measure(trial, self._cluster)
        except TrialError as error:
            self._fail(f"{entrant.name} on {course.topic}: {error}")
            return
        forwarded = await self._cluster.count_committed_records(start.target)
        if measured.is_complete and entrant.applies_rule and forwarded != course.matching:
            self._fail(
                f"{entrant.name} on {course.topic}: forwarded {forwarded}, "
                f"the rule forwards {course.matching}"
            )
        await self._cluster.delete_topics(_topics(entrant, start))
        self._note(
            {
                "stream": course.stream.name,
                "contestant": entrant.name,
                "turn": turn,
                **asdict(measured),
                "forwarded": forwarded,
                "load_average_before": load_before,
            }
        )

    def _race_bare_runtime(self, course: Course, turn: int) -> None:
        texts_file = self._folder / "texts.json"
        if not texts_file.exists():
            count = min(course.records, _BARE_TEXTS)
            texts = canonical_texts(course.stream, count)
            if len(texts.distinct) != count:
                self._fail(f"{course.topic}: {count - len(texts.distinct)} texts repeat")
            texts_file.write_text(json.dumps(texts.distinct))
        load_before = load_average()
        command = [sys.executable, "-m", "bench.peers.onnx_alone", "--pack", str(course.pack)]
        done = subprocess.run(
            [*command, "--texts", str(texts_file)], capture_output=True, text=True, check=True
        )
        facts: Run = {"stream": course.stream.name, "contestant": ONNX_ALONE, "turn": turn}
        self._note({**facts, **json.loads(done.stdout), "load_average_before": load_before})

    async def _measure_delays(self) -> None:
        """The added delay of each delivery, at half of the pace that it was measured at."""
        stream = open_stream("repeating")
        assert stream is not None
        middle = medians(self.runs).get("repeating", {})
        for entrant in contestants():
            if not entrant.has_delay or entrant.name not in middle:
                continue
            course = await self._prepare(stream, _DELAY_WARM_EVENTS, label=f"-{entrant.name}")
            start = await self._start(entrant)
            try:
                self.delay[entrant.name] = await measure_delay(
                    entrant,
                    course,
                    start,
                    self._cluster,
                    rate=middle[entrant.name]["pace"] / 2,
                    seconds=self._plan.delay_seconds,
                )
            except RuntimeError as error:
                self._fail(f"delay of {entrant.name}: {error}")
            await self._cluster.delete_topics([course.topic, *_topics(entrant, start)])

    def _note(self, run: Run) -> None:
        self.runs.append(run)
        print(
            f"  {run['contestant']:32} {run['pace']:>10,.0f} events/s "
            f"{run['cpu_us']:>8.1f} µs {run['peak_mb']:>6.0f} MB",
            flush=True,
        )

    def _fail(self, what: str) -> None:
        self.failures.append(what)
        print(f"  FAILED: {what}", file=sys.stderr, flush=True)


def _topics(entrant: Contestant, start: Start) -> Sequence[str]:
    return [start.target, *(gate_topics(start.target).values() if entrant.is_gate else ())]


def _load(bootstrap: str, topic: str, stream: str, records: int) -> dict[str, int]:
    """Fill the topic from a process of its own."""
    command = [sys.executable, "-m", "bench.load", "--bootstrap", bootstrap, "--topic", topic]
    command += ["--stream", stream, "--count", str(records)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    loaded: dict[str, int] = json.loads(done.stdout)
    return loaded


async def run_session(plan: Plan, *, bootstrap: str, folder: Path) -> tuple[Session, float]:
    """The finished session and how many seconds it took."""
    began_s = time.monotonic()
    async with Cluster(bootstrap) as cluster:
        session = Session(plan, bootstrap=bootstrap, folder=folder, cluster=cluster)
        await session.run()
    await asyncio.sleep(0)
    return session, time.monotonic() - began_s
