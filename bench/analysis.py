"""A volume of logs a minute through gate and analyst, within a limit of memory.

    KAFKA_HOME=… python -m bench.analysis --mb-per-minute 100 --minutes 5

Broker, gate (`stream-filter run`) and analyst (`stream-filter analyst`, with the view of an outage)
share `--memory-gb` in one control group of the kernel (v1 or v2, where it may be made; else the sum
of their resident sets is watched, and the result says so). Producer and language model (the
stand-in, 300 ms in the median) are outside of it. Every second says how far both are behind. With
`--burst` the gate forwards everything for so many seconds, halfway, as it does when evidence fails.
At the end every forwarded event has a verdict and the ledger is verified, or the exit code is 1.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import AsyncExitStack, nullcontext
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import orjson
import yaml
from aiokafka import AIOKafkaConsumer, TopicPartition

from bench.cluster import PARTITIONS, Cluster
from bench.control_group import limited
from bench.gate_files import gate_topics, thresholds_for, write_gate_files
from bench.machine import load_average, machine_facts
from bench.measure import log_tail, start_logged, stop
from bench.process_tree import ProcessTree
from bench.streams import Stream, open_stream
from bench.verdict_delays import verdict_delays
from stream_filter.testing.brokers import KafkaBroker, kafka_home
from stream_filter.testing.stand_in import StandIn
from stream_filter.testing.stand_in_behaviour import Behaviour

_ROOT = Path(__file__).parents[1]
_SOURCE, _TARGET, _GROUP = "volume", "volume.analysis", "volume-gate"
_ANALYSTS = f"{_GROUP}-analyst"
_VERDICTS, _INCIDENTS = "volume.verdicts", "volume.incidents"
_ORDERS, _WORKERS = "volume.orders", "volume.workers"
_SETTLE_S = 120.0
_SETTLED_S = 10.0
"""After the last event: who keeps up has no more to do than this."""
_START_S = 20.0
_MINUTE_S = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Second:
    """How things stand so many seconds after the first event."""

    at_s: float
    gate_behind: int
    """Events of the source that the gate has not committed."""
    analyst_behind: int
    """Forwarded events without a committed outcome."""
    memory_mb: dict[str, float]
    """Resident, by process."""


def main() -> int:
    """Exit code 0: it kept up; 1: it did not, or something is missing; 2: wrong usage."""
    parser = argparse.ArgumentParser(prog="python -m bench.analysis", description=__doc__)
    parser.add_argument("--mb-per-minute", type=float, default=100.0)
    parser.add_argument("--minutes", type=float, default=5.0, help="at least 3 [5]")
    parser.add_argument("--memory-gb", type=float, default=4.0)
    parser.add_argument("--forward", type=float, default=0.04, help="share of events [0.04]")
    parser.add_argument("--burst", type=float, default=0.0, metavar="SECONDS", help="[0]")
    parser.add_argument("--pack", type=Path, default=_ROOT / "models" / "demo-platform")
    parser.add_argument("--out", type=Path)
    given = parser.parse_args()
    if given.minutes < 3:
        parser.error("--minutes is at least 3: the second is held against the last")
    home = kafka_home()
    if home is None:
        parser.error("set KAFKA_HOME to the folder of an Apache Kafka 4 download (needs Java 17)")
    with tempfile.TemporaryDirectory(prefix="stream-filter-bench-") as folder:
        result = asyncio.run(run(given, home, Path(folder)))
    result = {"machine": machine_facts(home), **result}
    print(json.dumps(result, indent=2))
    if given.out:
        given.out.write_text(json.dumps(result, indent=2) + "\n")
    return 0 if result["kept_up"] and result["verified"] else 1


async def run(given: argparse.Namespace, home: Path, folder: Path) -> dict[str, object]:
    """One run; the result as a document."""
    stream = open_stream("repeating")
    assert stream is not None, "the generator stands in where there is no data"
    value_bytes = sum(map(len, stream.lines)) / len(stream.lines)
    rate = given.mb_per_minute * 1e6 / 60 / value_bytes
    load = load_average()
    async with AsyncExitStack() as stack:
        group = stack.enter_context(limited(int(given.memory_gb * 2**30)))
        with group.inside() if group else nullcontext():
            broker = stack.enter_context(KafkaBroker(home))
        model = await stack.enter_async_context(StandIn(_truth, Behaviour(latency_s=0.3)))
        cluster = await stack.enter_async_context(Cluster(broker.bootstrap))
        await cluster.create_topics([_SOURCE, _TARGET, *gate_topics(_TARGET).values()])
        await cluster.create_topics([_VERDICTS, _INCIDENTS, _ORDERS, _WORKERS], partitions=1)
        files = _files(folder, stream, given, model.base_url)
        children = {}
        for name, command in _commands(files, broker.bootstrap).items():
            with group.inside() if group else nullcontext():
                children[name] = start_logged(command, log_file=folder / f"{name}.log", env={})
            stack.callback(stop, children[name])
        pids = {"broker": broker.pid, **{name: child.pid for name, child in children.items()}}
        trees = {name: ProcessTree(pid) for name, pid in pids.items()}
        await _started(children, folder)
        began_s, cpu = time.monotonic(), {name: tree.sample() for name, tree in trees.items()}
        seconds = given.minutes * 60
        paced = asyncio.create_task(_produce(broker.bootstrap, folder, rate, seconds))
        burst = asyncio.create_task(_burst(files, broker.bootstrap, seconds / 2, given.burst))
        ends = await stack.enter_async_context(_Ends(broker.bootstrap))
        samples: list[Second] = []
        while not paced.done():
            samples.append(await _look(cluster, ends, trees, began_s))
            await asyncio.sleep(1)
        records = await paced
        await burst
        cpu = {name: tree.sample() - cpu[name] for name, tree in trees.items()}
        settled_s = await _until_settled(cluster, ends, trees, began_s)
        forwarded = await cluster.count_committed_records(_TARGET)
        verdicts = await cluster.count_committed_records(_VERDICTS, partitions=1)
        delays = await verdict_delays(broker.bootstrap, forwarded=_TARGET, verdicts=_VERDICTS)
        verified = _verify(files, broker.bootstrap)
        peak = group.peak_mb if group else None
        asked = [served for served in model.served if served.events]
    total_mb = [sum(s.memory_mb.values()) for s in samples]
    behind_s = {
        "gate": _behind_s(samples, "gate_behind", rate),
        "analyst": _behind_s(samples, "analyst_behind", forwarded / seconds),
    }
    return {
        "load_average_before": load,
        "mb_per_minute": round(records * value_bytes / 1e6 / given.minutes, 1),
        "events_per_s": round(records / seconds),
        "events": records,
        "forwarded": forwarded,
        "burst_s": given.burst,
        "verdicts": verdicts,
        "requests": len(asked),
        "texts_asked": sum(served.events for served in asked),
        "tokens": model.input_tokens + model.output_tokens,
        "behind_s": behind_s,
        "settled_s_after_the_last_event": round(settled_s, 1),
        "verdict_delay_s": {
            name: round(float(np.quantile(delays, share)), 2)
            for name, share in (("p50", 0.5), ("p99", 0.99), ("most", 1.0))
        },
        "cpu_share_of_a_core": {name: round(used / seconds, 2) for name, used in cpu.items()},
        "memory_limit": f"{given.memory_gb:g} GB, "
        + ("by a control group" if group else "watched"),
        "memory_peak_mb_with_page_cache": peak,
        "memory_peak_mb": {
            name: round(max(s.memory_mb[name] for s in samples)) for name in samples[0].memory_mb
        },
        "memory_peak_sum_mb": round(max(total_mb)),
        "verified": verified and verdicts == forwarded and len(delays) == forwarded,
        # No farther behind in the last minute than in the second, but for a batch or two.
        "kept_up": all(
            each["last_minute"] <= each["second_minute"] + 1 for each in behind_s.values()
        )
        and settled_s < _SETTLED_S
        and max(total_mb) < given.memory_gb * 2**30 / 1e6,
        "every_tenth_second": [asdict(s) for s in samples[::10]],
    }


def _behind_s(samples: Sequence[Second], name: str, rate: float) -> dict[str, float]:
    """By how many seconds, in the median of a minute; and the most after the first."""
    end_s = samples[-1].at_s
    behind = {sample.at_s: getattr(sample, name) / rate for sample in samples}

    def within(begin_s: float, end_s: float) -> list[float]:
        return [each for at_s, each in behind.items() if begin_s <= at_s <= end_s]

    return {
        "second_minute": round(float(np.median(within(_MINUTE_S, 2 * _MINUTE_S))), 2),
        "last_minute": round(float(np.median(within(end_s - _MINUTE_S, end_s))), 2),
        "most": round(max(within(_MINUTE_S, end_s)), 2),
    }


def _truth(text: str) -> bool:
    return "rror" in text


@dataclass(frozen=True, slots=True, kw_only=True)
class _Files:
    policy: Path
    settings: Path
    analyst: Path


def _files(folder: Path, stream: Stream, given: argparse.Namespace, url: str) -> _Files:
    gate = write_gate_files(
        folder,
        stream=stream,
        source=_SOURCE,
        target=_TARGET,
        pack=given.pack.resolve(),
        thresholds=thresholds_for(given.forward, stream, len(stream.lines), given.pack),
        more={"holdout": 0.01},
    )
    settings = yaml.safe_load(gate.settings.read_text())
    settings |= {
        "verdict_topic": _VERDICTS,
        "incidents_topic": _INCIDENTS,
        "control": True,
        "policy_topic": _ORDERS,
        "worker_topic": _WORKERS,
    }
    gate.settings.write_text(yaml.safe_dump(settings))
    analyst = folder / "analyst.yaml"
    analyst.write_text(
        yaml.safe_dump(
            {
                "version": 1,
                "endpoint": {
                    "base_url": url,
                    "model": "stand-in",
                    "price": {"input": 1.0, "output": 4.0},
                },
                "limits": {"concurrency": 8},
                "outage": {
                    "fields": {"service": ["source"], "peer": ["component"]},
                    "window": "1m",
                    "baseline": "5m",
                },
                "topics": {
                    _TARGET: {
                        "task": "Is this line of a log important to the engineer on call?",
                        "event": "{{ source }} {{ component }} {{ level }} {{ message }}",
                    }
                },
            }
        )
    )
    return _Files(policy=gate.policy, settings=gate.settings, analyst=analyst)


def _commands(files: _Files, bootstrap: str) -> dict[str, list[str]]:
    shared = ["--settings", str(files.settings), "--bootstrap", bootstrap, "--group", _GROUP]
    program = [sys.executable, "-m", "stream_filter"]
    return {
        "gate": [*program, "run", "--policy", str(files.policy), *shared],
        "analyst": [*program, "analyst", "--config", str(files.analyst), *shared],
    }


async def _produce(bootstrap: str, folder: Path, rate: float, seconds: float) -> int:
    """In a process of its own; the events that were acknowledged."""
    rows = folder / "rows.npy"
    producer = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "bench.paced", "--bootstrap", bootstrap, "--topic", _SOURCE),
        *("--stream", "repeating", "--rate", str(rate), "--seconds", str(seconds)),
        *("--out", str(rows)),
    )
    if await producer.wait():
        raise RuntimeError("the producer failed")
    return int(np.load(rows)[:, 2].sum())


async def _burst(files: _Files, bootstrap: str, after_s: float, seconds: float) -> None:
    """From then on the gate forwards everything, for so long."""
    if not seconds:
        return
    await asyncio.sleep(after_s)
    for order, then_s in (("pause", seconds), ("resume", 0.0)):
        ordered = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "stream_filter", "policy", order, _SOURCE),
            *("--settings", str(files.settings), "--bootstrap", bootstrap, "--group", _GROUP),
        )
        if await ordered.wait():
            raise RuntimeError(f"the gate did not {order}")
        await asyncio.sleep(then_s)


async def _started(children: dict[str, subprocess.Popen[bytes]], folder: Path) -> None:
    """Both have had time to join their groups, and are still there."""
    await asyncio.sleep(_START_S)
    for name, child in children.items():
        if child.poll() is not None:
            raise RuntimeError(f"the {name} ended: {log_tail(folder / f'{name}.log')}")


class _Ends:
    """Where the topics end, as a read_committed consumer sees it."""

    def __init__(self, bootstrap: str) -> None:
        self._consumer = AIOKafkaConsumer(
            bootstrap_servers=bootstrap, isolation_level="read_committed"
        )

    async def __aenter__(self) -> _Ends:
        await self._consumer.start()
        return self

    async def __aexit__(self, *error: object) -> None:
        await self._consumer.stop()

    async def of(self, topic: str) -> int:
        found = await self._consumer.end_offsets(
            [TopicPartition(topic, number) for number in range(PARTITIONS)]
        )
        return sum(found.values())


async def _look(
    cluster: Cluster, ends: _Ends, trees: dict[str, ProcessTree], began_s: float
) -> Second:
    for tree in trees.values():
        tree.sample()
    done = await cluster.committed(_GROUP, _SOURCE), await cluster.committed(_ANALYSTS, _TARGET)
    return Second(
        at_s=round(time.monotonic() - began_s, 1),
        gate_behind=max(0, await ends.of(_SOURCE) - done[0]),
        analyst_behind=max(0, await ends.of(_TARGET) - done[1]),
        memory_mb={name: round(tree.resident_bytes / 1e6, 1) for name, tree in trees.items()},
    )


async def _until_settled(
    cluster: Cluster, ends: _Ends, trees: dict[str, ProcessTree], began_s: float
) -> float:
    """Seconds until both are done; transaction markers at the end of a topic have no commit."""
    since_s = time.monotonic()
    while time.monotonic() - since_s < _SETTLE_S:
        now = await _look(cluster, ends, trees, began_s)
        if now.gate_behind <= PARTITIONS and now.analyst_behind <= PARTITIONS:
            break
        await asyncio.sleep(0.5)
    return time.monotonic() - since_s


def _verify(files: _Files, bootstrap: str) -> bool:
    done = subprocess.run(
        [
            *(sys.executable, "-m", "stream_filter", "ledger", "verify", "--topic", _SOURCE),
            *("--settings", str(files.settings), "--policy", str(files.policy)),
            *("--bootstrap", bootstrap, "--group", _GROUP, "--json"),
        ],
        capture_output=True,
        check=False,
    )
    return done.returncode == 0 and bool(orjson.loads(done.stdout).get("ok"))


if __name__ == "__main__":
    sys.exit(main())
