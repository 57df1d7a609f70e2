"""What the gate claims about its recall, beside what truth says."""

from collections.abc import Callable
from dataclasses import dataclass

from stream_filter.core.certificate import CertificateState
from stream_filter.core.statement import Statement


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """A change of the certificate's state, and truth at that moment."""

    at_s: float
    """Seconds of the storyline."""
    state: CertificateState
    causes: tuple[str, ...]
    lower: float | None
    """Of recall, both in [0, 1]; None before there is evidence."""
    upper: float | None
    truth: float | None
    effect: str
    """What the worker does because of it; empty for nothing."""

    def as_dict(self) -> dict[str, object]:
        return {
            "at_s": round(self.at_s, 1),
            "state": self.state.value,
            "causes": list(self.causes),
            "recall_lower": self.lower,
            "recall_upper": self.upper,
            "recall_by_truth": self.truth,
            "effect": self.effect,
        }


class Claims:
    """The `CertificateWatcher` that remembers."""

    def __init__(self, *, at_s: Callable[[], float], truth: Callable[[], float | None]) -> None:
        self._at_s = at_s
        self._truth = truth
        self.latest: Statement | None = None
        self.changes: list[Claim] = []

    def certificate_stated(self, statement: Statement, last: Statement | None) -> None:
        self.latest = statement
        if last is not None and last.state is statement.state:
            return
        recall = statement.finding.recall if statement.finding else None
        self.changes.append(
            Claim(
                at_s=self._at_s(),
                state=statement.state,
                causes=tuple(cause.value for cause in statement.stale_causes),
                lower=recall.lower if recall else None,
                upper=recall.upper if recall else None,
                truth=self._truth(),
                effect=statement.on_failure.value if statement.has_fallen else "",
            )
        )

    def certificate_unreadable(self, position: str, problem: str) -> None:
        """Nobody but the gate writes to the demo's topic."""

    def certificates_lost(self, error: Exception) -> None:
        """It is read again; until then the last claim stands."""
