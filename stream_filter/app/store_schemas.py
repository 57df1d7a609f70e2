"""The published schema of the store: its folders, and the columns of its files."""

from typing import Any

import pyarrow as pa

from stream_filter.store.catalogue import CATALOGUE
from stream_filter.store.decision_rows import DECISION_ROWS
from stream_filter.store.judgement_rows import JUDGEMENTS

STORE_VERSION = "1"
_HEADER = "As in the block's header (ledger-block.json)."
_PLACE = {
    "topic_partition": "Where the record stood: partition of the topic.",
    "topic_offset": "Where the record stood: offset in the partition.",
    "at": "The record's timestamp.",
}
DECISIONS = {
    "partition": "The source partition.",
    "offset": "The source offset.",
    "score": "What the model said, in [0, 1]; null where there is no score.",
    "verdict": "What the policy concludes.",
    "route": "Where the record went.",
    "reason": "Why it went there.",
    "probability": "Chance that a record decided like this one is forwarded.",
    "text_digest": "First 8 bytes, little-endian, of the BLAKE2b-128 of the canonical text; 0 "
    "where there is no text.",
    "is_cut": "Whether the text is longer than what is read of one: head and tail were read; null "
    "where no text of the block is.",
    "rule": "The rule that decided; null where none did.",
    "slice": "The slice that the policy watches apart; null where there is none.",
    "challenger_model_id": "The challenger's pack; null where there is no challenger.",
    "challenger_score": "What the challenger's model said.",
    "challenger_verdict": "What the challenger concludes.",
    "challenger_reason": "Why.",
    "policy_id": "What decided: the policy.",
    "model_id": "What decided: the pack; empty where none was loaded.",
    "overload": "What was done because the gate had fallen behind; empty where it had not.",
    "delivery": "exactly_once or at_least_once.",
    "block_id": "topic/partition/first-last of the block.",
    "decided_at": "When the block was decided: the time of all questions.",
    "ledger_partition": "Where the block stands in the ledger topic: with the next column, its "
    "identity.",
    "ledger_offset": "Where the block stands in the ledger topic.",
}
CATALOGUE_COLUMNS = {
    "file": "Name of the file of decisions that holds the block, relative to the store.",
    "ledger_partition": DECISIONS["ledger_partition"],
    "ledger_offset": DECISIONS["ledger_offset"],
    "block_id": DECISIONS["block_id"],
    "challenger_model_id": DECISIONS["challenger_model_id"],
    "block_bytes": "Size of the ledger record's value.",
    "counts": "How many records were decided which way.",
}
JUDGEMENT_COLUMNS = {
    "sf_id": "The event's sf-id.",
    "important": "Whether the event matters.",
    "judge": "Who judged.",
    "judge_kind": "model or person.",
    "repeat": "Which of several answers of this judge on this event.",
    "cost": "Of this answer, in the analyst's currency; 0 where it was not said.",
    "tokens": "It took; 0 where it was not said.",
    "seconds": "It took; 0 where it was not said.",
    "entry_id": "Digest of the policy's entry for the topic.",
    "model_id": "The pack.",
    "since": "Since when the certificate has this state.",
    "state": "uncertified, certified, refuted or stale.",
    "target_recall": "What is to be certified.",
    "recall_low": "Lower end of the recall interval; null before the first evidence.",
    "recall_high": "Upper end of it.",
    "misses_found": "Important events found among the held-out drops.",
    "statement": "The whole certificate (certificate.schema.json).",
    "problem": "Why the record could not be read.",
}
"""Texts for what the code names; a name without a text is an error."""


def store_document() -> dict[str, Any]:
    """Of `schemas/store.json`."""
    return {
        "title": "stream-filter store",
        "description": "Parquet files of the archive. A file <partition>-<first>-<next>.parquet "
        "holds what stands in that partition of the topic it was read from at offsets [first, "
        "next). A file whose range lies inside another's of the same folder and partition was "
        "replaced by it and does not count.",
        "store_version": STORE_VERSION,
        "files": {
            "decisions": {
                "path": "decisions/topic=<source topic>/day=<UTC day of decided_at>/",
                "footer": "stream_filter.blocks: the catalogue's rows of the file's blocks, as "
                "JSON, in the order of their rows",
                "columns": _columns(DECISION_ROWS, DECISIONS),
            },
            "catalogue": {
                "path": "catalogue/topic=<source topic>/day=<day>/blocks.parquet",
                "columns": _columns(CATALOGUE, CATALOGUE_COLUMNS, other=_HEADER),
            },
            **{
                kind: {
                    "path": f"{kind}/topic=<topic>/day=<day>/",
                    "columns": _columns(schema, _PLACE | JUDGEMENT_COLUMNS),
                }
                for kind, schema in JUDGEMENTS.items()
            },
        },
    }


def _columns(
    schema: pa.Schema, texts: dict[str, str], *, other: str | None = None
) -> list[dict[str, Any]]:
    return [
        {
            "name": field.name,
            "type": _plain(field.type),
            "nullable": field.nullable,
            "description": texts[field.name] if other is None else texts.get(field.name, other),
        }
        for field in schema
    ]


def _plain(kind: pa.DataType) -> str:
    return str(kind.value_type if pa.types.is_dictionary(kind) else kind)
