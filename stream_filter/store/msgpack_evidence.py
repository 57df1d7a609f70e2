"""Evidence as MessagePack: a page, and the desk that says how far the logs have been read."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, TypeVar

import msgspec
import numpy as np

from stream_filter.core.block_evidence import StratumKey
from stream_filter.core.epochs import Epoch
from stream_filter.core.errors import StreamFilterError
from stream_filter.core.evidence_book import JudgeTally, Tally
from stream_filter.core.evidence_page import Counted, Judged, Page, Shown, empty_page
from stream_filter.core.oracle import Flaw, Judge, OracleVerdict

EVIDENCE_VERSION = "1"
Columns = TypeVar("Columns", Counted, Shown, Judged)

_EMPTY = empty_page(Epoch(topic="", policy_id="", model_id="", opened_ms=0, closes_ms=0))


@dataclass(frozen=True, slots=True, kw_only=True)
class Desk:
    """What is saved beside the pages, after them: it never says more than they hold."""

    ledger_next: Mapping[int, int]
    """By partition of the ledger topic, the first offset that was not read."""
    verdict_next: int
    waiting: tuple[OracleVerdict, ...]
    tally: Tally
    notes: Mapping[str, Any]
    """By topic, what was stated last: see `app.statements`."""


class _Verdict(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    event_id: bytes
    important: bool
    judge: str
    is_person: bool
    repeat: int
    offset: int
    at_ms: int


class _Tallied(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    judge: str
    is_person: bool
    verdicts: int
    cost: float
    tokens: int
    seconds: float


class _Desk(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    evidence_version: str
    ledger_next: dict[int, int]
    verdict_next: int
    waiting: list[_Verdict]
    counted: int
    flaws: dict[str, int]
    judges: list[_Tallied]
    notes: dict[str, Any]


class _Page(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    evidence_version: str
    topic: str
    policy_id: str
    model_id: str
    opened_ms: int
    closes_ms: int
    covers: dict[int, tuple[int, int]]
    strata: list[tuple[bool, float, str]]
    judges: list[tuple[str, bool]]
    counted: dict[str, bytes]
    shown: dict[str, bytes]
    judged: dict[str, bytes]


_encoder = msgspec.msgpack.Encoder()
_pages = msgspec.msgpack.Decoder(_Page)
_desks = msgspec.msgpack.Decoder(_Desk)
_BROKEN = (msgspec.MsgspecError, ValueError, KeyError, RecursionError)


def encode_page(page: Page) -> bytes:
    epoch = page.epoch
    return _encoder.encode(
        _Page(
            evidence_version=EVIDENCE_VERSION,
            topic=epoch.topic,
            policy_id=epoch.policy_id,
            model_id=epoch.model_id,
            opened_ms=epoch.opened_ms,
            closes_ms=epoch.closes_ms,
            covers=dict(page.covers),
            strata=[(key.is_drop, key.probability, key.slice) for key in page.strata],
            judges=[(judge.name, judge.is_person) for judge in page.judges],
            counted=_bytes_of(page.counted),
            shown=_bytes_of(page.shown),
            judged=_bytes_of(page.judged),
        )
    )


def decode_page(data: bytes) -> Page:
    """Raises StreamFilterError where `data` is no page of this version."""
    try:
        found = _pages.decode(data)
        _require_version(found.evidence_version)
        return Page(
            epoch=Epoch(
                topic=found.topic,
                policy_id=found.policy_id,
                model_id=found.model_id,
                opened_ms=found.opened_ms,
                closes_ms=found.closes_ms,
            ),
            covers=found.covers,
            strata=tuple(StratumKey(*key) for key in found.strata),
            judges=tuple(Judge(*judge) for judge in found.judges),
            counted=_columns(Counted, _EMPTY.counted, found.counted),
            shown=_columns(Shown, _EMPTY.shown, found.shown),
            judged=_columns(Judged, _EMPTY.judged, found.judged),
        )
    except _BROKEN as error:
        raise StreamFilterError(f"not a page of evidence: {_said(error)}") from error


def encode_desk(desk: Desk) -> bytes:
    tally = desk.tally
    return _encoder.encode(
        _Desk(
            evidence_version=EVIDENCE_VERSION,
            ledger_next=dict(desk.ledger_next),
            verdict_next=desk.verdict_next,
            waiting=[
                _Verdict(
                    event_id=v.event_id,
                    important=v.important,
                    judge=v.judge.name,
                    is_person=v.judge.is_person,
                    repeat=v.repeat,
                    offset=v.offset,
                    at_ms=v.at_ms,
                )
                for v in desk.waiting
            ],
            counted=tally.counted,
            flaws={flaw.value: count for flaw, count in tally.flaws.items()},
            judges=[
                _Tallied(
                    judge=judge.name,
                    is_person=judge.is_person,
                    verdicts=of.verdicts,
                    cost=of.cost,
                    tokens=of.tokens,
                    seconds=of.seconds,
                )
                for judge, of in tally.judges.items()
            ],
            notes=dict(desk.notes),
        )
    )


def decode_desk(data: bytes) -> Desk:
    """Raises StreamFilterError where `data` is no desk of this version."""
    try:
        found = _desks.decode(data)
        _require_version(found.evidence_version)
        return Desk(
            ledger_next=found.ledger_next,
            verdict_next=found.verdict_next,
            waiting=tuple(
                OracleVerdict(
                    event_id=v.event_id,
                    important=v.important,
                    judge=Judge(v.judge, v.is_person),
                    repeat=v.repeat,
                    offset=v.offset,
                    at_ms=v.at_ms,
                )
                for v in found.waiting
            ),
            tally=Tally(
                counted=found.counted,
                flaws=Counter({Flaw(name): count for name, count in found.flaws.items()}),
                judges={
                    Judge(of.judge, of.is_person): JudgeTally(
                        verdicts=of.verdicts, cost=of.cost, tokens=of.tokens, seconds=of.seconds
                    )
                    for of in found.judges
                },
            ),
            notes=found.notes,
        )
    except _BROKEN as error:
        raise StreamFilterError(f"not the desk of the evidence: {_said(error)}") from error


def _bytes_of(columns: Counted | Shown | Judged) -> dict[str, bytes]:
    return {
        field.name: np.ascontiguousarray(getattr(columns, field.name)).tobytes()
        for field in fields(columns)
    }


def _columns(kind: type[Columns], empty: Columns, data: Mapping[str, bytes]) -> Columns:
    """Columns have the types and shapes of an empty page's."""
    found = {}
    for field in fields(kind):
        like = getattr(empty, field.name)
        found[field.name] = np.frombuffer(data[field.name], like.dtype).reshape(-1, *like.shape[1:])
    if len({len(column) for column in found.values()}) > 1:
        raise ValueError("columns differ in length")
    return kind(**found)


def _require_version(version: str) -> None:
    if version != EVIDENCE_VERSION:
        raise ValueError(f"version {version[:20]!r}, this reads {EVIDENCE_VERSION!r}")


def _said(error: Exception) -> str:
    return " ".join(str(error).split())[:200]
