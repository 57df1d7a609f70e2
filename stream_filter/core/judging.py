"""Judges compared: with people, with each other, with themselves, and with the gate.

A model that judges is an instrument, and an instrument is to be validated: what a gate's recall is
with respect to a model says little where the model itself is wrong in a tenth of its answers, or
repeats what the gate said.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from stream_filter.core.agreement import Agreement, agreement
from stream_filter.core.oracle import Judge

PEOPLE = Judge("people", True)
"""What the majority of those persons says who judged an event; a tie is important."""
_RESAMPLED = 1_000


@dataclass(frozen=True, slots=True, kw_only=True)
class SeenEvent:
    """An event that judges were shown."""

    slice: str = ""
    gate: bool | None = None
    """Whether the gate took it for important; None: it did not say."""
    is_missed: bool = False
    """Whether the gate would have dropped it, and showed it all the same."""
    weight: float = 1.0
    """How many such events it stands for: 1/π where it comes from the holdout."""


@dataclass(slots=True)
class Opinions:
    """What each judge said of each event first."""

    by_judge: dict[Judge, dict[str, bool]] = field(default_factory=lambda: defaultdict(dict))
    answers: dict[Judge, list[tuple[bool, ...]]] = field(default_factory=lambda: defaultdict(list))
    """Of those who were asked several times, all answers on one event."""

    def take(
        self, judge: Judge, event_id: str, important: bool, answers: Sequence[bool] = ()
    ) -> None:
        """One verdict, in the order of the verdict topic: of two alike the first counts."""
        if event_id in self.by_judge[judge]:
            return
        self.by_judge[judge][event_id] = important
        if answers:
            self.answers[judge].append(tuple(answers))

    def people(self) -> dict[str, bool]:
        """What people say, by event."""
        said: dict[str, list[bool]] = defaultdict(list)
        for judge, opinions in self.by_judge.items():
            if judge.is_person:
                for event_id, important in opinions.items():
                    said[event_id].append(important)
        return {event_id: 2 * sum(all_) >= len(all_) for event_id, all_ in said.items()}

    def with_people(self) -> dict[Judge, dict[str, bool]]:
        """By judge, with the people as one more where there are any."""
        people = self.people()
        return {**self.by_judge, **({PEOPLE: people} if people else {})}


@dataclass(frozen=True, slots=True, kw_only=True)
class Recall:
    """The gate's recall as one judge sees it, on the events that he has judged."""

    judge: Judge
    kept: int
    """Important events that were forwarded on their merits."""
    missed: int
    """Important ones that the gate would have dropped, among those it showed."""
    missed_in_all: float
    """How many those stand for."""
    recall: float
    lower: float
    upper: float
    """95 % of resampled recalls lie between the two."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GateLikeness:
    """How a judge goes with the gate, beside how people do."""

    judge: Judge
    with_gate: Agreement
    people_with_gate: Agreement
    """On the events that people have judged."""
    follows: bool
    """Whether he agrees with the gate for certain more than people do: he says what the gate
    said."""


def compare(
    first: Mapping[str, bool], second: Mapping[str, bool], events: Iterable[str] | None = None
) -> Agreement:
    """Two judges on the events that both have judged, or on those of them that are named."""
    shared = [e for e in (first if events is None else events) if e in first and e in second]
    return agreement(
        np.array([first[e] for e in shared], np.bool_),
        np.array([second[e] for e in shared], np.bool_),
    )


def self_agreement(answers: Sequence[tuple[bool, ...]]) -> tuple[int, float, float | None]:
    """Of repeated answers: events, the share in which all were the same, and Fleiss' kappa (Fleiss
    1971), None where it is not defined. Events with one answer do not count."""
    repeated = [each for each in answers if len(each) > 1]
    if not repeated:
        return 0, 0.0, None
    unanimous = sum(len(set(each)) == 1 for each in repeated) / len(repeated)
    yes = np.array([sum(each) for each in repeated], np.float64)
    count = np.array([len(each) for each in repeated], np.float64)
    no = count - yes
    agreed = float(((yes * (yes - 1) + no * (no - 1)) / (count * (count - 1))).mean())
    share = float(yes.sum() / count.sum())
    by_chance = share**2 + (1 - share) ** 2
    kappa = None if by_chance == 1.0 else (agreed - by_chance) / (1 - by_chance)
    return len(repeated), unanimous, kappa


def gate_likeness(
    judge: Judge,
    opinions: Mapping[str, bool],
    people: Mapping[str, bool],
    seen: Mapping[str, SeenEvent],
) -> GateLikeness | None:
    """None where the gate, or people, said nothing of what the judge has judged."""
    gate = {e: said for e, event in seen.items() if (said := event.gate) is not None}
    shared = [e for e in opinions if e in people and e in gate]
    if not shared:
        return None
    own, theirs = compare(opinions, gate, shared), compare(people, gate, shared)
    _, _, most = own.differs()
    _, least, _ = theirs.differs()
    return GateLikeness(judge=judge, with_gate=own, people_with_gate=theirs, follows=most < least)


def recall_by(
    judge: Judge,
    opinions: Mapping[str, bool],
    seen: Mapping[str, SeenEvent],
    *,
    dice: np.random.Generator,
    events: Iterable[str] | None = None,
) -> Recall | None:
    """The gate's recall by what a judge says of these events (all that he has judged); None where
    he found none important. `dice` draws the resamples of the interval."""
    named = opinions if events is None else events
    judged = [seen[e] for e in named if e in opinions and e in seen and opinions[e]]
    if not judged:
        return None
    missed = np.array([event.is_missed for event in judged], np.bool_)
    weight = np.array([event.weight for event in judged], np.float64)
    drawn = dice.integers(0, len(judged), (_RESAMPLED, len(judged)))
    recalls = _recall(missed[drawn], weight[drawn])
    lower, upper = np.quantile(recalls, [0.025, 0.975])
    return Recall(
        judge=judge,
        kept=int((~missed).sum()),
        missed=int(missed.sum()),
        missed_in_all=float(weight[missed].sum()),
        recall=float(_recall(missed[None], weight[None])[0]),
        lower=float(lower),
        upper=float(upper),
    )


def _recall(missed: NDArray[np.bool_], weight: NDArray[np.float64]) -> NDArray[np.float64]:
    """Of rows of important events, the share of those that were kept."""
    kept = (weight * ~missed).sum(axis=1)
    shares: NDArray[np.float64] = kept / weight.sum(axis=1)
    return shares
