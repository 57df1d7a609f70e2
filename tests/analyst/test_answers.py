"""Answers are read strictly."""

import json
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from stream_filter.analyst.answers import answer_schema, read_answer, short_ids
from stream_filter.analyst.outcome import Cause, Finding, Opinion, Spending, majority

IDS = ["aaaa", "bbbb"]


def answer(*verdicts: dict[str, Any]) -> str:
    return json.dumps({"verdicts": list(verdicts)})


def test_an_answer_that_fits_is_read() -> None:
    """Each id its opinion."""
    said = answer(
        {"id": "bbbb", "important": True, "reason": "x"}, {"id": "aaaa", "important": False}
    )
    reading = read_answer(said, IDS, is_whole=True)
    assert reading.opinions == {
        "bbbb": Opinion(important=True, reason="x"),
        "aaaa": Opinion(important=False),
    }
    assert reading.causes == {}


@pytest.mark.parametrize(
    ("said", "cause"),
    [
        (None, Cause.MALFORMED),
        ("", Cause.MALFORMED),
        ("true", Cause.MALFORMED),
        ("```json\n" + answer() + "\n```", Cause.MALFORMED),
        (answer({"id": "aaaa", "important": "true"}), Cause.MALFORMED),
        (answer({"id": "aaaa", "important": 1}), Cause.MALFORMED),
        (answer({"id": "aaaa", "important": True, "score": 1}), Cause.MALFORMED),
        (answer({"id": "aaaa"}), Cause.MALFORMED),
        (json.dumps({"verdicts": [], "note": "x"}), Cause.MALFORMED),
        (answer({"id": "aaaa", "important": True}) + " ", None),
        (answer({"id": "aaaa", "important": True}) + "x", Cause.MALFORMED),
        (
            answer({"id": "aaaa", "important": True}, {"id": "zzzz", "important": True}),
            Cause.INVENTED,
        ),
        (
            answer({"id": "aaaa", "important": True}, {"id": "aaaa", "important": False}),
            Cause.INVENTED,
        ),
        ("[" * 5000, Cause.MALFORMED),
        ('{"verdicts": [{"id": "aaaa", "important": true, "important": false}]}', Cause.MALFORMED),
        ('{"verdicts": [], "verdicts": []}', Cause.MALFORMED),
    ],
)
def test_what_does_not_fit_counts_for_nothing(said: str | None, cause: Cause | None) -> None:
    """One thing too much, and the whole answer is none."""
    reading = read_answer(said, IDS, is_whole=True)
    if cause is None:
        assert reading.causes == {"bbbb": Cause.MISSING}
    else:
        assert reading.opinions == {}
        assert reading.causes == dict.fromkeys(IDS, cause)


def test_a_cut_answer_says_so() -> None:
    """The cause of a broken answer is another where the model was stopped."""
    reading = read_answer(answer({"id": "aaaa", "important": True})[:-5], IDS, is_whole=False)
    assert set(reading.causes.values()) == {Cause.CUT_OFF}


def test_the_schema_is_what_is_read() -> None:
    """What fits the schema is read, and what is read strictly fits it."""
    schema = Draft202012Validator(answer_schema(IDS, with_reasons=False))
    assert schema.is_valid(json.loads(answer({"id": "aaaa", "important": True})))
    assert not schema.is_valid(json.loads(answer({"id": "cccc", "important": True})))
    assert not schema.is_valid({"verdicts": [], "x": 1})


def test_ids_are_drawn_anew() -> None:
    """No prompt's ids tell those of another."""
    assert len(set(short_ids(200))) == 200
    assert not set(short_ids(50)) & set(short_ids(50)) or short_ids(3) != short_ids(3)


def test_shares_add_up() -> None:
    """Tokens are whole and none is lost."""
    spent = Spending(tokens=101, cost=0.7, seconds=2.0, answer_ids=("a",))
    shares = spent.shares(7)
    assert sum(s.tokens for s in shares) == 101
    assert max(s.tokens for s in shares) - min(s.tokens for s in shares) == 1
    assert sum(s.cost for s in shares) == pytest.approx(0.7)


def test_a_majority_needs_opinions() -> None:
    """Silence is no opinion; a tie is important; all silent is no verdict."""
    yes, no = (Finding(judge="m", opinion=Opinion(important=i)) for i in (True, False))
    silent = Finding(judge="m", cause=Cause.MALFORMED)
    assert majority([no, no, yes]).opinion == Opinion(important=False)
    assert majority([no, yes, silent]).opinion == Opinion(important=True)
    assert majority([no, yes, silent]).answers == (False, True)
    assert majority([silent, silent]).cause is Cause.MALFORMED


def test_a_fallback_answers_under_its_own_name() -> None:
    """Of repeated answers those of one judge count: his who gave the most."""
    yes = Finding(judge="m", opinion=Opinion(important=True))
    no = Finding(judge="fallback", opinion=Opinion(important=False))
    found = majority([yes, no, no])
    assert (found.judge, found.answers) == ("fallback", (False, False))
    assert majority([yes, yes, no]).judge == "m"
