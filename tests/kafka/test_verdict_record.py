"""A verdict at the edge: what counts as one, and what is said of all else."""

import json
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream_filter.core.oracle import Flaw, Judge
from stream_filter.kafka.verdict_record import MOST_BYTES, VerdictError, decode_verdict

ID = "0123456789abcdef0123456789abcdef"
LEAST: dict[str, Any] = {
    "sf-id": ID,
    "important": True,
    "judge": {"name": "llm-3", "kind": "model"},
}


def read(value: object) -> Any:
    return decode_verdict(json.dumps(value).encode(), offset=7, at_ms=8)


def test_the_least_that_a_verdict_says() -> None:
    found = read(LEAST)
    assert found.event_id == bytes.fromhex(ID)
    assert found.important is True
    assert found.judge == Judge("llm-3", False)
    assert (found.repeat, found.cost, found.tokens, found.offset, found.at_ms) == (0, 0, 0, 7, 8)


def test_all_that_a_verdict_can_say() -> None:
    """Keys that nobody knows are passed over: an analyst may have its own."""
    judge = {"name": "ann", "kind": "person", "team": "sre"}
    more = {"repeat": 2, "reason": "paid twice", "cost": 0.25, "tokens": 900, "seconds": 3, "x": 1}
    found = read({**LEAST, "judge": judge, **more})
    assert found.judge == Judge("ann", True)
    assert (found.repeat, found.cost, found.tokens, found.seconds) == (2, 0.25, 900, 3.0)


@pytest.mark.parametrize(
    ("said", "important"),
    [(True, True), (False, False), (1, True), (0, False), (0.5, True), (0.49, False)],
)
def test_important_is_yes_or_no_or_a_share(said: float, important: bool) -> None:
    assert read({**LEAST, "important": said}).important is important


@pytest.mark.parametrize(
    ("change", "key"),
    [
        ({"sf-id": None}, "sf-id"),
        ({"sf-id": ID.upper()}, "sf-id"),
        ({"sf-id": ID + "0"}, "sf-id"),
        ({"important": "yes"}, "important"),
        ({"important": 1.01}, "important"),
        ({"important": -1}, "important"),
        ({"important": None}, "important"),
        ({"judge": "llm"}, "judge"),
        ({"judge": {"name": "", "kind": "model"}}, "judge.name"),
        ({"judge": {"name": "x" * 201, "kind": "model"}}, "judge.name"),
        ({"judge": {"name": "x", "kind": "robot"}}, "judge.kind"),
        ({"repeat": -1}, "repeat"),
        ({"repeat": 1.5}, "repeat"),
        ({"repeat": 10**9}, "repeat"),
        ({"cost": -0.1}, "cost"),
        ({"cost": "1"}, "cost"),
        ({"tokens": 2**60}, "tokens"),
        ({"seconds": 1e13}, "seconds"),
    ],
)
def test_a_wrong_value_is_named_by_its_key(change: dict[str, Any], key: str) -> None:
    with pytest.raises(VerdictError) as caught:
        read({**LEAST, **change})
    assert caught.value.flaw is Flaw.INVALID
    assert str(caught.value).startswith(key)


@pytest.mark.parametrize("key", list(LEAST))
def test_what_is_missing_is_named(key: str) -> None:
    with pytest.raises(VerdictError, match=key) as caught:
        read({k: v for k, v in LEAST.items() if k != key})
    assert caught.value.flaw is Flaw.INVALID


@pytest.mark.parametrize(
    ("value", "flaw"),
    [
        (None, Flaw.EMPTY),
        (b"", Flaw.EMPTY),
        (b" " * (MOST_BYTES + 1), Flaw.TOO_LARGE),
        (b"important!", Flaw.UNREADABLE),
        (b"\xff\xfe\x00", Flaw.UNREADABLE),
        (b"[" * 60_000, Flaw.UNREADABLE),
        (b'{"a":' * 10_000 + b"1" + b"}" * 10_000, Flaw.UNREADABLE),
        (b"[1, 2]", Flaw.UNREADABLE),
        (b"NaN", Flaw.UNREADABLE),
        (b'{"sf-id": "' + ID.encode() + b'", "important": NaN}', Flaw.INVALID),
    ],
)
def test_what_is_no_verdict_has_a_cause(value: bytes | None, flaw: Flaw) -> None:
    with pytest.raises(VerdictError) as caught:
        decode_verdict(value, offset=0, at_ms=0)
    assert caught.value.flaw is flaw
    assert "\n" not in str(caught.value)


@given(st.binary(max_size=300))
def test_no_bytes_crash_it(value: bytes) -> None:
    with pytest.raises(VerdictError):
        decode_verdict(value, offset=0, at_ms=0)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=40),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=6,
)


@given(st.sampled_from([*LEAST, "repeat", "cost", "tokens", "seconds", "reason"]), JSON)
def test_no_value_of_a_key_crashes_it(key: str, value: Any) -> None:
    """Either a verdict or a cause, and nothing else."""
    with suppress(VerdictError):
        read({**LEAST, key: value})


def test_no_verdict_says_why() -> None:
    """null with a cause is no verdict, and no mistake of the analyst."""
    value = json.dumps({**LEAST, "important": None, "cause": "refused"}).encode()
    with pytest.raises(VerdictError, match=r"^refused$") as caught:
        decode_verdict(value, offset=0, at_ms=0)
    assert caught.value.flaw is Flaw.NO_VERDICT
