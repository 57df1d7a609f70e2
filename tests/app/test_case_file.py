"""The case file: what is sound becomes records, what is not is refused in clear lines."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream_filter.app.case_file import Case, ScoreRange, load_cases
from stream_filter.app.policy_file import load_policy
from stream_filter.core.errors import ConfigError
from stream_filter.core.policy import Policy

Write = Callable[[str | bytes], Path]

ONE = "version: 1\ncases:\n  - payload: {m: x}\n    expect: {verdict: keep}\n"
DEEP = "[" * 100 + "]" * 100

# name, file, line of the complaint, what it says
BROKEN: list[tuple[str, str | bytes, int, str]] = [
    ("empty", "", 1, "version: is missing"),
    ("no cases", "version: 1\ncases: []\n", 2, "cases: list should have at least 1 item"),
    ("cases a mapping", "version: 1\ncases: {a: 1}\n", 2, "cases: input should be a valid list"),
    ("a list", "- payload: x\n", 1, "expected keys and values at the top level"),
    ("broken", ONE + "  - [\n", 6, "not YAML"),
    ("other version", ONE.replace("1", "2", 1), 1, "version: input should be 1, not 2"),
    ("unknown key", ONE + "    paylod: x\n", 5, "cases.0.paylod: unknown key: did you mean pay"),
    ("unknown expectation", ONE.replace("verdict:", "verdikt:"), 4, "did you mean verdict?"),
    ("key twice", ONE + "    payload: x\n", 5, "payload: stands here twice"),
    ("no verdict", ONE.replace("keep", "kep"), 4, "'kep' is no verdict: did you mean keep?"),
    ("no route", ONE.replace("verdict: keep", "route: up"), 4, "'up' is no route: known are"),
    ("no reason", ONE.replace("verdict: keep", "reason: importent"), 4, "did you mean important?"),
    ("verdict a truth value", ONE.replace("keep", "true"), 4, "a valid string, not True"),
    ("nothing expected", ONE.replace("verdict: keep", ""), 4, "expects nothing: give one of"),
    ("expects null", ONE.replace("keep", "null"), 4, "expects nothing: give one of"),
    ("no expectation", ONE.replace("    expect: {verdict: keep}\n", ""), 3, "expect: is missing"),
    ("no payload", ONE.replace("payload: {m: x}", "key: k"), 3, "payload: is missing"),
    ("two payloads", ONE + "    payload_base64: eA==\n", 3, "stand here both: leave one out"),
    ("payload a number", ONE.replace("{m: x}", "7"), 3, "an object, a string or null, not 7"),
    ("payload a list", ONE.replace("{m: x}", "[7]"), 3, "an object, a string or null, not [7]"),
    ("a date inside", ONE.replace("m: x", "m: [2026-11-24]"), 3, "no JSON value: put it in quotes"),
    ("nan inside", ONE.replace("m: x", "m: .nan"), 3, "nan is not JSON: put it in quotes"),
    ("half a character", ONE.replace("{m: x}", r'"\ud800"'), 3, "half a character"),
    ("half in a key", ONE + '    key: "\\ud800"\n', 3, "half a character"),
    ("not base64", ONE.replace("payload: {m: x}", "payload_base64: '*'"), 3, "not base64"),
    ("base64 a number", ONE.replace("payload: {m: x}", "payload_base64: 7"), 3, "in a string, not"),
    ("no time", ONE + "    timestamp: soon\n", 5, "'soon' is no time like 2026-"),
    ("before 1970", ONE + "    timestamp: 1969-12-31\n", 5, "greater than or equal to 0"),
    ("after 9999", ONE + f"    timestamp: {10**18}\n", 5, "less than or equal to"),
    ("time a list", ONE + "    timestamp: []\n", 5, "a valid integer, not []"),
    ("headers a list", ONE + "    headers: [a]\n", 5, "expected keys and values, not ['a']"),
    ("header a number", ONE + "    headers: {a: 1}\n", 5, "a valid string, not 1"),
    ("repeat nothing", ONE + "    repeat: 0\n", 5, "greater than or equal to 1, not 0"),
    ("repeat for ever", ONE + "    repeat: 1000000\n", 5, "less than or equal to 10000"),
    ("score crossed", ONE.replace("verdict: keep", "score: {min: 1, max: 0}"), 4, "swap them"),
    ("score past 1", ONE.replace("verdict: keep", "score: {min: 1.5}"), 4, "than or equal to 1"),
    ("score a number", ONE.replace("verdict: keep", "score: 1"), 4, "expected keys and values"),
    ("unknown topic", ONE + "    topic: nosuch\n", 5, "no rules for 'nosuch': the policy has pay"),
    ("name twice", ONE.replace("- p", "- name: a\n    p") + "  - {name: a, payload: x, "
     "expect: {verdict: drop}}\n", 6, "'a' stands at"),
    ("empty name", ONE + "    name: ''\n", 5, "at least 1 character"),
    ("deep name", ONE + f"    name: {DEEP}\n", 5, "a valid string, not"),
    ("not UTF-8", b"version: 1\n\xff", 0, "not UTF-8 at byte 11"),
]  # fmt: skip

LINE = '{"payload": {"m": "x"}, "expect": {"verdict": "keep"}}\n'
BROKEN_LINES: list[tuple[str, str | bytes, int, str]] = [
    ("empty", "", 1, "cases: list should have at least 1 item"),
    ("blank", "\n \n", 1, "cases: list should have at least 1 item"),
    ("broken", LINE + "{\n", 2, "not JSON: Expecting property name"),
    ("two in a line", LINE.strip() + LINE, 1, "not JSON: Extra data"),
    ("a string", LINE + '"x"\n', 2, "expected keys and values, not 'x'"),
    ("key twice", '\n{"payload": 1, "payload": 2}\n', 2, "not JSON: payload: stands here twice"),
    ("unknown key", "\n" + LINE.replace("payload", "paylod"), 2, "did you mean payload?"),
    ("inf", LINE.replace('"x"', "1e999"), 1, "inf is not JSON"),
    ("NaN", LINE.replace('"x"', "NaN"), 1, "nan is not JSON"),
    ("not UTF-8", LINE.encode() + b"\xff\n", 2, "not UTF-8 at byte 0"),
    ("too deep", '{"a":' * 100_000, 1, "not JSON: nested too deeply"),
    ("a deep name", f'{{"name": {"[" * 600}{"]" * 600}}}', 1, "a valid string, not"),
    ("a deep payload", f'{{"payload": {{"a": {"[" * 600}{"]" * 600}}}}}', 1, "expect: is missing"),
    ("a long number", f'{{"payload": {"7" * 5000}}}', 1, "not JSON: Exceeds the limit"),
    ("unknown topic", LINE + LINE.replace("{", '{"topic": "t",', 1), 2, "no rules for 't'"),
]  # fmt: skip


@pytest.fixture
def policy(write: Write, good_policy: str) -> Policy:
    """A policy of one topic, payments.logs."""
    return load_policy(write(good_policy))


def load(folder: Path, policy: Policy, content: str | bytes, name: str = "c.yaml") -> list[Case]:
    """The cases of a file with this content."""
    path = folder / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return load_cases(path, policy)


@pytest.mark.parametrize(
    ("name", "content", "line", "said"),
    [("c.yaml", *case[1:]) for case in BROKEN] + [("c.jsonl", *case[1:]) for case in BROKEN_LINES],
    ids=[case[0] for case in BROKEN] + [f"lines: {case[0]}" for case in BROKEN_LINES],
)
def test_broken_file(
    tmp_path: Path, policy: Policy, name: str, content: str | bytes, line: int, said: str
) -> None:
    """A broken case file is refused with one line that names file, line and what is wrong."""
    with pytest.raises(ConfigError) as refused:
        load(tmp_path, policy, content, name)
    place = f"{tmp_path / name}:{line}: " if line else f"{tmp_path / name}: "
    problems = refused.value.problems
    assert any(p.startswith(place) and said in p for p in problems), problems
    assert all("\n" not in problem for problem in problems)


def test_missing_file(tmp_path: Path, policy: Policy) -> None:
    """A file that is not there is named, in both forms."""
    for name in ("nowhere.yaml", "nowhere.jsonl"):
        with pytest.raises(ConfigError, match=f"{name}: cannot be read: No such file"):
            load_cases(tmp_path / name, policy)


def test_record_of_a_case(tmp_path: Path, policy: Policy) -> None:
    """Key, headers, time and payload become the record that Kafka would deliver."""
    (case,) = load(
        tmp_path,
        policy,
        """
version: 1
cases:
  - name: all of it
    key: k
    headers: {tenant: blue, gone: null}
    timestamp: 2026-11-24T13:00:00+01:00
    payload: {level: é, n: [1, 2.5, true, null]}
    repeat: 6
    expect: {route: forward, score: {min: 0.8}}
""",
    )
    record = case.record
    assert (case.name, case.place, case.topic) == ("all of it", f"{tmp_path}/c.yaml:4", TOPIC)
    assert (record.key, record.offset, record.timestamp) == (b"k", 0, 1_795_521_600_000)
    assert record.headers == (("tenant", b"blue"), ("gone", None))
    assert json.loads(record.value or b"") == {"level": "é", "n": [1, 2.5, True, None]}
    assert case.repeat == 6
    assert case.expected == {"route": "forward", "score": ScoreRange(min=0.8, max=1.0)}


TOPIC = "payments.logs"


@pytest.mark.parametrize(
    ("given", "value"),
    [
        ("payload: plain text", b"plain text"),
        ("payload: ''", b""),
        ("payload: null", None),
        ("payload:", None),
        ("payload_base64: /wA=", b"\xff\x00"),
        ("payload_base64: ''", b""),
        ("payload: '{\"a\": 1}'", b'{"a": 1}'),
    ],
)
def test_payloads(tmp_path: Path, policy: Policy, given: str, value: bytes | None) -> None:
    """A string stays as it is, null is a tombstone, base64 is any bytes."""
    (case,) = load(tmp_path, policy, ONE.replace("payload: {m: x}", given))
    assert case.record.value == value


@pytest.mark.parametrize(
    ("given", "timestamp_ms"),
    [
        ("1795521600000", 1_795_521_600_000),
        ("2026-11-24T12:00:00Z", 1_795_521_600_000),
        ("'2026-11-24T12:00:00Z'", 1_795_521_600_000),
        ("2026-11-24 12:00:00", 1_795_521_600_000),
        ("2026-11-24", 1_795_478_400_000),
        ("0", 0),
    ],
)
def test_timestamps(tmp_path: Path, policy: Policy, given: str, timestamp_ms: int) -> None:
    """Milliseconds, ISO 8601 and YAML's own times are read; without a zone, as UTC."""
    (case,) = load(tmp_path, policy, f"{ONE}    timestamp: {given}\n")
    assert case.record.timestamp == timestamp_ms


def test_topic_of_a_case(tmp_path: Path, good_policy: str) -> None:
    """A case's own topic wins over the file's; without any, the policy must have just one."""
    (tmp_path / "two.yaml").write_text(
        good_policy + good_policy.partition("topics:\n")[2].replace(TOPIC, "audit.*")
    )
    two = load_policy(tmp_path / "two.yaml")
    own = ONE + "    topic: audit.x\n"
    assert [case.topic for case in load(tmp_path, two, own)] == ["audit.x"]
    assert [case.topic for case in load(tmp_path, two, f"topic: {TOPIC}\n{own}")] == ["audit.x"]
    assert [case.topic for case in load(tmp_path, two, f"topic: {TOPIC}\n{ONE}")] == [TOPIC]
    with pytest.raises(ConfigError, match=r"topic: is missing: the policy has .*audit"):
        load(tmp_path, two, ONE)


def test_lines_are_cases(tmp_path: Path, policy: Policy) -> None:
    """JSON lines say the same as YAML, with the line of each; blank lines are skipped."""
    content = (
        b"\xef\xbb\xbf" + LINE.encode() + b"\r\n\n" + LINE.replace('"x"', '"y"').encode().strip()
    )
    first, second = load(tmp_path, policy, content, "c.jsonl")
    assert (first.name, first.record.value) == ("line 1", b'{"m":"x"}')
    assert (second.name, second.record.value) == ("line 4", b'{"m":"y"}')
    assert first.expected == {"verdict": "keep"}


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)  # fmt: skip


@given(payload=st.dictionaries(st.text(), json_values, max_size=4))
def test_payload_survives(
    payload: dict[str, object], tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Whatever JSON object a line holds, the record's value is that object."""
    folder = tmp_path_factory.getbasetemp()
    (folder / "p.yaml").write_text(
        "version: 1\ntopics: {t: {format: text, model: m, raw: {drop_below: 0, keep_above: 1}}}\n"
    )
    line = json.dumps({"payload": payload, "expect": {"verdict": "keep"}})
    (case,) = load(folder, load_policy(folder / "p.yaml"), line, "c.jsonl")
    assert json.loads(case.record.value or b"") == payload
