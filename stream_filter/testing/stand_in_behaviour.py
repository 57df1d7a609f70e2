"""How the stand-in for a language model answers: rightly or not, late, broken, or never."""

import hashlib
import random
import re
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

Truth = Callable[[str], bool]
"""Whether an event matters, from its text as the prompt shows it."""


class Mishap(StrEnum):
    """What can happen to a request instead of a whole answer. A closed list."""

    TOO_MANY = "too_many"
    """429 with Retry-After."""
    SERVER_ERROR = "server_error"
    """500."""
    HANGING = "hanging"
    """No answer, ever."""
    MALFORMED = "malformed"
    """Prose instead of JSON."""
    CUT_OFF = "cut_off"
    """The answer stops in the middle, `finish_reason: length`."""
    TORN = "torn"
    """The connection ends in the middle of the body."""
    INVENTED = "invented"
    """An id that was not asked about."""
    MISSING = "missing"
    """One id is left out."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Behaviour:
    """Settable at any time; all at their defaults: the truth, at once, to everything."""

    error_rate: float = 0.0
    """Share of the texts judged wrongly."""
    is_steady: bool = True
    """The same text is judged the same way each time; else each answer errs by itself."""
    latency_s: float = 0.0
    """Median of a log-normal spread, half of it within a fifth more or less."""
    mishaps: tuple[tuple[Mishap, float], ...] = ()
    """The share of requests that each one happens to, of all."""
    retry_after_s: float = 1.0
    is_gullible: bool = False
    """A weak model: what an event's text tells it to do, it does to the whole prompt."""
    forms: frozenset[str] = frozenset({"json_schema", "tool", "json_object"})
    """The structured outputs that it can."""
    refuses_with: int = 400
    """The status for others; some servers have 500."""
    requests_per_minute: int | None = None
    tokens_per_minute: int | None = None
    """More in any 60 s are answered by 429, as hosted endpoints do."""
    seed: int = 1

    def mishap(self, dice: random.Random) -> Mishap | None:
        """What happens to the next request."""
        draw = dice.random()
        for mishap, share in self.mishaps:
            if draw < share:
                return mishap
            draw -= share
        return None

    def delay_s(self, dice: random.Random) -> float:
        """How long the next answer takes."""
        return self.latency_s * dice.lognormvariate(0.0, 0.27) if self.latency_s else 0.0

    def judged(self, text: str, truth: Truth, dice: random.Random) -> bool:
        """The model's opinion of a text."""
        if self.is_steady:
            digest = hashlib.blake2b(f"{self.seed}/{text}".encode("utf-8", "replace")).digest()
            draw = int.from_bytes(digest[:8], "big") / 2**64
        else:
            draw = dice.random()
        return truth(text) is not (draw < self.error_rate)


class Obedience(StrEnum):
    """What a gullible model was told by an event."""

    ALL_UNIMPORTANT = "all_unimportant"
    ALL_IMPORTANT = "all_important"
    PROSE = "prose"
    ANOTHER_FORM = "another_form"
    TELL_ALL = "tell_all"


_ORDERS = (
    (Obedience.TELL_ALL, r"(repeat|print|reveal|show|tell).{0,40}(system|prompt|instruction|key)"),
    (Obedience.PROSE, r"(answer|respond|reply|write).{0,40}(prose|poem|text|sorry|cannot|haiku)"),
    (Obedience.ANOTHER_FORM, r"(add|use|return|output).{0,40}(field|key|schema|format|xml|yaml)"),
    (Obedience.ALL_IMPORTANT, r"(all|every|other).{0,60}(are|is|as|=|:).{0,20}\bimportant"),
    (
        Obedience.ALL_UNIMPORTANT,
        r"ignore|disregard|forget|override|unimportant|nothing matters|not important"
        r"|important\W{1,8}(false|no)\b|you are now|new task|stop (judging|here)|skip the",
    ),
)


def obeyed(text: str) -> Obedience | None:
    """What a gullible model takes an event's text to order; None: nothing."""
    folded = re.sub(r"[\W_]+", " ", text.lower())
    for obedience, pattern in _ORDERS:
        if re.search(pattern, folded) or re.search(pattern, text.lower()):
            return obedience
    return None
