"""Labelled events: what the analyst said of the events that it was shown, with the chance under
which each came to be shown."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from stream_filter.audit.recorded import RecordedLedger
from stream_filter.audit.snapshot import Window
from stream_filter.audit.verdicts import EFFECTIVE
from stream_filter.audit.views import asked, sql_problem
from stream_filter.core.decision import Route
from stream_filter.core.position import Position, keyed_hash

_SHOWN = f"""
    SELECT topic, "partition", "offset", score, reason::VARCHAR, probability,
        policy_id::VARCHAR, model_id::VARCHAR, epoch_ms(decided_at)
    FROM chosen WHERE route IN ('{Route.FORWARD.label}', '{Route.DEFER.label}')
        AND probability > 0
"""  # noqa: S608  of constants
_ROWS = 50_000


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelledDecision:
    """An event that the analyst has judged."""

    position: Position
    important: bool
    probability: float
    """Chance that an event decided like it is shown: it stands for 1/probability of them."""
    score: float | None
    reason: str
    policy_id: str
    model_id: str
    decided_at_ms: int


def labelled(
    ledger: RecordedLedger,
    topic: str,
    window_ms: Window = (None, None),
    *,
    key: bytes,
    where: str | None = None,
) -> Iterator[LabelledDecision]:
    """The judged events of a topic that were decided in a window; verdicts of any time count.
    `key`: the gate's secret, which the `sf-id`s of verdicts are made with. Raises ConfigError or
    StreamFilterError."""
    verdicts = dict(asked(ledger.verdicts(), EFFECTIVE).fetchall())
    if not verdicts:
        return
    secret = keyed_hash(key)
    with sql_problem("--where"):
        batches = asked(ledger.decisions(topic, window_ms, where), _SHOWN).to_arrow_reader(_ROWS)
    while True:
        with sql_problem("--where"):
            batch = next(batches, None)
        if batch is None:
            return
        columns = [column.to_pylist() for column in batch.columns]
        for row in zip(*columns, strict=True):
            position = Position(*row[:3])
            identity = secret.copy()
            identity.update(str(position).encode())
            important = verdicts.get(identity.hexdigest())
            if important is not None:
                yield _labelled(position, important, row)


def _labelled(position: Position, important: bool, row: tuple[Any, ...]) -> LabelledDecision:
    _, _, _, score, reason, probability, policy_id, model_id, decided_at_ms = row
    return LabelledDecision(
        position=position,
        important=important,
        probability=float(probability),
        score=None if score is None else float(score),
        reason=str(reason),
        policy_id=str(policy_id),
        model_id=str(model_id),
        decided_at_ms=int(decided_at_ms),
    )
