"""What the demo leaves behind: totals, and who got through, as plain values."""

from dataclasses import dataclass
from typing import Any

import msgspec

from stream_filter.core.decision import Reason, Route
from stream_filter.demo.follower import LogLine
from stream_filter.demo.glimpse import Outcome
from stream_filter.demo.scoreboard import KindCount, Recall


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """Events of one kind that had the same outcome."""

    kind: str
    important: bool
    reason: str
    count: int
    example: LogLine | None

    def as_dict(self) -> dict[str, object]:
        return {
            "kind": self.kind,
            "important": self.important,
            "reason": self.reason,
            "count": self.count,
            "example": str(self.example) if self.example else None,
        }


def forwarded_groups(outcome: Outcome) -> list[Group]:
    """What was forwarded, by kind and reason, the largest group first."""
    examples = outcome.follower.examples
    groups = [
        _group(kind, reason, count, examples.get((kind.kind, reason.label)))
        for kind in outcome.standing.kinds
        for (route, reason), count in kind.outcomes.items()
        if route is Route.FORWARD
    ]
    return sorted(groups, key=lambda group: (-group.count, group.kind, group.reason))


def missed_groups(outcome: Outcome) -> list[Group]:
    """Important events that were dropped, by kind, the largest group first."""
    groups = [
        _group(kind, reason, count, outcome.missed.get(kind.kind))
        for kind in outcome.standing.kinds
        for (route, reason), count in kind.outcomes.items()
        if kind.important and route is Route.DISCARD
    ]
    return sorted(groups, key=lambda group: (-group.count, group.kind))


def _group(kind: KindCount, reason: Reason, count: int, example: LogLine | None) -> Group:
    return Group(
        kind=kind.kind,
        important=kind.important,
        reason=reason.label,
        count=count,
        example=example,
    )


def as_document(outcome: Outcome) -> dict[str, Any]:
    """The outcome as plain values; the ledger check apart."""
    standing = outcome.standing
    families = sorted({kind.family for kind in standing.kinds if kind.important})
    return {
        "ok": not outcome.problems,
        "problems": list(outcome.problems),
        "ended_early": outcome.ended_early,
        "produced": standing.produced,
        "read": standing.decided,
        "undecided": standing.undecided,
        "forwarded": standing.routed(Route.FORWARD),
        "discarded": standing.routed(Route.DISCARD),
        "dead_lettered": standing.routed(Route.DEAD_LETTER),
        "forwarded_share": standing.forwarded_share,
        "forwarded_by_reason": standing.reasons(Route.FORWARD),
        "discarded_by_reason": standing.reasons(Route.DISCARD),
        "truth": {
            **_recall(standing.recall()),
            "precision": standing.precision,
            "families": {family: _recall(standing.recall(family)) for family in families},
        },
        "forwarded_groups": [group.as_dict() for group in forwarded_groups(outcome)],
        "missed_groups": [group.as_dict() for group in missed_groups(outcome)],
        "analyst": _analyst(outcome),
        "incidents": [
            {"at_s": round(seen.at_s, 1), **msgspec.to_builtins(seen.incident)}
            for seen in outcome.incidents
        ],
        "certificates": [claim.as_dict() for claim in outcome.claims],
        "delivery": outcome.follower.delivery,
        "policy_id": outcome.policy_id,
        "model_id": outcome.follower.model_id or None,
        "first_forwarded_s": outcome.first_forwarded_s,
        "took_s": outcome.took_s,
        **{f"{name}_exit": code for name, code in outcome.exits.items()},
    }


def _analyst(outcome: Outcome) -> dict[str, object]:
    judged, bill = outcome.judged, outcome.bill
    return {
        "judge": outcome.judge,
        "verdicts": judged.given,
        "waiting": judged.waiting,
        "refused": judged.refused,
        "refused_by_cause": dict(judged.causes),
        "compared_with_truth": judged.compared,
        "agreement": judged.agreement,
        "tokens": judged.tokens,
        "price": {"input": outcome.price.input, "output": outcome.price.output},
        "tokens_an_event": {
            "input": outcome.reading.input_tokens,
            "output": outcome.reading.output_tokens,
        },
        "spent": bill.spent,
        "reading_everything": bill.everything,
        "saved_by_dropping": bill.dropped,
        "saved_by_folding": bill.folded,
        "saved": bill.saved,
        "saved_share": bill.saved_share,
    }


def _recall(recall: Recall) -> dict[str, object]:
    return {
        "important": recall.important,
        "forwarded": recall.forwarded,
        "missed": recall.important - recall.forwarded,
        "recall": recall.value,
    }
