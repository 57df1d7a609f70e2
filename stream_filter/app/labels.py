"""Labelled events from a file, for calibration."""

import hashlib
from array import array
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from stream_filter.app.line_file import json_object
from stream_filter.core.decision import Reason
from stream_filter.core.errors import ConfigError

_CHOSEN = {Reason.HOLDOUT.label, Reason.BELOW_THRESHOLD.label}
"""Reasons that only a gate in enforce mode gives: its events were not seen alike."""
_DROPS = {Reason.HOLDOUT.label, Reason.SHADOW.label, Reason.BELOW_THRESHOLD.label}


@dataclass(frozen=True, slots=True, kw_only=True)
class Labels:
    """Columns of shape (n,)."""

    scores: NDArray[np.float64]
    important: NDArray[np.bool_]
    probabilities: NDArray[np.float64] | None
    """None where no line has one: all events had the same chance to be labelled."""
    without_score: int
    """Lines left out because the model gave no score: no threshold decides on them."""
    labels_id: str
    """16 hex digits of the SHA-256 of what was read."""
    model_id: str | None = None
    """Of the pack that all scores are from, where the labels say so."""


def read_labels(path: Path) -> Labels:
    """Read JSON lines: `score` in [0, 1] or null, `important` true or false (or 1 or 0), and, in
    all lines or none, `probability`, the chance under which the event came to be labelled; and
    `model_id`, the pack that the score is from. Other keys are left alone, but for `reason`:
    labels that a gate has chosen are refused without probabilities, and without any drop among
    them.

    Raises ConfigError with the line: not readable, not such lines, no label at all.
    """
    scores, important, chances = array("d"), array("b"), array("d")
    without_score = 0
    reasons: dict[str, int] = {}
    digest = hashlib.sha256()
    model_ids: dict[str, int] = {}
    first_without_chance = 0
    try:
        with path.open("rb") as lines:
            for number, line in enumerate(lines, start=1):
                digest.update(line)
                if not line.strip():
                    continue
                place = f"{path}:{number}"
                row = json_object(line, place, needs="score and important")
                label = row.get("important")
                if label not in (0, 1) or isinstance(label, float):
                    raise ConfigError(f"{place}: important: must be true or false, not {label!r}")
                reasons.setdefault(str(row.get("reason", "")), number)
                if row.get("score", 0) is None:
                    without_score += 1
                    continue
                if row.get("model_id") is not None:
                    model_ids.setdefault(str(row["model_id"]), number)
                scores.append(_number(row, "score", place))
                important.append(bool(label))
                if "probability" in row:
                    chances.append(_number(row, "probability", place))
                    if not chances[-1]:
                        raise ConfigError(
                            f"{place}: probability: is 0: such an event cannot have been seen"
                        )
                elif not first_without_chance:
                    first_without_chance = number
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}: check the path") from error
    if not scores:
        raise ConfigError(f"{path}: holds no labelled event with a score")
    if chances and first_without_chance:
        raise ConfigError(
            f"{path}:{first_without_chance}: probability: is missing, and other lines have one: "
            "give it in all lines, 1 where an event was labelled for certain"
        )
    _require_fair(path, reasons, has_chances=bool(chances))
    return Labels(
        scores=np.array(scores),
        important=np.array(important, np.bool_),
        probabilities=np.array(chances) if chances else None,
        without_score=without_score,
        labels_id=digest.hexdigest()[:16],
        model_id=_only_model(path, model_ids),
    )


def _only_model(path: Path, model_ids: dict[str, int]) -> str | None:
    if len(model_ids) > 1:
        (first, _), (other, number), *_ = model_ids.items()
        raise ConfigError(
            f"{path}:{number}: model_id: these scores are of pack {other!r}, those before of "
            f"{first!r}: a threshold holds for one pack; calibrate with the labels of one"
        )
    return next(iter(model_ids), None)


def _require_fair(path: Path, reasons: dict[str, int], *, has_chances: bool) -> None:
    chosen = sorted(number for reason, number in reasons.items() if reason in _CHOSEN)
    if chosen and not has_chances:
        raise ConfigError(
            f"{path}:{chosen[0]}: these labels come from a gate in enforce mode, which shows "
            "drops seldom: give each line its `probability` (the ledger has it)"
        )
    if set(reasons) - {""} and not set(reasons) & _DROPS:
        raise ConfigError(
            f"{path}: all of these events were forwarded, none was a drop: no threshold can be "
            "judged by them; add the holdout's events, or label a topic in shadow mode"
        )


def _number(row: dict[str, object], key: str, place: str) -> float:
    value = row.get(key)
    if key not in row:
        raise ConfigError(f"{place}: {key}: is missing")
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0.0 <= value <= 1.0:
        raise ConfigError(f"{place}: {key}: must be a number in [0, 1], not {value!r}")
    return float(value)
