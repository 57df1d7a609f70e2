"""The policy file: what is sound is frozen, what is not is refused in clear lines."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from stream_filter.app.policy_file import LATER, load_policy
from stream_filter.core.errors import ConfigError
from stream_filter.core.policy import Fold, Format, Mode, Novelty, Rule, Thresholds

Write = Callable[[str | bytes], Path]

GOOD = """\
version: 1
topics:
  payments.logs:
    text: "{level} {message}"
    model: triage-starter
    raw: {drop_below: 0.2, keep_above: 0.8}
"""
AND = GOOD + "    "
TWO = (
    GOOD
    + """\
  b:
    text: "{m}"
    model: {pack: triage-starter, id: 0123456789abcdef}
    raw: {drop_below: 0.2, keep_above: 0.8}
"""
)
BOMB = "a: &a [x,x,x,x,x,x,x,x,x]\n" + "".join(
    f"{new}: &{new} [{','.join([f'*{old}'] * 9)}]\n"
    for old, new in zip("abcdefgh", "bcdefghi", strict=True)
)
HERE = "topics.payments.logs"

# name, file, line of the complaint, what it says
BROKEN: list[tuple[str, str | bytes, int | None, str]] = [
    ("unknown key", AND + "holdot: 0.1\n", 7, f"{HERE}.holdot: unknown key: did you mean holdout?"),
    ("unknown top key", GOOD + "topcis: {}\n", 7, "topcis: unknown key: did you mean topics?"),
    ("unknown default", GOOD + "defaults: {mod: shadow}\n", 7, "unknown key: did you mean mod"),
    ("unknown key of raw", GOOD.replace("keep_above", "keep_abov"), 6, "did you mean keep_above?"),
    ("nothing like it", AND + "zzz: 1\n", 7, f"{HERE}.zzz: unknown key: known are"),
    ("yaml 1.1 on", AND + "on: true\n", 7, f"{HERE}.on: unknown key"),
    ("merge key", AND + "<<: {mode: shadow}\n", 7, f"{HERE}.<<: unknown key"),
    ("wrong type", GOOD.replace("0.8", "'0.8'"), 6, f"{HERE}.raw.keep_above: input should be a"),
    ("raw a list", GOOD.replace("{drop_below: 0.2, keep_above: 0.8}", "[1, 2]"), 6,
     "expected keys and values, not [1, 2]"),
    ("text a number", GOOD.replace('"{level} {message}"', "7"), 4, "a valid string, not 7"),
    ("topics a list", "version: 1\ntopics: [a]\n", 2, "topics: expected keys and values"),
    ("topic without rules", "version: 1\ntopics: {a: }\n", 2, "topics.a: expected keys and values"),
    ("no topics", "version: 1\n", 1, "topics: is missing"),
    ("empty topics", "version: 1\ntopics: {}\n", 2, "topics: dictionary should have at least 1"),
    ("crossed", GOOD.replace("0.2", "0.9"), 6, "thresholds are crossed: drop_below 0.9 is above"),
    ("crossed defaults", "defaults: {raw: {drop_below: 0.9, keep_above: 0.1}}\n" + GOOD, 1,
     "thresholds are crossed"),
    ("threshold past 1", GOOD.replace("0.8", "1.8"), 6, "less than or equal to 1, not 1.8"),
    ("threshold missing", GOOD.replace(", keep_above: 0.8", ""), 6, "raw.keep_above: is missing"),
    ("no version", GOOD.replace("version: 1\n", ""), 1, "version: is missing"),
    ("later version", GOOD.replace("version: 1", "version: 2"), 1, "input should be 1, not 2"),
    ("version a string", GOOD.replace("version: 1", "version: '1'"), 1, "input should be 1"),
    ("version a boolean", GOOD.replace("version: 1", "version: yes"), 1, "input should be 1"),
    ("no raw", GOOD.replace("    raw: {drop_below: 0.2, keep_above: 0.8}\n", ""), 3,
     f"{HERE}: raw: is missing: give raw thresholds, or a target"),
    ("no text", GOOD.replace('    text: "{level} {message}"\n', ""), 3, "text: is missing: name"),
    ("no model", GOOD.replace("    model: triage-starter\n", ""), 3, f"{HERE}.model: is missing"),
    ("template never closed", GOOD.replace("{message}", "{message"), 3, "is never closed"),
    ("template without a field", GOOD.replace("{level} {message}", "level"), 3, "names no field"),
    ("text for lines", AND + "format: text\n", 3, "plain text is read whole"),
    ("unknown format", AND + "format: avro\n", 7, "should be 'json' or 'text', not 'avro'"),
    ("unknown mode", AND + "mode: enforced\n", 7, "'shadow' or 'enforce', not 'enforced'"),
    ("mode a boolean", AND + "mode: off\n", 7, "should be 'shadow' or 'enforce', not False"),
    ("key twice", AND + "model: other\n", 7, "model: stands here twice"),
    ("topic twice", GOOD + GOOD.split("topics:\n")[1], 7, "payments.logs: stands here twice"),
    ("aliases without end", BOMB, None, "more than 100000 values, aliases included"),
    ("alias of itself", "version: 1\ntopics: &a {x: *a}\n", None, "not YAML"),
    ("unknown alias", "version: *v\n", 1, "not YAML: found undefined alias"),
    ("not YAML", "version: 1\n\ttopics: {}\n", 2, "not YAML: found character"),
    ("never closed", "version: [1\n", 2, "not YAML"),
    ("too deep", "version: " + "[" * 5_000, None, "not YAML"),
    ("two documents", GOOD + "---\n" + GOOD, 7, "not YAML: but found another document"),
    ("python object", "version: !!python/object/apply:os.getcwd []\n", 1, "input should be 1"),
    ("python name", "version: !!python/name:os.system x\n", 1, "not YAML"),
    ("no such date", AND + "holdout: 2026-13-45\n", 7, f"{HERE}.holdout: '2026-13-45' is no valid"),
    ("a tag that lies", AND + "holdout: !!float many\n", 7, f"{HERE}.holdout: 'many' is no valid"),
    ("a boolean that is none", AND + "holdout: !!bool perhaps\n", 7, "'perhaps' is no valid"),
    ("digits without end", AND + f"holdout: {'9' * 5_000}\n", 7, "is no valid number"),
    ("a date", AND + "holdout: 2026-11-24\n", 7, "should be a valid number"),
    ("a list", "- version\n", 1, "expected keys and values at the top level"),
    ("a word", "hello\n", 1, "expected keys and values at the top level"),
    ("binary", bytes(range(256)), None, "not UTF-8 at byte 128"),
    ("UTF-16", GOOD.encode("utf-16"), None, "not UTF-8 at byte 0"),
    ("NUL", "version: 1\n\0", None, "not YAML"),
    ("empty", "", 1, "version: is missing"),
    ("comments only", "# nothing\n", 1, "version: is missing"),
    ("huge", "# " + "x" * 1_000_001, None, "1000003 bytes: more than 1000000"),
    ("huge value", GOOD.replace("version: 1", f"version: {'x' * 100_000}"), 1, "be 1, not 'xxx"),
    ("loop", AND + "forward_to: payments.logs\n", 3, "would feed itself; use another forward_to"),
    ("loop over two", TWO + "    forward_to: payments.logs\n", 3, "b forwards to it"),
    ("bad topic name", GOOD.replace("payments.logs", '"pay ments!"'), 3, "not a topic name"),
    ("topic .", GOOD.replace("payments.logs", '"."'), 3, "not a topic name"),
    ("long topic name", GOOD.replace("payments.logs", "x" * 250), 3, "not a topic name"),
    ("empty topic name", GOOD.replace("payments.logs", '""'), 3, "not a topic name"),
    ("null topic name", GOOD.replace("payments.logs", "~"), 3, "not a topic name"),
    ("bad glob", GOOD.replace("payments.logs", '"pay*/x"'), 3, "not a topic name"),
    ("bad target name", AND + "forward_to: 'a b'\n", 7, f"{HERE}.forward_to: string should match"),
    ("targets, no default", AND + "forward_to: {important: x}\n", 7, "forward_to.default: is"),
    ("target of no reason", AND + "forward_to: {default: x, impotant: y}\n", 7, "mean important"),
    ("target of a drop", AND + "forward_to: {default: x, undecodable: y}\n", 7, "unknown key"),
    ("ramp by what", AND + "ramp: {percent: 5, by: user}\n", 7, "ramp.by: input should be"),
    ("ramp of how much", AND + "ramp: {by: key}\n", 7, "ramp.percent: is missing"),
    ("feeds itself", AND + "forward_to: {default: x, rule: payments.logs}\n", 3, "feed itself"),
    ("model with a slash", GOOD.replace("triage-starter", "../x"), 3, "not a pack's folder name"),
    ("model ..", GOOD.replace("triage-starter", '".."'), 3, "not a pack's folder name"),
    ("empty model", GOOD.replace("triage-starter", '""'), 3, "not a pack's folder name"),
    ("model a number", GOOD.replace("triage-starter", "7"), 5, f"{HERE}.model: input should be"),
    ("model null", GOOD.replace("triage-starter", ""), 5, f"{HERE}.model: input should be"),
    ("bad pack id", GOOD.replace("triage-starter", "{pack: p, id: XY}"), 5, ".model.id: string"),
    ("pack without a name", GOOD.replace("triage-starter", "{id: 0123456789abcdef}"), 5,
     f"{HERE}.model.pack: is missing"),
    ("rules a mapping", AND + "rules: {when: 'a'}\n", 7, f"{HERE}.rules: input should be a valid"),
    ("unknown key of a rule", AND + "rules: [{whn: a, then: keep}]\n", 7, "did you mean when?"),
    ("rule without a condition", AND + "rules: [{then: keep}]\n", 7, "rules.0.when: is missing"),
    ("rule without a verdict", AND + "rules: [{when: a}]\n", 7, "rules.0.then: is missing"),
    ("condition a boolean", AND + "rules: [{when: true, then: keep}]\n", 7, "string, not True"),
    ("holdout of a keeping rule", AND + "rules: [{when: a, then: keep, holdout: 0}]\n", 7,
     f"{HERE}.rules.0: holdout: only a rule that drops has one; leave it out"),
    ("bad name of a rule", AND + "rules: [{when: a, then: keep, name: '#1'}]\n", 7,
     f"{HERE}.rules.0.name: string should match"),
    ("two ids for a pack", TWO, 3, "uses the pack triage-starter with another id"),
    ("holdout past 1", AND + "holdout: 1.5\n", 7, f"{HERE}.holdout: input should be less than"),
    ("holdout below 0", AND + "holdout: -0.1\n", 7, "greater than or equal to 0, not -0.1"),
    ("holdout NaN", AND + "holdout: .nan\n", 7, "should be a finite number, not nan"),
    ("holdout infinite", AND + "holdout: .inf\n", 7, "should be a finite number, not inf"),
    ("holdout a boolean", AND + "holdout: true\n", 7, "should be a valid number, not True"),
    ("holdout as YAML 1.1 reads it", AND + "holdout: 1e-2\n", 7, "a valid number, not '1e-2'"),
    ("holdout base 60", AND + "holdout: 1:30\n", 7, "less than or equal to 1, not 90.0"),
    ("holdout null", AND + "holdout:\n", 7, "should be a valid number, not None"),
    ("no duration", AND + "fold: {window: 60, keep: 3}\n", 7,
     f"{HERE}.fold.window: 60 is no duration: write a number and s, m, h or d, like 60s"),
    ("duration in words", AND + "fold: {window: 1 minute, keep: 3}\n", 7, "'1 minute' is no dura"),
    ("no time at all", AND + "fold: {window: 0s, keep: 3}\n", 7, "'0s' is no duration"),
    ("two days", AND + "fold: {window: 2d, keep: 3}\n", 7, "2d is longer than a day"),
    ("fold keeps none", AND + "fold: {window: 60s, keep: 0}\n", 7, f"{HERE}.fold.keep: input shou"),
    ("fold without keep", AND + "fold: {window: 60s}\n", 7, f"{HERE}.fold.keep: is missing"),
    ("fold a number", AND + "fold: 60s\n", 7, "expected keys and values, not '60s'"),
    ("fold and a typo", AND + "fold: {windw: 60s, keep: 3}\n", 7, "did you mean window?"),
    ("novelty a number", AND + "novelty: 5\n", 7, f"{HERE}.novelty: expected keys and values"),
    ("novelty of none", AND + "novelty: {forward_first: 0}\n", 7, "novelty.forward_first: input"),
    ("novelty of a half", AND + "novelty: {forward_first: 0.5}\n", 7, "a valid integer, not 0.5"),
    ("ramp past 100", AND + "ramp: 101\n", 7, f"{HERE}.ramp: input should be less than or equal"),
    ("ramp below 0", AND + "ramp: -1\n", 7, "greater than or equal to 0, not -1"),
    ("ramp a boolean", AND + "ramp: on\n", 7, f"{HERE}.ramp: input should be a valid number"),
    ("bad default", GOOD + "defaults: {holdout: 3}\n", 7, "defaults.holdout: input should be less"),
]  # fmt: skip


def problems_of(path: Path) -> tuple[str, ...]:
    """The lines of the refusal; each is one line, short, and begins with the file's name."""
    with pytest.raises(ConfigError) as caught:
        load_policy(path)
    for problem in caught.value.problems:
        assert problem.startswith(f"{path}:")
        assert len(problem) < 400 + len(str(path))
        assert "\n" not in problem
        assert "Traceback" not in problem
        assert "pydantic" not in problem
        assert "Model" not in problem
    return caught.value.problems


@pytest.mark.parametrize(
    ("content", "line", "said"), [case[1:] for case in BROKEN], ids=[case[0] for case in BROKEN]
)
def test_broken(write: Write, content: str | bytes, line: int | None, said: str) -> None:
    """A broken policy is refused, and one line names file, line, key and what is wrong."""
    path = write(content)
    problems = problems_of(path)
    match = next((problem for problem in problems if said in problem), None)
    assert match, problems
    if line is not None:
        assert match.startswith(f"{path}:{line}: "), problems
    assert len(problems) <= 3


@pytest.mark.parametrize("key", sorted(LATER))
@pytest.mark.parametrize("place", ["topic", "defaults"])
def test_later_keys(write: Write, key: str, place: str) -> None:
    """A key that has no meaning yet is refused, wherever it stands, with the way out."""
    content = AND + f"{key}: 1\n" if place == "topic" else GOOD + f"defaults:\n  {key}: 1\n"
    (problem,) = problems_of(write(content))
    assert f"{key}: not supported by this version yet: {LATER[key]}" in problem


def test_every_problem_is_told(write: Write) -> None:
    """Three faults give three lines, each with its own place."""
    content = AND + "holdout: 2\n    mode: on\n    zzz: 1\n"
    lines = [int(re.findall(r":(\d+): ", p)[0]) for p in problems_of(write(content))]
    assert sorted(lines) == [7, 8, 9]


def test_missing_file(tmp_path: Path) -> None:
    """A path that leads nowhere is one line."""
    (problem,) = problems_of(tmp_path / "nowhere.yaml")
    assert "cannot be read: No such file or directory: check the path" in problem


def test_directory(tmp_path: Path) -> None:
    """A folder is no policy."""
    (problem,) = problems_of(tmp_path)
    assert "Is a directory" in problem


def test_least_policy(write: Write) -> None:
    """What is not said has its documented default: JSON, shadow, 1 % holdout, llm.analysis."""
    (rules,) = load_policy(write(GOOD)).topics
    assert (rules.topic, rules.format, rules.mode) == ("payments.logs", Format.JSON, Mode.SHADOW)
    assert (rules.holdout, rules.forward_to) == (0.01, "llm.analysis")
    assert (rules.model, rules.model_id) == ("triage-starter", None)
    assert rules.thresholds == Thresholds(drop_below=0.2, keep_above=0.8)
    assert rules.text is not None
    assert rules.text.fields == (("level",), ("message",))


def test_defaults(write: Write) -> None:
    """A default holds for every topic that does not say otherwise; text is not for plain lines."""
    policy = load_policy(
        write("""\
version: 1
defaults:
  text: "{m}"
  mode: enforce
  holdout: 0
  model: {pack: p, id: 0123456789abcdef}
  raw: {drop_below: 0, keep_above: 1}
  forward_to: all
topics:
  a: {}
  "logs.*": {format: text, mode: shadow, holdout: 1, forward_to: lines}
""")
    )
    a, logs = policy.topics
    assert (a.mode, a.holdout, a.forward_to) == (Mode.ENFORCE, 0.0, "all")
    assert (a.model, a.model_id) == ("p", "0123456789abcdef")
    assert (logs.format, logs.text, logs.mode) == (Format.TEXT, None, Mode.SHADOW)
    assert (logs.holdout, logs.forward_to, logs.is_pattern) == (1.0, "lines", True)
    assert policy.targets == {"all", "lines"}


@pytest.mark.parametrize(
    ("written", "window_ms"), [("1s", 1_000), ("60s", 60_000), ("5m", 300_000), ("1d", 86_400_000)]
)
def test_novelty_fold_and_ramp(write: Write, written: str, window_ms: int) -> None:
    """They are frozen as written, a window in milliseconds; without them nothing is remembered
    and all is enforced."""
    (rules,) = load_policy(write(GOOD)).topics
    assert (rules.novelty, rules.fold, rules.ramp) == (None, None, 100.0)
    content = (
        f"novelty: {{forward_first: 5}}\n    fold: {{window: {written}, keep: 3}}\n    ramp: 10\n"
    )
    (rules,) = load_policy(write(AND + content)).topics
    assert rules.novelty == Novelty(forward_first=5)
    assert rules.fold == Fold(window_ms=window_ms, keep=3)
    assert rules.ramp == 10.0


def test_a_default_is_switched_off(write: Write) -> None:
    """A topic that says null has no novelty and no fold, whatever the defaults say."""
    content = GOOD + "defaults: {novelty: {forward_first: 5}, fold: {window: 60s, keep: 3}}\n"
    (rules,) = load_policy(write(content)).topics
    assert rules.novelty is not None
    assert rules.fold is not None
    off = content.replace("    raw:", "    novelty: null\n    fold: null\n    raw:")
    (rules,) = load_policy(write(off)).topics
    assert (rules.novelty, rules.fold) == (None, None)


def test_anchors_are_allowed(write: Write) -> None:
    """Anchors and aliases within reason read as what they stand for."""
    content = GOOD.replace("raw: {", "raw: &raw {") + "  b: {text: '{m}', model: p, raw: *raw}\n"
    assert len(load_policy(write(content)).topics) == 2


@pytest.mark.parametrize("name", ["007", "1_000", "on", "null", "2026-11-24", "1.0"])
def test_topic_names_are_read_as_written(write: Write, name: str) -> None:
    """A topic's name is what stands in the file, whatever YAML would take it for."""
    (rules,) = load_policy(write(GOOD.replace("payments.logs", name))).topics
    assert rules.topic == name


def test_layout_does_not_change_the_id(write: Write) -> None:
    """Comments, order of keys, quotes and defaults that are written out leave the id as it is."""
    first = load_policy(write(GOOD)).policy_id
    other = """\
# the same, said otherwise
topics:
  "payments.logs": {raw: {keep_above: 0.80, drop_below: 2.0e-1}, format: json, mode: shadow,
    model: {pack: triage-starter}, text: '{level} {message}', holdout: 0.01}
version: 1
"""
    assert load_policy(write(other)).policy_id == first


def test_byte_order_mark(write: Write) -> None:
    """A file that an editor began with a byte order mark reads as without."""
    assert load_policy(write(b"\xef\xbb\xbf" + GOOD.encode())).topics


RULES = """\
    rules:
      - when: '{}'
        then: drop
"""
BAD_CONDITIONS = [
    ("level = 1", "column 7: cannot read '=' here: compare with =="),
    ("level ==", "column 9: ends too early: complete it"),
    ('level == "x" and b', "column 14: cannot read 'and' here: write &&"),
    (
        'path startswith "/h"',
        "column 6: cannot read 'startswith' here: write field.startsWith(\"…\")",
    ),
    ("level == null", "column 10: null reads as missing: write has(event.name)"),
    (
        "has(level)",
        'column 5: has() takes a field of something: write has(event.name), or "name" in headers',
    ),
    ("status + 1 > 2", "column 8: arithmetic is not covered: compare fields with literals"),
    (
        'path.startswith("/h")',
        "column 6: function startswith is not covered: did you mean startsWith?",
    ),
    ("size(path)", "column 1: this is a number, not a condition: compare it"),
    ("key > 5", "column 7: a string is never compared with a number: convert one side"),
    ("a in b", 'column 1: one side of `in` is a literal: write x in ["a", "b"] or "a" in x'),
    ("1 < 2", "column 1: compares two literals: name a field on one side"),
    (
        "tags.exists(t, t == 1)",
        "column 12: a macro (all, exists, exists_one, filter, map) is not covered: to search a "
        'list, write "x" in field',
    ),
    (
        'm.matches("a(?!b)")',
        "column 11: no regular expression of RE2: invalid perl operator: (?!: RE2 has no "
        "look-around and no back-references",
    ),
    (
        'm.matches("(a")',
        "column 11: no regular expression of RE2: missing ): (a: RE2 has no look-around and no "
        "back-references",
    ),
]


@pytest.mark.parametrize(("condition", "said"), BAD_CONDITIONS)
def test_bad_condition_is_one_line(condition: str, said: str, write: Write) -> None:
    """A condition that is refused gives one line: file, line, key, column, and the way out."""
    path = write(GOOD + RULES.replace("{}", condition.replace("'", "''")))
    with pytest.raises(ConfigError) as caught:
        load_policy(path)
    assert str(caught.value) == f"{path}:8: {HERE}.rules.0.when: {said}"


def test_place_in_a_condition_of_several_lines(write: Write) -> None:
    """A condition may be written over several lines; its complaint counts them."""
    block = """\
    rules:
      - then: drop
        when: |
          level == "x" &&
          status = 1
"""
    path = write(GOOD + block)
    with pytest.raises(ConfigError) as caught:
        load_policy(path)
    said = "line 2, column 8: cannot read '=' here: compare with =="
    assert str(caught.value) == f"{path}:9: {HERE}.rules.0.when: {said}"


def test_every_bad_rule_is_named(write: Write) -> None:
    """Each rule that is refused has its line, and names stand once."""
    block = """\
    rules:
      - {name: one, when: 'a = 1', then: drop}
      - {name: two, when: 'a == 1', then: drop}
      - {name: one, when: 'b ==', then: keep}
"""
    with pytest.raises(ConfigError) as caught:
        load_policy(write(GOOD + block))
    assert [re.sub(r"^.*?:(\d+): .*?(rules\S*) ", r"\1 \2 ", p) for p in caught.value.problems] == [
        "8 rules.0.when: column 3: cannot read '=' here: compare with ==",
        "10 rules.2.when: column 5: ends too early: complete it",
        "10 rules.2.name: rule 0 is called one too: each name stands once",
    ]


def test_rules_may_stand_in_the_defaults(write: Write) -> None:
    """A topic without rules has the defaults'; a fault there is named once, where it stands; a
    topic's own rules take their place, also none."""
    head = "defaults:\n  rules: [{when: '%s', then: drop, holdout: 0}]\n"
    two = TWO.replace(", id: 0123456789abcdef", "")
    policy = load_policy(write(head % "a == 1" + two + "    rules: []\n"))
    assert policy.topics[0].rules == (Rule(when="a == 1", then="drop", holdout=0.0),)
    assert policy.topics[1].rules == ()
    with pytest.raises(ConfigError) as caught:
        load_policy(write(head % "a = 1" + two))
    (problem,) = caught.value.problems
    assert ":2: defaults.rules.0.when: column 3: cannot read" in problem


def test_rules_of_plain_text_read_the_line(write: Write) -> None:
    """A condition is checked for the topic's format."""
    lines = GOOD.replace('    text: "{level} {message}"\n', "    format: text\n")
    assert load_policy(write(lines + RULES.replace("{}", 'line == ""'))).topics[0].rules
    with pytest.raises(ConfigError, match="plain text has no field level: its one field is line"):
        load_policy(write(lines + RULES.replace("{}", 'level == ""')))
