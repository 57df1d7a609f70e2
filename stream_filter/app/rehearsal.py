"""Batches through a gate whose outcomes go nowhere."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from stream_filter.app.gate_assembly import assemble_gate
from stream_filter.app.packs import require_packs
from stream_filter.app.settings import Settings
from stream_filter.core.ledger import Block
from stream_filter.core.policy import Policy
from stream_filter.gate.batch import Outcome, RecordBatch
from stream_filter.gate.gate import Gate
from stream_filter.gate.partition_memory import PartitionMemory
from stream_filter.gate.ports import TextReader


@dataclass(frozen=True, slots=True, kw_only=True)
class RehearsedRecord:
    """A record that comes from no broker."""

    offset: int
    timestamp: int = 0
    key: bytes | None = None
    value: bytes | None = None
    headers: Sequence[tuple[str, bytes | None]] = field(default=())


class UnwrittenLedger:
    """The `LedgerCodec` port for blocks that nobody will read."""

    def encode(self, block: Block) -> bytes:
        return b""


def rehearsal_gate(policy: Policy, settings: Settings, *, clock_ms: Callable[[], int]) -> Gate:
    """The gate that a worker with these settings would have, and that is never overloaded. Raises
    ConfigError where one of the policy's packs cannot be used."""
    return assemble_gate(
        with_all_topics(policy, overload=None),
        settings,
        scorers=require_packs(policy, settings.model_dir, threads=settings.model_threads),
        delivery="none",
        codec=UnwrittenLedger(),
        clock_ms=clock_ms,
    )


def with_all_topics(policy: Policy, **changes: Any) -> Policy:
    """The policy with fields changed in each of its entries."""
    return Policy(topics=tuple(replace(rules, **changes) for rules in policy.topics))


class Rehearsal:
    """One source partition, from the first batch given: decided as its worker decides it, by the
    same call. Nothing is sent or saved, and nothing is known of what came before."""

    def __init__(
        self,
        gate: Gate,
        *,
        size_limits: Mapping[str, int] | None = None,
        sources: Mapping[str, int] | None = None,
    ) -> None:
        """As for `Gate.process`; without `size_limits` any record fits its target."""
        self._gate = gate
        self._size_limits = size_limits or {}
        self._sources = sources or {}
        self._memory: PartitionMemory | None = None

    def decide(self, batch: RecordBatch) -> Outcome:
        """The batches of a partition come in order."""
        if self._memory is None:
            self._memory, _ = self._gate.recall(batch.topic, batch.partition, {}, up_to=0)
        return self._gate.process(batch, self._size_limits, self._memory, sources=self._sources)


def read_one(reader: TextReader, value: bytes | None) -> tuple[str | None, str | None]:
    """The canonical text of one value, None where there is none to read, and why it cannot be
    decoded, if so. What a value reads as depends on it alone, so this is what the gate read."""
    texts = reader.read([value])
    code = int(texts.codes[0])
    return (texts.distinct[code] if code >= 0 else None), texts.causes.get(0)
