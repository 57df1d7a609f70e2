"""The gate: decides a batch of records and says what is to be sent."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from operator import attrgetter
from time import perf_counter
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from stream_filter.core.canonical import MASK_SET_VERSION
from stream_filter.core.decision import Decisions, Reason, Route, forward_all
from stream_filter.core.epochs import epoch_span
from stream_filter.core.fold_window import FoldWindow
from stream_filter.core.ledger import Block, BlockHeader
from stream_filter.core.memory import Memory
from stream_filter.core.occurrences import Occurrences
from stream_filter.core.policy import Mode, Policy, TopicPolicy, WhenOverloaded
from stream_filter.core.targets import OnFailure
from stream_filter.core.tokens import estimated_tokens
from stream_filter.gate.batch import Emission, Outcome, RecordBatch, Settlement
from stream_filter.gate.budget_shares import budget_shares
from stream_filter.gate.challenging import challenge
from stream_filter.gate.emitting import Targets, emissions_of, refuse_oversized
from stream_filter.gate.fold_summary import summarize, summary_emission
from stream_filter.gate.in_force import Challenging, InForce, Switch
from stream_filter.gate.partition_memory import PartitionMemory, recall
from stream_filter.gate.ports import (
    FieldRead,
    LedgerCodec,
    MemoryCodec,
    Record,
    RuleSet,
    Scorer,
    TextReader,
    Texts,
)
from stream_filter.gate.routing import Scored, charge_summaries, route_batch, spared
from stream_filter.gate.score_cache import ScoreCache, text_digest
from stream_filter.gate.scoring import by_code, score_texts
from stream_filter.gate.slicing import slice_of, slice_reads, split_columns

_UNKNOWN = "no policy is known: the policy topic could not be read yet"


@dataclass(frozen=True, slots=True, kw_only=True)
class GateConfig:
    """What the gate is told once, when it is built."""

    policy: Policy
    """The first one; `switch` puts another in force."""
    key: bytes
    """Secret of the gate, shared by its workers: draws the holdout and makes the `sf-id`s."""
    worker: str
    delivery: str
    dead_letter_topic: str
    deferred_topic: str
    cache_bytes: int


class Gate:
    """Decides batches. Thread-safe: batches of different partitions may be processed at once.

    `process` is deterministic: the same records under the same policy, pack, key and memory, at
    the time that the block's header names, get the same decisions, however they are batched; what
    a budget refuses apart, which compares the records of a batch.
    """

    def __init__(
        self,
        config: GateConfig,
        *,
        scorers: Mapping[str, Scorer],
        make_rules: Callable[[TopicPolicy], RuleSet],
        make_reader: Callable[[TopicPolicy, Sequence[FieldRead]], TextReader],
        codec: LedgerCodec,
        memory_codec: MemoryCodec,
        clock_ms: Callable[[], int],
    ) -> None:
        """`scorers` holds one for every pack that the policy names, by the pack's name."""
        self._config = config
        self._make_reader = make_reader
        self._codec = codec
        self._memory_codec = memory_codec
        self._clock_ms = clock_ms
        self._make_rules = make_rules
        self._switch = Switch(self._built(config.policy, scorers, {}))

    def prepare(
        self, policy: Policy, scorers: Mapping[str, Scorer], *, paused: tuple[str, ...] = ()
    ) -> InForce:
        """What `switch` takes, built beforehand: this may take a while. Scores that are
        remembered for a scorer that stays are kept."""
        built = self._built(policy, scorers, self._switch.current.caches)
        return replace(built, paused=paused)

    def switch(self, following: InForce) -> None:
        """Batches that begin from now on are decided by this; those in hand by what they began
        with."""
        self._switch.change(following)

    def begin(self, *, paused: tuple[str, ...], is_known: bool) -> None:
        """Before the first batch: what is paused, and whether the policy is known to hold."""
        first = self._switch.current
        self._switch.change(replace(first, paused=paused, is_known=is_known))

    def fall(self, fallen: Mapping[tuple[str, str], float]) -> None:
        """Whose certificates have fallen: topics, with the `entry_id` of what they were of, and
        below which scores `widen` still drops. Batches that begin from now on are decided by the
        `on_failure` of their targets."""
        self._switch.fall(fallen)

    @property
    def in_force(self) -> InForce:
        return self._switch.current

    @property
    def is_settled(self) -> bool:
        """No batch is being decided by what was in force before."""
        return self._switch.is_settled

    def _built(
        self,
        policy: Policy,
        scorers: Mapping[str, Scorer],
        caches: Mapping[str, ScoreCache],
    ) -> InForce:
        rules = {p.topic: self._make_rules(p) for p in policy.topics if p.rules}
        share = self._config.cache_bytes // max(1, len(scorers))
        kept = {name: cache for name, cache in caches.items() if cache.size_bytes == share}
        return InForce(
            policy=policy,
            policy_id=policy.policy_id,
            paused=(),
            is_known=True,
            fallen={},
            caches={
                name: kept[name]
                if name in kept and kept[name].scorer is scorer
                else ScoreCache(scorer, size_bytes=share)
                for name, scorer in scorers.items()
            },
            rules=rules,
            readers={
                p.topic: self._make_reader(
                    p, [*(rules[p.topic].reads if p.rules else ()), *slice_reads(p)]
                )
                for p in policy.topics
            },
            challengers={
                p.topic: self._challenging(p.challenging) for p in policy.topics if p.challenging
            },
            entry_ids={p.topic: p.entry_id for p in policy.topics if p.target},
        )

    def _challenging(self, policy: TopicPolicy) -> Challenging:
        rules = self._make_rules(policy) if policy.rules else None
        reader = self._make_reader(policy, rules.reads if rules else ())
        return Challenging(policy=policy, rules=rules, reader=reader)

    def recall(
        self, topic: str, partition: int, saved: Mapping[bytes, bytes], *, up_to: int
    ) -> tuple[PartitionMemory, list[str]]:
        """The memory of a partition that is taken over, and what of `saved` could not be used.

        `saved`: its records in the memory topic, the latest of each key; `up_to`: the offset from
        which the partition is read. The memory is for one owner, and for its batches in order.
        """
        return recall(saved, (topic, partition), up_to=up_to, codec=self._memory_codec)

    def process(
        self,
        batch: RecordBatch,
        size_limits: Mapping[str, int],
        memory: PartitionMemory | None = None,
        *,
        sources: Mapping[str, int] = MappingProxyType({}),
    ) -> Outcome:
        """Decide one batch. Changes the partition's memory, which is void if this raises.

        `size_limits`: the largest record in bytes that each target topic takes; a record over
        its target's goes to the dead letters, and over theirs as well, without its payload (and
        without key and headers where these alone are too much). `memory` None: the batch stands
        alone, as if it were the first. `sources`: the partition counts of the source topics, for
        a budget to be shared out; without, the partition has it for itself.
        """
        memory = memory or PartitionMemory(batch.topic, batch.partition, codec=self._memory_codec)
        with self._switch.hold() as force:
            return self._process(force, batch, size_limits, memory, sources)

    def _process(
        self,
        force: InForce,
        batch: RecordBatch,
        size_limits: Mapping[str, int],
        memory: PartitionMemory,
        sources: Mapping[str, int],
    ) -> Outcome:
        started = perf_counter()
        rules = force.policy.for_topic(batch.topic)
        assert rules is not None, f"subscribed to {batch.topic}, which no rule covers"
        failure = force.failure_of(batch.topic, rules)
        if failure is not None and failure[0] is OnFailure.SHADOW:
            rules = replace(rules, mode=Mode.SHADOW)
        unread_because = force.forwards_all(batch.topic)
        rule: NDArray[np.int16] | None = None
        slices: tuple[NDArray[np.int16] | None, tuple[str, ...]] = (None, ())
        if unread_because is not None:
            texts = _unread(len(batch.records))
        else:
            values = list(map(attrgetter("value"), batch.records))
            texts = force.readers[rules.topic].read(values)
            rule_columns, slice_columns = split_columns(rules, texts.columns)
            if rules.rules:
                rule = force.rules[rules.topic].first_match(batch.records, rule_columns)
            if slice_columns:
                slices = slice_of(slice_columns, len(batch.records))
        was_read = perf_counter()

        timestamps = np.fromiter(map(attrgetter("timestamp"), batch.records), np.int64)
        overload = self._overload(rules, timestamps)
        leaves_unread = overload in (WhenOverloaded.FORWARD, WhenOverloaded.SCOUT_ONLY)
        cache = force.caches[rules.model]
        model_id = cache.model_id
        digests = [text_digest(text) for text in texts.distinct]
        by_text, scouted, texts_read, away = score_texts(
            cache, texts, digests, rule, overload=overload
        )
        # A pack that was away may have been loaded to score this batch.
        model_id = "" if unread_because is not None else model_id or cache.model_id
        scored = perf_counter()

        header = self._header(batch, rules, timestamps, force, model_id, overload)
        occurrences = Occurrences(
            offsets=np.fromiter(map(attrgetter("offset"), batch.records), np.int64),
            codes=texts.codes,
            digests=np.array([int.from_bytes(d[:8], "little") for d in digests], np.uint64),
            texts=texts.distinct,
        )
        decodable = np.ones(header.rows, np.bool_)
        decodable[list(texts.causes)] = False
        ended: Sequence[FoldWindow] = ()
        if unread_because is not None:
            decisions = forward_all(header.rows, unread_because)
        else:
            decisions, ended = route_batch(
                rules,
                Scored(
                    topic=batch.topic,
                    partition=batch.partition,
                    occurrences=occurrences,
                    timestamps=timestamps,
                    score=by_code(by_text, texts.codes, np.float32(np.nan)),
                    decodable=decodable,
                    rule=rule,
                    is_cut=texts.is_cut,
                    tokens=_tokens(batch.records, rules),
                    keys=list(map(attrgetter("key"), batch.records)),
                    by_scout=by_code(scouted, texts.codes, np.False_),
                    is_overloaded=leaves_unread,
                    drops_only_below=failure[1] if failure is not None else None,
                ),
                memory.memory,
                shares=budget_shares(force.policy, rules, (batch.topic, batch.partition), sources),
                key=self._config.key,
                now_ms=header.decided_at_ms,
            )
        targets = Targets(
            forward=tuple(rules.target_of(reason.label) for reason in Reason),
            deferred=self._config.deferred_topic,
            dead_letter=self._config.dead_letter_topic,
        )
        oversized = refuse_oversized(batch.records, decisions, targets, size_limits)
        causes = {**texts.causes, **oversized}
        block = Block(
            header=header,
            offsets=occurrences.offsets,
            text_digests=by_code(occurrences.digests, texts.codes, np.uint64(0)),
            decisions=decisions,
            rule_labels=rules.rule_labels,
            slice=slices[0],
            slice_labels=slices[1],
            is_cut=texts.is_cut,
            challenge=challenge(force, rules, batch.records, leaves_unread=leaves_unread)
            if unread_because is None
            else None,
        )
        block = memory.memory.chain.add(block)
        decided = perf_counter()

        emissions = emissions_of(
            batch.records,
            block,
            causes,
            targets=targets,
            is_cut=spared(rules, texts.is_cut),
            dead_letter_limit=size_limits.get(self._config.dead_letter_topic),
            key=self._config.key,
        )
        emissions += self._summaries(
            rules, ended, memory.memory, (batch.topic, batch.partition), force.policy_id
        )
        block_bytes = self._codec.encode(block)
        saved = memory.save(batch.next_offset)
        emitted = perf_counter()
        return Outcome(
            block=block,
            block_bytes=block_bytes,
            emissions=emissions,
            memory=saved,
            summaries=len(ended),
            distinct_texts=len(texts.distinct),
            texts_read=texts_read,
            forwarded_tokens=_forwarded_tokens(batch.records, decisions),
            is_behind=overload is not None,
            degraded_because=_UNKNOWN if not force.is_known else str(away) if away else None,
            seconds={
                "read": was_read - started,
                "score": scored - was_read,
                "decide": decided - scored,
                "emit": emitted - decided,
            },
        )

    def _overload(self, rules: TopicPolicy, timestamps: NDArray[np.int64]) -> WhenOverloaded | None:
        """What is to be done because a batch comes too late; None where it does not."""
        if rules.overload is None:
            return None
        lag_ms = self._clock_ms() - int(timestamps.max())
        return rules.overload.then if lag_ms > rules.overload.max_lag_ms else None

    def settle(
        self,
        memory: PartitionMemory,
        *,
        next_offset: int,
        idle_s: float,
        sources: Mapping[str, int] = MappingProxyType({}),
    ) -> Settlement | None:
        """What a partition sends that had no records for `idle_s`: the summaries of its windows,
        once it was idle for a window's length. None where there is nothing to send."""
        force = self._switch.current
        rules = force.policy.for_topic(memory.topic)
        assert rules is not None, f"subscribed to {memory.topic}, which no rule covers"
        folds = memory.memory.folds
        if not len(folds) or (rules.fold and idle_s * 1000 < rules.fold.window_ms):
            return None
        source = (memory.topic, memory.partition)
        ended = folds.end_all()
        shares = budget_shares(force.policy, rules, source, sources)
        charge_summaries(rules, ended, memory.memory, shares)
        return Settlement(
            topic=memory.topic,
            partition=memory.partition,
            emissions=self._summaries(rules, ended, memory.memory, source, force.policy_id),
            memory=memory.save(next_offset),
            settled_at_ms=self._clock_ms(),
        )

    def _summaries(
        self,
        rules: TopicPolicy,
        ended: Sequence[FoldWindow],
        memory: Memory,
        source: tuple[str, int],
        policy_id: str,
    ) -> list[Emission]:
        return [
            summary_emission(
                summarize(window, source, policy_id),
                topic=rules.target_of(Reason.DUPLICATE.label),
                at_ms=memory.clock.at_ms,
                key=self._config.key,
            )
            for window in ended
        ]

    def _header(
        self,
        batch: RecordBatch,
        rules: TopicPolicy,
        timestamps: NDArray[np.int64],
        force: InForce,
        model_id: str,
        overload: WhenOverloaded | None,
    ) -> BlockHeader:
        now_ms = self._clock_ms()
        epoch = epoch_span(rules, now_ms)
        return BlockHeader(
            topic=batch.topic,
            partition=batch.partition,
            first_offset=batch.first_offset,
            last_offset=batch.next_offset - 1,
            rows=len(batch.records),
            policy_id=force.policy_id,
            model_id=model_id,
            mask_set=MASK_SET_VERSION,
            worker=self._config.worker,
            delivery=self._config.delivery,
            first_timestamp_ms=int(timestamps.min()),
            last_timestamp_ms=int(timestamps.max()),
            decided_at_ms=now_ms,
            overload=overload.value if overload else "",
            entry_id=force.entry_ids.get(rules.topic, ""),
            epoch_opened_ms=epoch.opened_ms,
            epoch_closes_ms=epoch.closes_ms,
        )


def _unread(rows: int) -> Texts:
    """No text at all, and nothing undecodable: the values were not looked at."""
    return Texts(distinct=[], codes=np.full(rows, -1, np.int32), causes={})


def _tokens(records: Sequence[Record], rules: TopicPolicy) -> NDArray[np.int64]:
    """Estimated tokens of each value; only where a limit counts them."""
    if rules.budget is None or not rules.budget.counts_tokens:
        return np.zeros(len(records), np.int64)
    return _tokens_of(records)


def _tokens_of(records: Iterable[Record]) -> NDArray[np.int64]:
    sizes = [len(value) if value else 0 for value in map(attrgetter("value"), records)]
    return estimated_tokens(np.array(sizes, np.int64))


def _forwarded_tokens(records: Sequence[Record], decisions: Decisions) -> int:
    rows = np.flatnonzero(decisions.route == Route.FORWARD).tolist()
    return int(_tokens_of(records[row] for row in rows).sum())
