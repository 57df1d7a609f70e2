"""What reading everything would have taken, and where it went."""

import pytest

from stream_filter.core.decision import Reason, Route
from stream_filter.demo.bill import Price, bill_of
from stream_filter.demo.generator import PlatformStream
from stream_filter.demo.judging import Judged
from stream_filter.demo.language_model import LanguageModel, ModelOptions
from stream_filter.demo.scoreboard import Standing

PRICE = Price(input=0.4, output=1.6)


def standing(forwarded: int, dropped: int) -> Standing:
    return Standing(
        produced=forwarded + dropped,
        decided=forwarded + dropped,
        undecided=0,
        outcomes={
            (Route.FORWARD, Reason.IMPORTANT): forwarded,
            (Route.DISCARD, Reason.BELOW_THRESHOLD): dropped,
        },
        kinds=(),
    )


def judged(given: int, *, waiting: int, refused: int, spent: float) -> Judged:
    return Judged(
        given=given,
        waiting=waiting,
        refused=refused,
        causes={},
        tokens=0,
        spent=spent,
        compared=0,
        agreed=0,
    )


def test_it_adds_up() -> None:
    """Everything is what was dropped, folded and spent; what waits is on no bill yet."""
    bill = bill_of(standing(100, 900), judged(70, waiting=20, refused=10, spent=30.0), each=2.0)
    assert bill.everything == 2.0 * (900 + 80)
    assert bill.everything == bill.dropped + bill.folded + bill.spent
    assert (bill.dropped, bill.folded, bill.spent) == (1800.0, 130.0, 30.0)
    assert bill.saved_share == pytest.approx(1930 / 1960)


def test_nothing_was_read() -> None:
    """Before the first event there is no share."""
    bill = bill_of(standing(0, 0), judged(0, waiting=0, refused=0, spent=0.0), each=2.0)
    assert bill.saved_share is None


def test_a_full_prompt_is_cheaper_than_many() -> None:
    """An event takes its text, its answer, and its part of what is said to the model: the fuller
    the prompt, the less."""
    events = PlatformStream(1, 0, 60.0).events(0.0, 400)

    def reading(endpoint: str | None) -> float:
        options = ModelOptions(endpoint=endpoint, model="m", price=PRICE, error_rate=0.0)
        found = LanguageModel(options, {}, seconds=60).reading(events)
        assert found.output_tokens < found.input_tokens < 100
        return found.input_tokens

    twenty, hundred = reading("http://127.0.0.1/v1"), reading(None)
    text_bytes = sum(len(e.value) for e in events) / len(events)
    assert 5 < hundred < twenty < text_bytes
