"""A gate from policy and settings: the same one for a worker and for whoever tries a policy."""

from collections.abc import Callable, Mapping

from stream_filter.app.settings import Settings
from stream_filter.core.policy import Policy
from stream_filter.formats.text_reader import text_reader
from stream_filter.gate.gate import Gate, GateConfig
from stream_filter.gate.ports import LedgerCodec, Scorer
from stream_filter.rules.cel_rules import CelRules
from stream_filter.store.arrow_block import ArrowLedgerCodec
from stream_filter.store.msgpack_memory import MsgpackMemoryCodec


def assemble_gate(
    policy: Policy,
    settings: Settings,
    *,
    scorers: Mapping[str, Scorer],
    delivery: str,
    clock_ms: Callable[[], int],
    codec: LedgerCodec | None = None,
) -> Gate:
    """`scorers` holds one for every pack that the policy names, by the pack's name; `codec`: None
    is the ledger's own."""
    return Gate(
        GateConfig(
            policy=policy,
            key=settings.secret_key,
            worker=settings.worker,
            delivery=delivery,
            dead_letter_topic=settings.dead_letter_topic,
            deferred_topic=settings.deferred_topic,
            cache_bytes=settings.cache_bytes,
        ),
        scorers=scorers,
        make_rules=CelRules,
        make_reader=text_reader,
        codec=codec or ArrowLedgerCodec(),
        memory_codec=MsgpackMemoryCodec(),
        clock_ms=clock_ms,
    )
