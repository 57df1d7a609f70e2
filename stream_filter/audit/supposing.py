"""What another policy would have made of a window: routes computed again from recorded scores."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from stream_filter.app.settings import Settings
from stream_filter.audit.account import Account, Told, WhatIf
from stream_filter.audit.from_source import SourceDecider, reads_other_text
from stream_filter.audit.opening import in_thread
from stream_filter.audit.recorded import RecordedLedger
from stream_filter.audit.recorded_scores import recorded_scores
from stream_filter.audit.rows import rows_of
from stream_filter.audit.snapshot import Window
from stream_filter.core.canonical import MASK_SET_VERSION
from stream_filter.core.errors import BrokerError, ConfigError
from stream_filter.core.ledger import Block
from stream_filter.core.policy import Policy, Thresholds, TopicPolicy
from stream_filter.core.position import Position
from stream_filter.core.what_if import Supposed
from stream_filter.gate.recorded_scores import RecordedScores
from stream_filter.gate.rerouting import Rerouter, needs_records

_PIECE = 16_000
"""Rows that are worked on at once: their columns fit a core's cache."""
_NEITHER = Thresholds(drop_below=-1.0, keep_above=2.0)
_DROP_ALL = Thresholds(drop_below=2.0, keep_above=2.0)


def what_if(
    ledger: RecordedLedger,
    policy: Policy,
    topic: str,
    window_ms: Window = (None, None),
    *,
    settings: Settings,
    where: str | None = None,
    price: float | None = None,
    sweep: bool = False,
    asks_source: bool = True,
) -> WhatIf:
    """Decide the events of a window again by a policy, as if it had been in force from the window's
    beginning on, and send nothing.

    `settings`: the gate's, with its key, which draws the holdout, and its broker. `where`: which
    events are counted; all are decided. `price`: of reading one event; None: what verdicts cost on
    average, where they say so. `asks_source`: whether the broker may be asked where the ledger's
    rows are enough: only to see that the policy reads the recorded texts. Raises ConfigError or
    StreamFilterError.
    """
    key = settings.secret_key
    account = Account(ledger, topic, window_ms, key=key, where=where, sweeps=sweep)
    told = decide_again(
        *(ledger, policy, topic, window_ms),
        settings=settings,
        take=account.add,
        sweep=sweep,
        asks_source=asks_source,
    )
    return account.answer(policy, told, price=price)


def decide_again(
    ledger: RecordedLedger,
    policy: Policy,
    topic: str,
    window_ms: Window = (None, None),
    *,
    settings: Settings,
    take: Callable[[Block, list[Supposed]], None],
    sweep: bool = False,
    asks_source: bool = True,
) -> Told:
    """Give each stretch of the window to `take`, those of a partition in order: what the ledger has
    of it, and what the policy would have decided of the same rows; with `sweep` also what it would
    if all scores were below `drop_below`, and if none were, without its budget. `take` is called
    from another thread where records are read back. Raises ConfigError or StreamFilterError."""
    rules = supposed_rules(policy, topic)
    needed = needs_records(rules)
    blocks = ledger.effective_blocks(topic, window_ms)
    if not len(blocks):
        raise ConfigError(f"the ledger has no decision on {topic} in this window")
    is_other: bool | None = None
    if not needed and asks_source:
        is_other = _reads_other_text(ledger, topic, blocks, settings, rules)
        needed = ("text",) if is_other else ()
    scores = recorded_scores(ledger, topic, window_ms, rules, of_all=bool(needed))
    variants = variants_of(rules, sweep=sweep)
    gone = 0
    if needed:
        decider = SourceDecider(
            settings=settings, policy=policy, topic=topic, scores=scores, spans=_spans(blocks)
        )
        gone = in_thread(
            decider.decide(lambda p: ledger.read_blocks(topic, window_ms, p), variants, take)
        )
    else:
        runs, key = ledger.read_runs(topic, window_ms), settings.secret_key
        for block, supposed in _rerouted(runs, variants, scores, key):
            take(block, supposed)
    return Told(
        rules=rules,
        model_id=scores.model_id,
        needed=needed,
        gone=gone,
        is_text_checked=is_other is not None,
    )


def _spans(blocks: pa.Table) -> dict[int, tuple[int, int]]:
    """By partition, from the first offset of the blocks to the one after the last."""
    names = ("partition", "first_offset", "last_offset")
    spans: dict[int, tuple[int, int]] = {}
    for partition, first, last in zip(*(blocks[n].to_pylist() for n in names), strict=True):
        begins, ends = spans.get(partition, (first, last + 1))
        spans[partition] = min(begins, first), max(ends, last + 1)
    return spans


def _reads_other_text(
    ledger: RecordedLedger, topic: str, blocks: pa.Table, settings: Settings, rules: TopicPolicy
) -> bool | None:
    """By the newest block; None where the broker cannot say."""
    newest = blocks.sort_by([("decided_at_ms", "descending")]).slice(0, 1).to_pylist()[0]
    block = ledger.block_at(Position(topic, newest["partition"], newest["last_offset"]))
    try:
        return in_thread(reads_other_text(settings, rules, block)) if block else None
    except BrokerError:
        return None


def supposed_rules(policy: Policy, topic: str) -> TopicPolicy:
    """What a policy says of a topic, for a gate that is never overloaded and has nobody deciding
    beside it. Raises ConfigError where it says nothing."""
    rules = policy.for_topic(topic)
    if rules is None:
        raise ConfigError(f"the policy does not cover {topic}")
    return replace(rules, overload=None, challenger=None)


def variants_of(rules: TopicPolicy, *, sweep: bool) -> list[TopicPolicy]:
    """The rules; and for a sweep the two that `Sweep` asks for."""
    if not sweep:
        return [rules]
    unlimited = replace(rules, budget=None)
    return [
        rules,
        *(replace(unlimited, thresholds=each) for each in (_DROP_ALL, _NEITHER)),
    ]


def _rerouted(
    blocks: Iterable[Block], variants: list[TopicPolicy], scores: RecordedScores, key: bytes
) -> Iterator[tuple[Block, list[Supposed]]]:
    """From the ledger's rows alone, each block in pieces."""
    routers: dict[int, list[Rerouter]] = {}
    for whole in blocks:
        if whole.header.mask_set != MASK_SET_VERSION:
            raise ConfigError(
                f"block {whole.header.block_id} was masked by {whole.header.mask_set}, and this "
                f"version masks by {MASK_SET_VERSION}: its scores are of other texts; ask later"
            )
        partition = whole.header.partition
        if partition not in routers:
            routers[partition] = [
                Rerouter(rules, key=key, scores=scores, encode=_encode) for rules in variants
            ]
        for block in _pieces(whole):
            yield block, [router.decide(block) for router in routers[partition]]


def _pieces(block: Block) -> Iterator[Block]:
    if len(block.offsets) <= _PIECE:
        yield block
        return
    for first in range(0, len(block.offsets), _PIECE):
        yield rows_of(block, slice(first, first + _PIECE))


def _encode(digests: NDArray[np.uint64]) -> tuple[NDArray[np.int32], NDArray[np.uint64]]:
    encoded = pa.array(digests).dictionary_encode()
    return encoded.indices.to_numpy(), encoded.dictionary.to_numpy()
