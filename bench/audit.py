"""Questions to a store of millions of decisions: how long, with how much memory, how large it is.

`python -m bench.audit --millions 5 50` makes synthetic blocks of real shape (texts that repeat as
in logs, a score for each text, a holdout, rules; sealed), writes them as the archiver does, and
asks in processes of their own. Nothing needs a broker. Wall and CPU seconds: on a machine that
others use too, the second say what a question costs.
"""

import argparse
import json
import os
import platform
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np

from stream_filter.core.chain import ChainEnd
from stream_filter.core.decision import Decisions, Reason, Route, Thresholds, decide, hold_out
from stream_filter.core.ledger import Block, BlockHeader
from stream_filter.core.policy import Format, Mode, Novelty, Policy, TopicPolicy
from stream_filter.store.arrow_block import ArrowLedgerCodec
from stream_filter.store.block_facts import facts_of
from stream_filter.store.catalogue import save_catalogue
from stream_filter.store.decision_file import encode_file, stored
from stream_filter.store.folder import Folder
from stream_filter.store.stretches import Stretch, day_of

TOPIC, PARTITIONS, ROWS, TEXTS = "payments.logs", 4, 8_000, 20_000
BLOCKS_PER_FILE = 500
SOURCE_BYTES = 200
"""Of an event of the logs that this imitates (loghub, mean of value and record overhead)."""
BEGAN_MS, EVENTS_PER_S = 1_764_000_000_000, 5_000


class Stream:
    """Blocks of one topic, as a gate would have decided them."""

    def __init__(self, seed: int = 1) -> None:
        self._random = np.random.default_rng(seed)
        self._digests = self._random.integers(1, 2**63, TEXTS, dtype=np.uint64)
        self._scores = self._random.beta(0.5, 4.0, TEXTS).astype(np.float32)
        # The commonest twentieth of loghub's texts makes nine tenths of its lines.
        self._cumulated = np.cumsum(1.0 / np.arange(1, TEXTS + 1) ** 1.2)
        self._ends = [ChainEnd() for _ in range(PARTITIONS)]

    def block(self, number: int) -> Block:
        """The next block; numbers count up."""
        partition, first = number % PARTITIONS, number // PARTITIONS * ROWS
        drawn = self._random.random(ROWS) * self._cumulated[-1]
        text = np.searchsorted(self._cumulated, drawn)
        everywhere = np.ones(ROWS, np.bool_)
        decisions = decide(
            self._scores[text],
            decodable=everywhere,
            readable=everywhere,
            thresholds=Thresholds(drop_below=0.2, keep_above=0.8),
        )
        decisions = hold_out(decisions, self._random.random(ROWS) < 0.01, 0.01)
        decisions = self._ruled(decisions, text)
        at_ms = BEGAN_MS + number * ROWS * 1_000 // EVENTS_PER_S
        header = BlockHeader(
            topic=TOPIC,
            partition=partition,
            first_offset=first,
            last_offset=first + ROWS - 1,
            rows=ROWS,
            policy_id=f"{number // 2_000:016x}",
            model_id="fedcba9876543210",
            mask_set="masks-2",
            worker=f"gate-{partition % 2}",
            delivery="exactly_once",
            first_timestamp_ms=at_ms - 900,
            last_timestamp_ms=at_ms - 50,
            decided_at_ms=at_ms,
        )
        return self._ends[partition].add(
            Block(
                header=header,
                offsets=np.arange(first, first + ROWS),
                text_digests=self._digests[text],
                decisions=decisions,
                rule_labels=("health checks",),
            )
        )

    def _ruled(self, decisions: Decisions, text: np.ndarray) -> Decisions:
        ruled = text == 3
        by_rule = replace(
            decisions,
            score=np.where(ruled, np.float32(np.nan), decisions.score),
            rule=np.where(ruled, 0, -1).astype(np.int16),
        )
        return by_rule.rerouted(ruled, Route.DISCARD, Reason.RULE, probability=0.01)


def fill(folder: Folder, blocks: int) -> dict[str, float]:
    """Write so many blocks as the archiver does. Returns sizes in bytes."""
    stream, codec = Stream(), ArrowLedgerCodec()
    ledger_bytes = 0
    stretches: list[Stretch] = []
    for first in range(0, blocks, BLOCKS_PER_FILE):
        by_day: dict[str, list] = {}
        for number in range(first, min(first + BLOCKS_PER_FILE, blocks)):
            block = stream.block(number)
            if number % 50 == 0:
                ledger_bytes += len(codec.encode(block)) * 50
            facts = facts_of(block, place=(0, number), block_bytes=0)
            by_day.setdefault(day_of(block.header.decided_at_ms), []).append(stored(block, facts))
        for day, of_day in by_day.items():
            stretch = Stretch(
                kind="decisions",
                topic=TOPIC,
                day=day,
                partition=0,
                first=of_day[0].facts.ledger_offset,
                next=of_day[-1].facts.ledger_offset + 1,
            )
            folder.put(stretch.name, encode_file(of_day))
            stretches.append(stretch)
    for day in {s.day for s in stretches}:
        save_catalogue(folder, TOPIC, day, [s for s in stretches if s.day == day])
    return {
        "store": float(sum(folder.sizes("decisions").values())),
        "catalogue": float(sum(folder.sizes("catalogue").values())),
        "ledger": float(ledger_bytes),
    }


def ask(store: str, blocks: int) -> dict[str, float]:
    """In a process of its own: seconds of each question, and its greatest memory in MB."""
    from stream_filter import audit
    from stream_filter.core.position import Position

    took: dict[str, float] = {}

    def timed(name: str, question: Callable[[], object]) -> None:
        began, busy = time.perf_counter(), time.process_time()
        question()
        took[name] = round(time.perf_counter() - began, 3)
        took[f"{name}_cpu"] = round(time.process_time() - busy, 3)

    timed("open", lambda: audit.open(store).close())
    with audit.open(store) as ledger:
        position = Position(TOPIC, 1, blocks // PARTITIONS // 2 * ROWS + 77)
        text = f"text_digest = {int(Stream()._digests[3])}"
        timed("summary", lambda: audit.summarize(ledger, TOPIC))
        timed("summary_where_score", lambda: audit.summarize(ledger, TOPIC, where="score > 0.1"))
        timed("block_at", lambda: ledger.block_at(position))
        timed("block_at_warm", lambda: ledger.block_at(position))
        timed(
            "row_at_warm",
            lambda: ledger.decisions(
                TOPIC, where=f'"partition" = 1 AND "offset" = {position.offset}'
            ).fetchall(),
        )
        timed("text_count", lambda: ledger.decisions(TOPIC, where=text).count("*").fetchall())
        timed("sample", lambda: audit.sample(ledger, TOPIC))

        def read() -> None:
            for block in ledger.read_blocks(TOPIC):
                assert len(block.offsets)

        timed("read_blocks", read)
        took["memory_mb"] = round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
    return took


def suppose(store: str) -> dict[str, float]:
    """As `ask`, of what-if: millions of events a second, from the ledger's rows alone."""
    from stream_filter import audit
    from stream_filter.app.settings import load_settings

    rules = TopicPolicy(
        topic=TOPIC,
        format=Format.JSON,
        text=None,
        model="pack",
        model_id=None,
        thresholds=Thresholds(drop_below=0.3, keep_above=0.8),
        mode=Mode.ENFORCE,
        holdout=0.02,
        forward_to="llm.analysis",
    )
    novel = replace(rules, novelty=Novelty(forward_first=3))
    settings = load_settings(None, {"key": "bench"})
    took: dict[str, float] = {}
    with audit.open(store) as ledger:
        for name, asked, sweep in (
            ("what_if", rules, False),
            ("what_if_novelty", novel, False),
            ("what_if_sweep", novel, True),
        ):
            began, busy = time.perf_counter(), time.process_time()
            found = audit.what_if(
                *(ledger, Policy(topics=(asked,)), TOPIC),
                settings=settings,
                sweep=sweep,
                asks_source=False,
            )
            wall_s, cpu_s = time.perf_counter() - began, time.process_time() - busy
            took[name] = round(wall_s, 3)
            took[f"{name}_cpu"] = round(cpu_s, 3)
            took[f"{name}_m_events_per_s"] = round(found.records / wall_s / 1e6, 2)
            took[f"{name}_m_events_per_cpu_s"] = round(found.records / cpu_s / 1e6, 2)
    took["what_if_memory_mb"] = round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
    return took


def main() -> None:
    """Measure and write the result."""
    parser = argparse.ArgumentParser(prog="python -m bench.audit")
    parser.add_argument("--millions", type=int, nargs="+", default=[5, 50])
    parser.add_argument("--ask", help=argparse.SUPPRESS)
    parser.add_argument("--suppose", help=argparse.SUPPRESS)
    parser.add_argument("--blocks", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--out", type=Path)
    given = parser.parse_args()
    if given.ask:
        print(json.dumps(ask(given.ask, given.blocks)))
        return
    if given.suppose:
        print(json.dumps(suppose(given.suppose)))
        return
    results = []
    for millions in given.millions:
        blocks = millions * 1_000_000 // ROWS
        with tempfile.TemporaryDirectory(prefix="stream-filter-bench-") as store:
            began = time.perf_counter()
            sizes = fill(Folder(store), blocks)
            wrote_s = time.perf_counter() - began
            load = os.getloadavg()[0]
            command = [sys.executable, "-m", "bench.audit", "--ask", store, "--blocks", str(blocks)]
            answers = [json.loads(subprocess.check_output(command)) for _ in range(2)]
            command = [sys.executable, "-m", "bench.audit", "--suppose", store]
            supposed = [json.loads(subprocess.check_output(command)) for _ in range(2)]
        results.append(
            {
                "decisions": blocks * ROWS,
                "store_bytes_an_event": round(sizes["store"] / (blocks * ROWS), 2),
                "catalogue_bytes_an_event": round(sizes["catalogue"] / (blocks * ROWS), 3),
                "ledger_bytes_an_event": round(sizes["ledger"] / (blocks * ROWS), 2),
                "store_mb_a_million": round(sizes["store"] / blocks / ROWS, 2),
                "source_mb_a_million": SOURCE_BYTES,
                "made_and_written_s": round(wrote_s, 1),
                "load_average": round(load, 1),
                "seconds": answers,
                "what_if": supposed,
            }
        )
        print(json.dumps(results[-1], indent=2), flush=True)
    if given.out:
        machine = {"machine": platform.machine(), "python": platform.python_version()}
        given.out.write_text(json.dumps({**machine, "results": results}, indent=2) + "\n")


if __name__ == "__main__":
    main()
