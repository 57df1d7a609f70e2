"""``python -m bench``: measure the gate beside its peers, write a result file, print the tables."""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import sys
import tempfile
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path

from bench.contestants import contestants
from bench.machine import load_average, machine_facts
from bench.report import delay_table, medians, pace_table, promise_table, promises
from bench.session import ONNX_ALONE, Plan, run_session
from bench.streams import STREAMS
from stream_filter.testing.brokers import KafkaBroker, kafka_home

_ROOT = Path(__file__).parents[1]
_RECORDS = {"repeating": 2_000_000, "unique": 100_000, "otrf": 300_000}
_QUICK_RECORDS = {"repeating": 600_000, "unique": 30_000, "otrf": 100_000}


def main() -> int:
    """Exit code 0: measured; 1: a contestant failed or lost events; 2: wrong usage."""
    names = [entrant.name for entrant in contestants()] + [ONNX_ALONE]
    parser = argparse.ArgumentParser(prog="bench", description=__doc__)
    parser.add_argument("--runs", type=int, default=3, help="runs of each contestant [3]")
    parser.add_argument("--quick", action="store_true", help="fewer events, one run")
    parser.add_argument("--only", nargs="+", default=[], metavar="NAME", help=", ".join(names))
    parser.add_argument("--streams", nargs="+", choices=STREAMS, default=list(STREAMS))
    parser.add_argument("--records", type=int, help="events of each stream instead of the default")
    parser.add_argument("--no-delay", action="store_true", help="leave the added delay out")
    parser.add_argument("--delay-seconds", type=float, default=20.0)
    parser.add_argument("--pack", type=Path, default=_ROOT / "models" / "demo-platform")
    parser.add_argument("--name", help="what the result file is called after its date")
    given = parser.parse_args()
    home = kafka_home()
    if home is None:
        parser.error("set KAFKA_HOME to the folder of an Apache Kafka 4 download (needs Java 17)")
    if unknown := sorted(set(given.only) - set(names)):
        parser.error(f"no contestant is called {', '.join(unknown)}: {', '.join(names)}")
    records = dict(_QUICK_RECORDS if given.quick else _RECORDS)
    if given.records:
        records = dict.fromkeys(STREAMS, given.records)
    plan = Plan(
        streams=tuple(given.streams),
        records=records,
        runs=1 if given.quick else given.runs,
        only=tuple(given.only),
        has_delay=not given.no_delay,
        delay_seconds=8.0 if given.quick else given.delay_seconds,
        pack=given.pack.resolve(),
        kafka_home=home,
    )
    os.chdir(_ROOT)
    return _run(plan, given.name or ("quick" if given.quick else "+".join(plan.streams)))


def _run(plan: Plan, name: str) -> int:
    began, load_before = datetime.now(UTC), load_average()
    with (
        tempfile.TemporaryDirectory(prefix="stream-filter-bench-") as folder,
        KafkaBroker(plan.kafka_home) as broker,
    ):
        session, seconds = asyncio.run(
            run_session(plan, bootstrap=broker.bootstrap, folder=Path(folder))
        )
    middle = medians(session.runs)
    found = promises(middle, session.delay)
    for stream, figures in middle.items():
        print(pace_table(stream, figures))
    if session.delay:
        print(delay_table(session.delay))
    if found:
        print(promise_table(found))
    result = {
        "began": began.isoformat(timespec="seconds"),
        "seconds": round(seconds),
        "load_average_before": load_before,
        "machine": machine_facts(plan.kafka_home),
        "plan": {"runs": plan.runs, "records": plan.records, "pack": plan.pack.name},
        "streams": session.streams,
        "medians": middle,
        "delay": session.delay,
        "promises": [{**asdict(promise), "is_kept": promise.is_kept} for promise in found],
        "failures": session.failures,
        "runs": session.runs,
    }
    path = _ROOT / "bench" / "results" / f"{began:%Y-%m-%d}-{name}.json"
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(result, indent=1) + "\n")
    print(f"\n{path.relative_to(_ROOT)}")
    return 1 if session.failures else 0


if __name__ == "__main__":
    sys.exit(main())
