"""Orders and reports as records: JSON with a version. Published in schemas/."""

from typing import Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from stream_filter.core.errors import StreamFilterError
from stream_filter.core.orders import Action, Order, Report

_YEAR_10000_MS = 253_402_300_800_000
_PolicyId = Field(pattern=r"^[0-9a-f]{16}$", description="Digest of the policy's content.")


class _Record(BaseModel):
    # A later version of this program may add keys; what changes the meaning changes `version`.
    model_config = ConfigDict(extra="ignore", frozen=True, strict=True)

    version: Literal[1] = Field(default=1, description="Version of this format.")
    group: str = Field(min_length=1, description="The consumer group that is meant.")


class OrderModel(_Record):
    """What is to be in force in one group from now on."""

    sequence: int = Field(
        ge=1,
        lt=1 << 53,
        description="One more than that of the order before; of two with the "
        "same sequence the first in the topic counts.",
    )
    action: Literal["seed", "push", "rollback", "pause", "resume"] = Field(
        description="What was asked for."
    )
    by: str = Field(description="Who gave it, as they say themselves.")
    at_ms: int = Field(
        ge=0, lt=_YEAR_10000_MS, description="When, by their clock, Unix milliseconds."
    )
    policy_id: str = _PolicyId
    policy: str = Field(description="The whole policy file, as YAML.")
    paused: list[str] = Field(description="Topics and globs of which everything is forwarded.")
    note: str = Field(description="In a few words, what was given.")


class ReportModel(_Record):
    """What one worker has in force, in its own words; about once a second."""

    worker: str = Field(min_length=1, description="The worker's name.")
    sequence: int = Field(ge=0, description="Of the order in force; 0 while there is none.")
    policy_id: str = Field(description="Of the policy in force; empty while there is none.")
    paused: list[str] = Field(description="Topics and globs of which everything is forwarded.")
    since_ms: int = Field(
        ge=0, lt=_YEAR_10000_MS, description="Since when, by its clock, Unix milliseconds."
    )
    refused_sequence: int = Field(
        ge=0, description="Of the order that it cannot put in force; 0 where there is none."
    )
    refused_because: str = Field(description="Why it cannot.")
    is_leaving: bool = Field(description="Its last report: it stops.")


_Kind = TypeVar("_Kind", bound=_Record)


def encode_order(order: Order) -> bytes:
    return (
        OrderModel(
            group=order.group,
            sequence=order.sequence,
            action=order.action.value,
            by=order.by,
            at_ms=order.at_ms,
            policy_id=order.policy_id,
            policy=order.policy_text,
            paused=list(order.paused),
            note=order.note,
        )
        .model_dump_json()
        .encode()
    )


def decode_order(value: bytes | None) -> Order:
    """Read an order. Raises StreamFilterError where `value` is none."""
    model = _read(OrderModel, value)
    return Order(
        group=model.group,
        sequence=model.sequence,
        action=Action(model.action),
        by=model.by,
        at_ms=model.at_ms,
        policy_id=model.policy_id,
        policy_text=model.policy,
        paused=tuple(model.paused),
        note=model.note,
    )


def encode_report(report: Report) -> bytes:
    return (
        ReportModel(
            group=report.group,
            worker=report.worker,
            sequence=report.sequence,
            policy_id=report.policy_id,
            paused=list(report.paused),
            since_ms=report.since_ms,
            refused_sequence=report.refused_sequence,
            refused_because=report.refused_because,
            is_leaving=report.is_leaving,
        )
        .model_dump_json()
        .encode()
    )


def decode_report(value: bytes | None, heard_ms: int) -> Report:
    """Read a report. Raises StreamFilterError where `value` is none."""
    model = _read(ReportModel, value)
    return Report(
        group=model.group,
        worker=model.worker,
        sequence=model.sequence,
        policy_id=model.policy_id,
        paused=tuple(model.paused),
        since_ms=model.since_ms,
        refused_sequence=model.refused_sequence,
        refused_because=model.refused_because,
        is_leaving=model.is_leaving,
        heard_ms=heard_ms,
    )


def _read(kind: type[_Kind], value: bytes | None) -> _Kind:
    try:
        return kind.model_validate_json(value or b"")
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(str(step) for step in first["loc"])
        said = " ".join(str(first["msg"]).split())[:200]
        raise StreamFilterError(f"{where + ': ' if where else ''}{said}") from None
