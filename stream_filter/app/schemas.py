"""The published schemas: written from the code, so that they cannot say anything else.

`python -m stream_filter.app.schemas` writes them to `schemas/`; with `--check` it writes nothing
and says what is out of date (exit code 1).
"""

import argparse
import json
import sys
from dataclasses import MISSING, fields
from pathlib import Path
from typing import Any

import msgspec
import pyarrow as pa
from pydantic import BaseModel
from pydantic.json_schema import GenerateJsonSchema

from stream_filter.analyst.config_model import AnalystModel
from stream_filter.app.audit_trail import AuditUse
from stream_filter.app.case_model import CaseModel, CasesModel, ExpectModel
from stream_filter.app.memory_schemas import fold_summary_schema, memory_schema
from stream_filter.app.policy_model import DefaultsModel, PolicyModel, RuleModel, TopicModel
from stream_filter.app.replay_record import ReplayRecord
from stream_filter.app.settings import Settings
from stream_filter.app.store_schemas import store_document
from stream_filter.app.target_model import HoldoutModel
from stream_filter.core.decision import Reason, Route, Verdict
from stream_filter.core.ledger import LEDGER_VERSION, BlockHeader
from stream_filter.core.statement import STATEMENT_VERSION, Statement
from stream_filter.gate import headers as sf
from stream_filter.kafka.order_record import OrderModel, ReportModel
from stream_filter.kafka.verdict_record import VerdictModel
from stream_filter.models.manifest import Manifest
from stream_filter.outage.incident import INCIDENT_VERSION, Incident
from stream_filter.store.arrow_block import (
    CHALLENGE_FIELDS,
    CUT_FIELD,
    LEDGER_SCHEMA,
    RULE_FIELD,
    SLICE_FIELD,
)

_DRAFT = "https://json-schema.org/draft/2020-12/schema"

COLUMNS = {
    "offset_step": "Offset less the one of the row before; the first row: less first_offset.",
    "score": "What the model said, in [0, 1]; null where there is no score.",
    "verdict": "What the policy concludes from the score.",
    "route": "Where the record went.",
    "reason": "Why it went there.",
    "probability": "Chance that a record decided like this one is forwarded: 1 where that is "
    "certain, the holdout's share for a would-be drop, 0 for a dead letter.",
    "text_digest": "First 8 bytes, little-endian, of the BLAKE2b-128 of the canonical text; "
    "0 where there is no text.",
    "rule": "The rule that decided: its name, or its place in the list, like #1; null where none "
    "did. In blocks of topics that have rules.",
    "slice": "The slice: values of the fields that the policy watches apart, joined by /; null "
    "where the event has none of them. In blocks of topics with slices.",
    "is_cut": "Whether the text is longer than what is read of one: head and tail were read. In "
    "blocks with such a text.",
    "challenger_score": "What the challenger's model said; null where there is no score. This and "
    "the next two are in blocks of topics that have a challenger.",
    "challenger_verdict": "What the challenger concludes from rules and score.",
    "challenger_reason": "Why.",
}
CERTIFICATE = {
    "statement_version": "Version of this schema.",
    "topic": "The source topic.",
    "entry_id": "16 hex digits: the digest of the policy's entry for the topic.",
    "model_id": "16 hex digits of the model pack's digest.",
    "at_ms": "When it was stated, Unix milliseconds.",
    "since_ms": "Since when it has this state, Unix milliseconds.",
    "state": "What may be said now.",
    "before": "The state until then; null: this is the first.",
    "stale_causes": "Why it does not stand for the stream any more.",
    "alarms": "Of the causes, those that do not follow from the evidence.",
    "on_failure": "What the workers do while it is refuted or stale.",
    "target": "What is to be certified.",
    "finding": "What the evidence of the epoch shows; null before the first.",
    "slices": "The same of each slice, the worst first.",
    "kept_needed": "Important events kept that certify the epoch if nothing more is found missing.",
    "forecast_ms": "When it will as likely as not be certified; null: it is, or not in sight.",
    "pending": "Events shown that wait for a verdict.",
    "evidence": "The counts, by epoch, oldest first.",
    "evidence_digest": "SHA-256 of the evidence as canonical JSON, 64 hex digits.",
    "extent": "Up to where ledger and verdicts were read for it, and how long an event may wait "
    "for its verdict before it counts: who reads as far counts the same.",
    "signs": "How far the signs of drift are up that need no verdict, chance apart; null: they are "
    "not looked for.",
    "widened": "With on_failure widen, since the fall: below which scores events are still "
    "dropped, the share that is forwarded, and on how many important events that rests; null: "
    "nothing is.",
}
INCIDENT = {
    "incident_version": "Version of this schema.",
    "incident_id": "When it began and a digest of who complained first; the record's key.",
    "state": "open; closed: nothing has complained for the quiet time.",
    "revision": "Counts the records of this incident.",
    "onset_ms": "When the first of its services began to complain, Unix milliseconds, like all "
    "times here.",
    "opened_ms": "When it was seen.",
    "seen_ms": "When something was last seen to complain.",
    "closed_ms": "When it was closed; null: it is open.",
    "services": "Who complains, in the order in which they began: events since the onset, and how "
    "many there would have been.",
    "suspects": "Where the blame comes to rest, and how much of it, in [0, 1]; the first has most.",
    "texts": "What tells of it, the most telling first, each with an event that says it.",
    "links": "Who names whom (peer), and who complains after whom in the same requests (trace).",
    "assessment": "What a language model says; null: nothing yet. rests_on has sf-ids, root and "
    "affected are services that it was shown.",
    "unassessed": "Why a language model says nothing: a cause, as in verdicts; null: it was not "
    "asked, or has answered.",
}
METADATA = {
    "ledger_version": "Version of this schema.",
    "block_id": "topic/partition/first_offset-last_offset; equal for a repeat of the batch.",
    "topic": "The source topic.",
    "partition": "The source partition.",
    "first_offset": "First source offset that the block covers.",
    "last_offset": "Last source offset that the block covers, also where it holds no record.",
    "rows": "Records in the block: its rows.",
    "policy_id": "16 hex digits of the policy's digest.",
    "model_id": "16 hex digits of the model pack's digest; empty where none was loaded.",
    "mask_set": "Version of the mask set that made the canonical texts.",
    "worker": "Name of the worker that decided.",
    "delivery": "exactly_once or at_least_once.",
    "first_timestamp_ms": "Least record timestamp, Unix milliseconds.",
    "last_timestamp_ms": "Greatest record timestamp, Unix milliseconds.",
    "decided_at_ms": "When the batch was decided, Unix milliseconds.",
    "overload": "What was done because the gate had fallen behind: wait, scout_only or forward.",
    "entry_id": "16 hex digits of the digest of the topic's own entry in the policy, where it has "
    "a target.",
    "epoch_opened_ms": "Of a topic with a target: when the epoch of evidence began, Unix "
    "milliseconds.",
    "previous_digest": "64 hex digits: the digest of the block before in this partition, where its "
    "writer knew of one.",
    "digest": "64 hex digits: BLAKE2b-256 of header and rows (docs/ledger.md).",
    "epoch_closes_ms": "Until when verdicts count for it, Unix milliseconds.",
}
"""Texts for what the code names; a name without a text is an error."""

_POSITION = {
    "type": "string",
    "pattern": r"^[A-Za-z0-9._-]{1,249}/[0-9]+/[0-9]+$",
    "description": "Where the record stood: topic/partition/offset.",
}
_ID = {
    "type": "string",
    "pattern": "^[0-9a-f]{32}$",
    "description": "The event's id: a keyed digest of its position, equal for every repeat.",
}
_POLICY = {
    "type": "string",
    "pattern": "^[0-9a-f]{16}$",
    "description": "The id of the policy that decided.",
}
_DEAD = (Reason.UNDECODABLE, Reason.TOO_LARGE)


class _Untitled(GenerateJsonSchema):
    """JSON Schema without a title for each field that only repeats its name."""

    def field_title_should_be_set(self, schema: Any) -> bool:
        return False


def documents() -> dict[str, dict[str, Any]]:
    """Every published schema by file name."""
    return {
        "policy.schema.json": _policy(),
        "cases.schema.json": _cases(),
        "analyst.schema.json": _of_model(AnalystModel, "stream-filter analyst"),
        "settings.schema.json": _of_model(Settings, "stream-filter settings"),
        "manifest.schema.json": _of_model(Manifest, "stream-filter model pack manifest"),
        "headers.schema.json": _headers(),
        "dead-letter.schema.json": _dead_letter(),
        "fold-summary.schema.json": fold_summary_schema(),
        "memory.schema.json": memory_schema(),
        "ledger-block.json": _ledger_block(),
        "store.json": store_document(),
        "order.schema.json": _of_model(OrderModel, "stream-filter order"),
        "report.schema.json": _of_model(ReportModel, "stream-filter worker report"),
        "verdict.schema.json": _verdict(),
        "audit-use.schema.json": _of_model(AuditUse, "stream-filter audit use"),
        "replay.schema.json": _of_model(ReplayRecord, "stream-filter replay"),
        "certificate.schema.json": _certificate(),
        "incident.schema.json": _incident(),
    }


def _certificate() -> dict[str, Any]:
    schema = _of_record(
        Statement,
        CERTIFICATE,
        "stream-filter certificate",
        "The value of a record of the certificate topic, as JSON: what the gate claims about a "
        "topic's recall, and the evidence that it rests on.",
    )
    schema["properties"]["statement_version"]["const"] = STATEMENT_VERSION
    return schema


def _incident() -> dict[str, Any]:
    schema = _of_record(
        Incident,
        INCIDENT,
        "stream-filter incident",
        "The value of a record of the incidents topic, as JSON: one outage, from its first sign "
        "until it is over. The newest record of a key counts.",
    )
    schema["properties"]["incident_version"]["const"] = INCIDENT_VERSION
    return schema


def _of_record(
    kind: type, descriptions: dict[str, str], title: str, description: str
) -> dict[str, Any]:
    """The schema of a dataclass that is written as JSON."""
    schema = msgspec.json.schema(kind)
    record = schema["$defs"].pop(kind.__name__)
    for name, text in descriptions.items():
        found = record["properties"][name]
        record["properties"][name] = (
            {"allOf": [found], "description": text}
            if "$ref" in found
            else {**found, "description": text}
        )
    assert record["properties"].keys() == descriptions.keys()
    return {
        "$schema": _DRAFT,
        **record,
        "title": title,
        "description": description,
        "$defs": schema["$defs"],
    }


def _of_model(model: type[BaseModel], title: str) -> dict[str, Any]:
    schema = model.model_json_schema(schema_generator=_Untitled)
    return {"$schema": _DRAFT, **schema, "title": title}


def _policy() -> dict[str, Any]:
    schema = _of_model(PolicyModel, "stream-filter policy")
    definitions = schema["$defs"]
    topic = definitions[TopicModel.__name__]
    defaults = definitions[DefaultsModel.__name__]
    # A default is a topic's key with a value: not null, and described where the topic's is.
    defaults["properties"] = {
        name: {k: v for k, v in topic["properties"][name].items() if k != "default"}
        for name in defaults["properties"]
    }
    for properties in (topic["properties"], defaults["properties"]):
        for name in ("text", "raw"):
            properties[name] = _never_null(properties[name])
    holdout = definitions[HoldoutModel.__name__]["properties"]
    for name in ("rate", "prevalence", "recall"):
        holdout[name] = _never_null(holdout[name])
    rule = definitions[RuleModel.__name__]["properties"]
    for name in ("name", "holdout"):
        rule[name] = _never_null(rule[name])
    identity = definitions["PackModel"]["properties"]
    identity["id"] = _never_null(identity["id"])
    del schema["properties"]["defaults"]["default"]
    # What a topic needs may also stand in the defaults.
    schema["allOf"] = [
        {
            "anyOf": [
                {"properties": {"defaults": {"required": [name]}}, "required": ["defaults"]},
                {"properties": {"topics": {"additionalProperties": {"required": [name]}}}},
            ]
        }
        for name in topic.pop("required")
    ]
    # And thresholds, or a target that they are calibrated for.
    schema["allOf"].append(
        {
            "anyOf": [
                *(
                    {"properties": {"defaults": {"required": [name]}}, "required": ["defaults"]}
                    for name in ("raw", "target")
                ),
                {
                    "properties": {
                        "topics": {
                            "additionalProperties": {
                                "anyOf": [{"required": [name]} for name in ("raw", "target")]
                            }
                        }
                    }
                },
            ]
        }
    )
    return schema


def _cases() -> dict[str, Any]:
    schema = _of_model(CasesModel, "stream-filter cases")
    case = schema["$defs"][CaseModel.__name__]
    expect = schema["$defs"][ExpectModel.__name__]
    for model in (schema, case, expect):
        for name in model["properties"].keys() & {"name", "topic", *ExpectModel.model_fields}:
            model["properties"][name] = _never_null(model["properties"][name])
    for name in ("payload", "payload_base64"):
        del case["properties"][name]["default"]
    # One of them must be there, null or not.
    case["oneOf"] = [{"required": ["payload"]}, {"required": ["payload_base64"]}]
    expect["minProperties"] = 1
    return schema


def _verdict() -> dict[str, Any]:
    schema = _of_model(VerdictModel, "stream-filter verdict")
    optional = ("reason", "cost", "tokens", "seconds", "cause", "answers", "prompt", "answer_ids")
    for name in (*optional, "cached"):
        schema["properties"][name] = _never_null(schema["properties"][name])
    return schema


def _never_null(schema: dict[str, Any]) -> dict[str, Any]:
    """An optional field's schema, for files in which one leaves out what one does not set."""
    (branch,) = (branch for branch in schema["anyOf"] if branch != {"type": "null"})
    rest = {k: v for k, v in schema.items() if k not in {"anyOf", "default"}}
    return {**branch, **rest}


def _headers() -> dict[str, Any]:
    properties = {
        sf.SF_ID: _ID,
        sf.SF_SOURCE: _POSITION,
        sf.SF_REASON: {
            "enum": [reason.label for reason in Reason],
            "description": "Why the record was forwarded; of a replay: why it was decided so.",
        },
        sf.SF_VERDICT: {
            "enum": [verdict.label for verdict in Verdict],
            "description": "What the policy concludes from the score.",
        },
        sf.SF_POLICY: _POLICY,
        sf.SF_SCORE: {
            "type": "string",
            "pattern": r"^(0|1|0\.[0-9]+|[0-9](\.[0-9]+)?e-[0-9]+)$",
            "description": "The model's score, a decimal in [0, 1]; absent where there is none.",
        },
        sf.SF_PRIORITY: {
            "type": "string",
            "pattern": "^[0-9]$",
            "description": "In which order to read: 9 first (what a rule keeps, and the holdout), "
            "else by score, 8 to 0.",
        },
        sf.SF_RULE: {
            "type": "string",
            "description": "The rule that decided: its name, or its place in the list, like #1; "
            "absent where none did.",
        },
        sf.SF_MODEL: {
            "type": "string",
            "description": "The id of the model pack in force; absent where none was loaded.",
        },
    }
    properties |= {
        sf.SF_FORWARD_TO: {
            "type": "string",
            "description": "Only in the deferred topic: the topic that the record was meant for.",
        },
        sf.SF_RELEASED: {
            "type": "string",
            "pattern": "^[0-9]+$",
            "description": "Only on what was drained from there: when, in Unix milliseconds.",
        },
        sf.SF_REPLAY: {
            "type": "string",
            "pattern": "^[0-9a-f]{16}$",
            "description": "Only on what was replayed: the id of the replay.",
        },
        sf.SF_REPLAY_BY: {
            "type": "string",
            "description": "Only on what was replayed: who asked for it, user@host.",
        },
        sf.SF_REPLAY_AT: {
            "type": "string",
            "pattern": "^[0-9]+$",
            "description": "Only on what was replayed: when, in Unix milliseconds.",
        },
    }
    optional = {sf.SF_SCORE, sf.SF_MODEL, sf.SF_RULE, sf.SF_FORWARD_TO, sf.SF_RELEASED}
    optional |= {sf.SF_REPLAY, sf.SF_REPLAY_BY, sf.SF_REPLAY_AT}
    return _header_schema(
        "Headers that stream-filter adds to a forwarded record", properties, optional
    )


def _dead_letter() -> dict[str, Any]:
    properties = {
        sf.SF_ID: _ID,
        sf.SF_SOURCE: _POSITION,
        sf.SF_REASON: {
            "enum": [reason.label for reason in _DEAD],
            "description": "Why the record is a dead letter.",
        },
        sf.SF_CAUSE: {"type": "string", "description": "What was wrong, in words."},
        sf.SF_POLICY: _POLICY,
        sf.SF_PAYLOAD: {
            "const": "omitted",
            "description": "Present where the value was too large for the dead-letter topic too.",
        },
    }
    return _header_schema(
        "Headers that stream-filter adds to a dead letter", properties, {sf.SF_PAYLOAD}
    )


def _header_schema(title: str, properties: dict[str, Any], optional: set[str]) -> dict[str, Any]:
    return {
        "$schema": _DRAFT,
        "title": title,
        "description": "Values are UTF-8 bytes, given here as strings. They follow the source's "
        "headers, which are kept: of two headers of one name the last is the gate's.",
        "type": "object",
        "properties": properties,
        "required": [name for name in properties if name not in optional],
    }


def _ledger_block() -> dict[str, Any]:
    names = ["ledger_version", "block_id", *(field.name for field in fields(BlockHeader))]
    integers = {field.name for field in fields(BlockHeader) if field.type is int}
    optional = {field.name for field in fields(BlockHeader) if field.default is not MISSING}
    return {
        "title": "stream-filter ledger block",
        "description": "The value of a record of the ledger topic: an Arrow IPC stream of one "
        "record batch, buffers compressed with zstd. A row for each record, in offset order.",
        "ledger_version": LEDGER_VERSION,
        "record": {
            "key": "topic/partition of the source",
            "headers": {"sf-block": "block_id"},
            "timestamp": "decided_at_ms",
        },
        "columns": [
            {
                "name": field.name,
                "type": _arrow_type(field.type),
                "nullable": field.nullable,
                **({} if field in LEDGER_SCHEMA else {"optional": True}),
                "description": COLUMNS[field.name],
            }
            for field in (*LEDGER_SCHEMA, RULE_FIELD, SLICE_FIELD, CUT_FIELD, *CHALLENGE_FIELDS)
        ],
        "metadata": [
            {
                "name": name,
                "type": "integer in decimal" if name in integers else "string",
                **({"optional": True} if name in optional else {}),
                "description": METADATA[name],
            }
            for name in names
        ]
        + [
            {
                "name": "challenger_model_id",
                "type": "string",
                "optional": True,
                "description": "16 hex digits of the challenger's pack, where there is one.",
            }
        ],
        "closed_lists": {
            closed_list.__name__.lower(): {member.label: member.value for member in closed_list}
            for closed_list in (Verdict, Route, Reason)
        },
    }


def _arrow_type(kind: pa.DataType) -> Any:
    if pa.types.is_dictionary(kind):
        return {"dictionary": {"index": str(kind.index_type), "value": str(kind.value_type)}}
    return str(kind)


def main(arguments: list[str] | None = None) -> int:
    """Write or check; the exit code."""
    parser = argparse.ArgumentParser(prog="python -m stream_filter.app.schemas")
    parser.add_argument("--check", action="store_true", help="write nothing, say what differs")
    parser.add_argument("--folder", type=Path, default=Path("schemas"))
    given = parser.parse_args(arguments)
    stale = []
    for name, document in documents().items():
        path = given.folder / name
        text = json.dumps(document, indent=2, ensure_ascii=False) + "\n"
        if given.check:
            if not path.exists() or path.read_text(encoding="utf-8") != text:
                stale.append(path)
        else:
            given.folder.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
    for path in stale:
        sys.stderr.write(f"{path} is out of date: run `make schemas`\n")
    return 1 if stale else 0


if __name__ == "__main__":
    sys.exit(main())
