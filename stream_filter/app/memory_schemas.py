"""The schemas of what partitions remember, and of the summaries that come of it."""

from dataclasses import fields
from typing import Any

import msgspec

from stream_filter.core.decision import Reason
from stream_filter.core.memory import Memory
from stream_filter.gate import headers as sf
from stream_filter.gate.fold_summary import SUMMARY_VERSION, FoldSummary
from stream_filter.store.msgpack_memory import MEMORY_VERSION, MemoryDocument

_DRAFT = "https://json-schema.org/draft/2020-12/schema"
_POSITION = r"^[A-Za-z0-9._-]{1,249}/[0-9]+/[0-9]+$"

SUMMARY = {
    "summary_version": "Version of this schema.",
    "text": "The canonical text that the folded records have in common.",
    "text_digest": "The text's digest as in the ledger, 16 hex digits.",
    "folded": "How many records were folded.",
    "first": "Position of the first of them: topic/partition/offset.",
    "last": "Position of the last of them.",
    "window_start_ms": "The window's beginning in the records' time, Unix milliseconds.",
    "window_end_ms": "Its end, exclusive.",
    "policy_id": "The id of the policy in force when the window ended.",
}
MEMORY = {
    "memory_version": "Version of this schema.",
    "topic": "The source topic.",
    "partition": "The source partition.",
    "generation": "Counts the snapshots; changes belong to the snapshot of their generation.",
    "slot": "Where the snapshot stands: 0 or 1, in turn.",
    "number": "0: a snapshot. Else changes, applied in order after it.",
    "piece": "Which of the pieces of this snapshot or these changes, from 0.",
    "pieces": "How many pieces there are.",
    "next_offset": "True once all source offsets before this one are committed.",
    "entries": "What is remembered, by kind.",
}
ENTRY = {
    "key": "64 bits, unsigned: a text's digest as in the ledger, or a limit; 0 where the kind "
    "has one entry.",
    "at": "A time in Unix milliseconds where the kind has several entries for a key, else 0.",
    "numbers": "Signed 64-bit integers, as the kind says.",
    "text": "The canonical text, or a digest, where the kind needs it.",
}
KINDS = {
    "clock": "The partition's clock.",
    "novelty": "Texts forwarded as novel: key is the digest.",
    "fold": "Open windows: key is the text's digest, at the window's beginning.",
    "chain": "The digest of the partition's last block, under text.",
    "spending": "What a budget was spent on: key is the limit, at the beginning of a slot.",
}
"""Texts for what the code names; a name without a text is an error."""


def fold_summary_schema() -> dict[str, Any]:
    """Of a summary's value."""
    integers = {field.name for field in fields(FoldSummary) if field.type is int}
    patterns = {
        "text_digest": "^[0-9a-f]{16}$",
        "policy_id": "^[0-9a-f]{16}$",
        "first": _POSITION,
        "last": _POSITION,
    }
    properties: dict[str, dict[str, Any]] = {}
    for name, description in SUMMARY.items():
        kind = "integer" if name in integers else "string"
        properties[name] = {"type": kind, "description": description}
        if name in patterns:
            properties[name]["pattern"] = patterns[name]
    properties["summary_version"]["const"] = SUMMARY_VERSION
    properties["folded"]["minimum"] = 1
    assert properties.keys() == {field.name for field in fields(FoldSummary)}
    return {
        "$schema": _DRAFT,
        "title": "stream-filter fold summary",
        "description": "The value, as JSON, of the record that stands for what was folded of one "
        f"text in one window. Its headers are {sf.SF_ID}, {sf.SF_FOLD} (the same position as "
        f"`first`), {sf.SF_REASON} ({Reason.DUPLICATE.label}) and {sf.SF_POLICY}.",
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


def memory_schema() -> dict[str, Any]:
    """Of a memory record's value."""
    schema = msgspec.json.schema(MemoryDocument)
    document = schema["$defs"]["MemoryDocument"]
    for name, description in MEMORY.items():
        document["properties"][name]["description"] = description
    assert document["properties"].keys() == MEMORY.keys()
    document["properties"]["memory_version"]["const"] = MEMORY_VERSION
    entry = schema["$defs"]["Entry"]
    del entry["title"]
    entry["description"] = "key, at, numbers, text. Without numbers: forgotten."
    for column, description in zip(entry["prefixItems"], ENTRY.values(), strict=True):
        column["description"] = description
    of_kind = document["properties"]["entries"].pop("additionalProperties")
    document["properties"]["entries"]["properties"] = {
        part.kind: {
            **of_kind,
            "description": f"{KINDS[part.kind]} numbers: {', '.join(part.columns)}",
        }
        for part in Memory().parts
    }
    return {
        "$schema": _DRAFT,
        **document,
        "title": "stream-filter memory",
        "description": "The value, as MessagePack, of a record of the memory topic: a piece of "
        "what one source partition remembers. Its key is topic/partition/snapshot/slot/piece or "
        "topic/partition/changes/number/piece.",
        "$defs": {"Entry": entry},
    }
