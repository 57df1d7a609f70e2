"""What asking comes to: a judgement of a text, or none and why; and what it took."""

from collections import Counter
from dataclasses import dataclass, field
from enum import StrEnum


class Cause(StrEnum):
    """Why there is no verdict on an event, or no answer to a request. A closed list."""

    EMPTY = "empty"
    """Nothing in the event to read."""
    MALFORMED = "malformed"
    """The answer is not of the schema, twice."""
    CUT_OFF = "cut_off"
    """The answer stopped in the middle, twice: more `answer_tokens` may help."""
    INVENTED = "invented"
    """The answer names ids that were not asked about, or one twice."""
    MISSING = "missing"
    """The answer leaves the event out."""
    REFUSED = "refused"
    """The model or its filter will not answer, or the server takes the request for invalid."""
    TOO_MANY = "too_many"
    """429: too many requests or tokens."""
    SERVER_ERROR = "server_error"
    """5xx."""
    TIMEOUT = "timeout"
    UNREACHABLE = "unreachable"
    """No connection, or it was torn."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Spending:
    """What was spent on one text, or on one event."""

    tokens: int = 0
    cost: float = 0.0
    seconds: float = 0.0
    answer_ids: tuple[str, ...] = ()
    """The endpoint's ids of the answers that this is a share of."""

    def __add__(self, other: "Spending") -> "Spending":
        return Spending(
            tokens=self.tokens + other.tokens,
            cost=self.cost + other.cost,
            seconds=self.seconds + other.seconds,
            answer_ids=(*self.answer_ids, *other.answer_ids),
        )

    def shares(self, count: int) -> list["Spending"]:
        """In `count` parts that add up: tokens are whole, so the first parts may have one more. The
        seconds are those that each had to wait, undivided."""
        each, more = divmod(self.tokens, count)
        return [
            Spending(
                tokens=each + (n < more),
                cost=self.cost / count,
                seconds=self.seconds,
                answer_ids=self.answer_ids,
            )
            for n in range(count)
        ]


@dataclass(frozen=True, slots=True, kw_only=True)
class Opinion:
    """One answer on one text."""

    important: bool
    reason: str = ""


@dataclass(slots=True, kw_only=True)
class Finding:
    """What one judge has to say on one text, and what asking him took."""

    judge: str
    opinion: Opinion | None = None
    """None: no verdict."""
    cause: Cause | None = None
    """Why there is none."""
    answers: tuple[bool, ...] = ()
    """Of repeated asking, each answer; empty where it was asked once."""
    spent: Spending = field(default_factory=Spending)
    is_cached: bool = False


def majority(findings: list[Finding]) -> Finding:
    """One finding of several answers. Where a fallback gave some of them, those of one judge count:
    of who gave the most, the first at a tie. A tie of answers is important: who is unsure, looks.
    """
    spent = sum((f.spent for f in findings), Spending())
    by_judge = Counter(f.judge for f in findings if f.opinion is not None)
    if not by_judge:
        return Finding(judge=findings[0].judge, cause=findings[0].cause, spent=spent)
    ((judge, _),) = by_judge.most_common(1)
    opinions = [f.opinion for f in findings if f.opinion is not None and f.judge == judge]
    answers = tuple(opinion.important for opinion in opinions)
    important = 2 * sum(answers) >= len(answers)
    chosen = next(opinion for opinion in opinions if opinion.important is important)
    return Finding(judge=judge, opinion=chosen, answers=answers, spent=spent)
