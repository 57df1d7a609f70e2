"""What the analyst took, beside what he would have taken for reading everything."""

from collections.abc import Sequence
from dataclasses import dataclass

import orjson

from stream_filter.analyst.answers import answer_schema, short_ids
from stream_filter.analyst.prompt import Prompt
from stream_filter.core.decision import Route
from stream_filter.demo.judging import Judged
from stream_filter.demo.scoreboard import Standing
from stream_filter.testing.stand_in import BYTES_PER_TOKEN

_MILLION = 1_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Price:
    """Of a million tokens, in whatever currency."""

    input: float
    output: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """What it takes to read one event, where each is read for itself and prompts are full: tokens,
    a token being four bytes."""

    input_tokens: float
    output_tokens: float

    def cost(self, price: Price) -> float:
        spent = self.input_tokens * price.input + self.output_tokens * price.output
        return spent / _MILLION


def reading_of(prompt: Prompt, values: Sequence[bytes], *, in_a_prompt: int) -> Reading:
    """Of events like these."""
    asked_bytes = answered_bytes = 0
    texts = [shown.text if shown else "" for shown in prompt.show(values)]
    for begin in range(0, len(texts), in_a_prompt):
        part = texts[begin : begin + in_a_prompt]
        ids = sorted(short_ids(len(part)))
        asked = [(short, text, 1) for short, text in zip(ids, part, strict=True)]
        schema = answer_schema(ids, with_reasons=prompt.with_reasons)
        answer = {"verdicts": [{"id": short, "important": False} for short in ids]}
        asked_bytes += sum(len(m["content"].encode()) for m in prompt.messages(asked))
        asked_bytes += len(orjson.dumps(schema))
        answered_bytes += len(orjson.dumps(answer))
    return Reading(
        input_tokens=asked_bytes / BYTES_PER_TOKEN / len(values),
        output_tokens=answered_bytes / BYTES_PER_TOKEN / len(values),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Bill:
    """Money. `everything` = `dropped` + `folded` + `spent`."""

    everything: float
    """For all events that were dropped or read, had each been read for itself."""
    dropped: float
    """Of it, for what the gate dropped."""
    folded: float
    """Of it, for what the analyst did not ask about anew. Below 0 where prompts were not full."""
    spent: float

    @property
    def saved(self) -> float:
        return self.everything - self.spent

    @property
    def saved_share(self) -> float | None:
        """Of everything."""
        return self.saved / self.everything if self.everything else None


def bill_of(standing: Standing, judged: Judged, *, each: float) -> Bill:
    """`each`: the cost of reading one event for itself. What waits is on no bill yet."""
    dropped = standing.routed(Route.DISCARD) * each
    read = judged.read * each
    return Bill(
        everything=dropped + read,
        dropped=dropped,
        folded=read - judged.spent,
        spent=judged.spent,
    )
