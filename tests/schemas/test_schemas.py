"""The published schemas say what the code does."""

import json
import math
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jsonschema
import msgspec
import numpy as np
import pyarrow as pa
import pytest
import yaml

from stream_filter.app.case_file import load_cases
from stream_filter.app.policy_file import LATER, load_policy
from stream_filter.app.policy_model import DefaultsModel, PolicyModel, TopicModel
from stream_filter.app.schemas import documents, main
from stream_filter.app.settings import load_settings
from stream_filter.core.canonical import MASK_SET_VERSION
from stream_filter.core.decision import Decisions, Reason, Route, Verdict
from stream_filter.core.entry import Entry
from stream_filter.core.errors import ConfigError
from stream_filter.core.fold_window import FoldWindow
from stream_filter.core.ledger import Block, BlockHeader, Challenge
from stream_filter.gate.fold_summary import parse_summary, summarize, summary_emission
from stream_filter.gate.headers import Stamp
from stream_filter.gate.partition_memory import PartitionMemory
from stream_filter.store.arrow_block import ArrowLedgerCodec
from stream_filter.store.msgpack_memory import MsgpackMemoryCodec

REPO = Path(__file__).parents[2]
SCHEMAS = documents()
GOOD_POLICY = """
version: 1
defaults: {model: triage-starter, raw: {drop_below: 0.2, keep_above: 0.8}, holdout: 0}
topics:
  a.logs: {text: "{level}", mode: enforce, ramp: 10, novelty: {forward_first: 5}, fold: null}
  b.*: {format: text, model: {pack: other, id: 0123456789abcdef}, forward_to: b.analysis,
    fold: {window: 5m, keep: 3}, rules: [{when: 'line == ""', then: drop, name: blank, holdout: 0}]}
  c: {text: "{m}", raw: {drop_below: 0.2, keep_above: 0.8}, target: {recall: 0.95},
    holdout: {certify_within: 24h, rate: 500/s, prevalence: 0.01, recall: 0.98, at_most: 0.4},
    epoch: 14d, max_age: 6h, on_failure: widen, slices: {by: [service], recall: 0.8}}
  d: {text: "{m}", target: {recall: 0.99, failure_probability: 0.01}, slices: [service]}
  e: {text: "{m}", forward_to: {important: pages, duplicate: storms, default: llm.analysis},
    challenger: {model: {pack: p2}, rules: [], text: "{m} {n}"},
    ramp: {percent: 10, by: key}, overload: {max_lag: 30s, then: forward},
    budget: {per_minute: 300, tokens_per_day: 5000, overflow: widen, price: 2}}
budgets: {llm.analysis: {per_hour: 10000}}
"""
TARGETED = {"text": "{m}", "model": "p", "target": {"recall": 0.95}}
ALONE = {"text": "{m}", "model": "p", "raw": {"drop_below": 0.2, "keep_above": 0.8}}


def is_valid(name: str, instance: Any) -> bool:
    """Whether an instance fits the published schema."""
    return not list(jsonschema.Draft202012Validator(SCHEMAS[name]).iter_errors(instance))


def load(text: str, folder: Path) -> None:
    """Load a policy file with this text."""
    path = folder / "policy.yaml"
    path.write_text(text)
    load_policy(path)


def test_published_schemas_are_up_to_date() -> None:
    """schemas/ holds what the generator writes, and nothing else."""
    assert main(["--check", "--folder", str(REPO / "schemas")]) == 0, "run `make schemas`"
    assert {path.name for path in (REPO / "schemas").iterdir()} == set(SCHEMAS)


def test_stale_schema_is_found(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The check names a file that is missing or differs, and writes nothing."""
    assert main(["--folder", str(tmp_path)]) == 0
    assert main(["--check", "--folder", str(tmp_path)]) == 0
    (tmp_path / "policy.schema.json").write_text("{}\n")
    (tmp_path / "manifest.schema.json").unlink()
    assert main(["--check", "--folder", str(tmp_path)]) == 1
    said = capsys.readouterr().err
    assert "policy.schema.json" in said
    assert "manifest.schema.json" in said
    assert not (tmp_path / "manifest.schema.json").exists()


@pytest.mark.parametrize("name", [name for name in SCHEMAS if name.endswith(".schema.json")])
def test_schema_is_a_schema(name: str) -> None:
    """Every JSON Schema is valid, names its draft and describes itself."""
    jsonschema.Draft202012Validator.check_schema(SCHEMAS[name])
    assert SCHEMAS[name]["$schema"].endswith("2020-12/schema")
    assert SCHEMAS[name]["title"].startswith(("stream-filter", "Headers"))


def test_policy_schema_takes_what_the_loader_takes(tmp_path: Path) -> None:
    """A policy whose topics lean on defaults is valid for both."""
    load(GOOD_POLICY, tmp_path)
    assert is_valid("policy.schema.json", yaml.safe_load(GOOD_POLICY))


@pytest.mark.parametrize(
    "broken",
    [
        {},
        {"version": 2, "topics": {"a": ALONE}},
        {"version": 1, "topics": {}},
        {"version": 1, "topics": {"a": {**ALONE, "colour": "red"}}},
        {"version": 1, "topics": {"a": {"text": "{m}", "model": "p"}}},
        {"version": 1, "defaults": {"model": "p"}, "topics": {"a": {"text": "{m}"}}},
        {"version": 1, "topics": {"a": {**ALONE, "mode": "strict"}}},
        {"version": 1, "topics": {"a": {**ALONE, "holdout": 1.5}}},
        {"version": 1, "topics": {"a": {**ALONE, "holdout": "0.1"}}},
        {"version": 1, "topics": {"a": {**ALONE, "forward_to": "no spaces"}}},
        {"version": 1, "topics": {"a": {**ALONE, "model": {"pack": "p", "id": "short"}}}},
        {"version": 1, "topics": {"a": {**ALONE, "novelty": {"forward_first": 0}}}},
        {"version": 1, "topics": {"a": {**ALONE, "fold": {"window": "60", "keep": 3}}}},
        {"version": 1, "topics": {"a": {**ALONE, "fold": {"window": "60s"}}}},
        {"version": 1, "topics": {"a": {**ALONE, "ramp": 101}}},
        {"version": 1, "topics": {"a": {**ALONE, "rules": [{"when": "true"}]}}},
        {"version": 1, "topics": {"a": {**ALONE, "rules": [{"when": "true", "then": "hold"}]}}},
        {"version": 1, "topics": {"a": {**ALONE, "rules": {"when": "true", "then": "keep"}}}},
        {"version": 1, "topics": {"a": {**ALONE, "target": {"recall": 1}}}},
        {"version": 1, "topics": {"a": {**ALONE, "target": 0.95}}},
        {"version": 1, "topics": {"a": {**TARGETED, "epoch": "0d"}}},
        {"version": 1, "topics": {"a": {**TARGETED, "on_failure": "stop"}}},
        {"version": 1, "topics": {"a": {**TARGETED, "slices": []}}},
        {"version": 1, "topics": {"a": {**TARGETED, "slices": {"recall": 0.5}}}},
        {"version": 1, "topics": {"a": {**TARGETED, "holdout": {"certify_within": "soon"}}}},
        {"version": 1, "topics": {"a": {**TARGETED, "calibration": {"drop_below": 0.2}}}},
        *({"version": 1, "topics": {"a": {**ALONE, key: 1}}} for key in LATER),
    ],
)
def test_policy_schema_refuses_what_the_loader_refuses(broken: Any, tmp_path: Path) -> None:
    """An editor that follows the schema marks what `check` would refuse."""
    assert not is_valid("policy.schema.json", broken)
    with pytest.raises(ConfigError):
        load(yaml.safe_dump(broken), tmp_path)


def described(schema: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    """Every key that a schema names, at any depth, with what it says of it."""
    found = []
    for owner in (schema, *schema["$defs"].values()):
        for name, said in owner.get("properties", {}).items():
            found.append((f"{owner['title']}.{name}", said))
    return found


@pytest.mark.parametrize("name", ["policy.schema.json", "cases.schema.json"])
def test_every_key_has_a_description_and_examples(name: str) -> None:
    """Editors show what a key means and what one writes: no key is without, and each example is
    one that the schema takes."""
    keys = described(SCHEMAS[name])
    for key, said in keys:
        assert len(said.get("description", "")) > 10, key
        assert said.get("examples"), key
        for example in said["examples"]:
            fragment = {**said, "$defs": SCHEMAS[name]["$defs"]}
            assert not list(jsonschema.Draft202012Validator(fragment).iter_errors(example)), key
    if name == "policy.schema.json":
        models = (PolicyModel, TopicModel, DefaultsModel)
        assert {f for model in models for f in model.model_fields} <= {
            key.partition(".")[2] for key, _ in keys
        }


CASES = """
version: 1
topic: payments.logs
cases:
  - name: all of it
    key: k
    headers: {a: b, c: null}
    timestamp: "2026-11-24T12:00:00Z"
    payload: {m: x}
    repeat: 2
    expect: {verdict: keep, route: forward, reason: important, text: x, score: {min: 0.5}}
  - {payload: null, key: null, expect: {reason: unreadable}}
  - {payload_base64: eA==, timestamp: 0, topic: payments.logs, expect: {rule: r}}
"""
CASE = {"payload": {"m": "x"}, "expect": {"verdict": "keep"}}


def read_cases(text: str, folder: Path) -> None:
    """Load a case file with this text, for a policy of one topic."""
    (folder / "policy.yaml").write_text(
        yaml.safe_dump({"version": 1, "topics": {"payments.logs": ALONE}})
    )
    (folder / "cases.yaml").write_text(text)
    load_cases(folder / "cases.yaml", load_policy(folder / "policy.yaml"))


def test_cases_schema_takes_what_the_loader_takes(tmp_path: Path) -> None:
    """A case file with every key is valid for both."""
    read_cases(CASES, tmp_path)
    assert is_valid("cases.schema.json", yaml.safe_load(CASES))


@pytest.mark.parametrize(
    "broken",
    [
        {},
        {"version": 1, "cases": []},
        {"version": 1, "cases": [{**CASE, "colour": "red"}]},
        {"version": 1, "cases": [{"payload": "x"}]},
        {"version": 1, "cases": [{"expect": {"verdict": "keep"}}]},
        {"version": 1, "cases": [{**CASE, "payload_base64": "eA=="}]},
        {"version": 1, "cases": [{**CASE, "payload": 7}]},
        {"version": 1, "cases": [{**CASE, "expect": {}}]},
        {"version": 1, "cases": [{**CASE, "expect": {"verdict": "maybe"}}]},
        {"version": 1, "cases": [{**CASE, "expect": {"score": {"min": 2}}}]},
        {"version": 1, "cases": [{**CASE, "repeat": 0}]},
        {"version": 1, "cases": [{**CASE, "headers": {"a": 1}}]},
    ],
)
def test_cases_schema_refuses_what_the_loader_refuses(broken: Any, tmp_path: Path) -> None:
    """An editor that follows the schema marks what `test` would refuse."""
    assert not is_valid("cases.schema.json", broken)
    with pytest.raises(ConfigError):
        read_cases(yaml.safe_dump(broken), tmp_path)


def test_settings_schema_takes_what_the_loader_takes(tmp_path: Path) -> None:
    """The settings that the documentation shows are valid for both; a wrong key for neither."""
    (shown,) = re.findall(r"```yaml\n(.*?)```", (REPO / "docs/operations.md").read_text(), re.S)
    path = tmp_path / "settings.yaml"
    path.write_text(shown)
    load_settings(path, {})
    assert is_valid("settings.schema.json", yaml.safe_load(shown))
    path.write_text("gruop: a\n")
    with pytest.raises(ConfigError):
        load_settings(path, {})
    assert not is_valid("settings.schema.json", {"gruop": "a"})


@pytest.mark.parametrize("pack", ["triage-starter", "demo-platform"])
def test_manifest_schema_takes_the_shipped_packs(pack: str) -> None:
    """The shipped packs' manifests are valid."""
    manifest = (REPO / "models" / pack / "manifest.json").read_text()
    assert is_valid("manifest.schema.json", yaml.safe_load(manifest))


@dataclass(frozen=True)
class Case:
    """A decision whose headers are published."""

    reason: Reason
    verdict: Verdict
    score: float
    model_id: str
    rule: int = -1


def stamp(model_id: str) -> Stamp:
    return Stamp(
        topic="a.logs",
        partition=3,
        key=b"secret",
        policy_id="0123456789abcdef",
        model_id=model_id,
        rule_labels=("health checks", "#2"),
    )


@pytest.mark.parametrize(
    "case",
    [
        Case(Reason.IMPORTANT, Verdict.KEEP, 1.0, "0123456789abcdef"),
        Case(Reason.AMBIGUOUS, Verdict.ABSTAIN, 0.41831234, "0123456789abcdef"),
        Case(Reason.SHADOW, Verdict.DROP, 0.0, "0123456789abcdef"),
        Case(Reason.HOLDOUT, Verdict.DROP, 1.25e-7, "0123456789abcdef"),
        Case(Reason.HOLDOUT, Verdict.DROP, 1e-30, "0123456789abcdef"),
        Case(Reason.DEGRADED, Verdict.ABSTAIN, math.nan, ""),
        Case(Reason.RULE, Verdict.KEEP, math.nan, "0123456789abcdef", rule=1),
        Case(Reason.HOLDOUT, Verdict.DROP, math.nan, "", rule=0),
    ],
)
def test_header_schema_takes_what_the_gate_writes(case: Case) -> None:
    """Headers of forwarded records fit the schema, and the schema knows each of them."""
    headers = stamp(case.model_id).forwarded(42, case.reason, case.verdict, case.score, case.rule)
    instance = {name: (value or b"").decode() for name, value in headers}
    assert instance.get("sf-rule") == {-1: None, 0: "health checks", 1: "#2"}[case.rule]
    assert is_valid("headers.schema.json", instance)
    assert set(instance) <= set(SCHEMAS["headers.schema.json"]["properties"])
    for name in SCHEMAS["headers.schema.json"]["required"]:
        assert not is_valid("headers.schema.json", {**instance, name: "no such thing!"})


@pytest.mark.parametrize("omitted", [False, True])
def test_dead_letter_schema_takes_what_the_gate_writes(omitted: bool) -> None:
    """Headers of dead letters fit the schema, and the schema knows each of them."""
    headers = stamp("").dead(
        42,
        Reason.TOO_LARGE if omitted else Reason.UNDECODABLE,
        "not UTF-8: invalid start byte at byte 0",
        payload_omitted=omitted,
    )
    instance = {name: (value or b"").decode() for name, value in headers}
    assert is_valid("dead-letter.schema.json", instance)
    assert set(instance) <= set(SCHEMAS["dead-letter.schema.json"]["properties"])


def test_fold_summary_schema_takes_what_the_gate_writes() -> None:
    """A summary fits the schema, and nothing can be left out of it."""
    window = FoldWindow(2**64 - 1, 0, 60_000, 60_000, 3, 12, 9, 7, 40, "disk <hex> is füll")
    summary = summarize(window, ("a.logs", 3), "0123456789abcdef")
    emission = summary_emission(summary, topic="llm.analysis", at_ms=60_000, key=b"secret")
    instance = json.loads(emission.value or b"")
    assert parse_summary(emission.value or b"") == summary
    assert is_valid("fold-summary.schema.json", instance)
    for name in instance:
        rest = {k: v for k, v in instance.items() if k != name}
        assert not is_valid("fold-summary.schema.json", rest)
        assert not is_valid("fold-summary.schema.json", {**instance, name: None})


def test_memory_schema_takes_what_the_gate_writes() -> None:
    """A saved memory fits the schema, and the schema knows every kind and all its numbers."""
    memory = PartitionMemory("a.logs", 3, codec=MsgpackMemoryCodec())
    memory.memory.apply(
        {
            part.kind: [Entry(1, 0, tuple(range(1, len(part.columns) + 1)), "text")]
            for part in memory.memory.parts
            if part.kind != "fold"
        }
        | {"fold": [Entry(1, 0, (9, 9, 0, 5, 3, 1, 4), "text")]}
    )
    memory.memory.clock.advance(np.array([7]))
    ((_, value),) = memory.save(10)
    instance = msgspec.msgpack.decode(value)
    assert is_valid("memory.schema.json", instance)
    kinds = SCHEMAS["memory.schema.json"]["properties"]["entries"]["properties"]
    assert set(instance["entries"]) == set(kinds)
    for part in memory.memory.parts:
        assert ", ".join(part.columns) in kinds[part.kind]["description"]
    assert not is_valid("memory.schema.json", {**instance, "memory_version": "2"})
    assert not is_valid("memory.schema.json", {**instance, "entries": {"novelty": [[1, 0]]}})


@pytest.mark.parametrize("rule", [None, np.array([0, -1], np.int16)])
def test_block_schema_is_what_a_block_holds(rule: Any) -> None:
    """Columns, metadata and labels of a real block are those published; those of rules and
    challenger are in the blocks of topics that have them."""
    header = BlockHeader(
        topic="a.logs",
        partition=3,
        first_offset=40,
        last_offset=42,
        rows=2,
        policy_id="0123456789abcdef",
        model_id="",
        mask_set=MASK_SET_VERSION,
        worker="w",
        delivery="exactly_once",
        first_timestamp_ms=1,
        last_timestamp_ms=2,
        decided_at_ms=3,
        # Of a topic that has everything, also a target and slices.
        **({} if rule is None else {"entry_id": "f" * 16, "epoch_opened_ms": 4}),
        **({} if rule is None else {"epoch_closes_ms": 5, "overload": "forward"}),
        **({} if rule is None else {"previous_digest": "a" * 64, "digest": "b" * 64}),
    )
    decisions = Decisions(
        score=np.array([0.5, np.nan], np.float32),
        verdict=np.array([Verdict.ABSTAIN, Verdict.ABSTAIN], np.uint8),
        route=np.array([Route.FORWARD, Route.DEAD_LETTER], np.uint8),
        reason=np.array([Reason.AMBIGUOUS, Reason.UNDECODABLE], np.uint8),
        probability=np.array([1, 0], np.float32),
        rule=rule,
    )
    digests = np.array([7, 0], np.uint64)
    block = Block(
        header=header,
        offsets=np.array([40, 42]),
        text_digests=digests,
        decisions=decisions,
        rule_labels=() if rule is None else ("#1",),
        challenge=None
        if rule is None
        else Challenge(
            model_id="0123456789abcdef",
            score=decisions.score,
            verdict=decisions.verdict,
            reason=decisions.reason,
        ),
        slice=rule,
        is_cut=None if rule is None else np.array([True, False]),
        slice_labels=() if rule is None else ("auth",),
    )
    schema = pa.ipc.open_stream(ArrowLedgerCodec().encode(block)).schema
    published = SCHEMAS["ledger-block.json"]
    columns = [c for c in published["columns"] if rule is not None or "optional" not in c]
    assert [column["name"] for column in columns] == schema.names
    assert [c["nullable"] for c in columns] == [f.nullable for f in schema]
    metadata = {name.decode(): value.decode() for name, value in schema.metadata.items()}
    said = [e for e in published["metadata"] if rule is not None or "optional" not in e]
    assert {entry["name"] for entry in said} == set(metadata)
    for entry in said:
        if entry["type"] != "string":
            assert metadata[entry["name"]].isdigit()


def test_published_codes_are_stable() -> None:
    """Codes are stored: this list may grow at its end and change nowhere else."""
    assert SCHEMAS["ledger-block.json"]["closed_lists"] == {
        "verdict": {"keep": 0, "drop": 1, "abstain": 2},
        "route": {"forward": 0, "discard": 1, "dead_letter": 2, "defer": 3, "fold": 4},
        "reason": {
            "important": 0,
            "ambiguous": 1,
            "rule": 2,
            "novel": 3,
            "holdout": 4,
            "shadow": 5,
            "degraded": 6,
            "below_threshold": 7,
            "duplicate": 8,
            "over_budget": 9,
            "undecodable": 10,
            "unreadable": 11,
            "too_large": 12,
            "paused": 13,
            "overloaded": 14,
            "text_cut": 15,
        },
    }
