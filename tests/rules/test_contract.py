"""What every `RuleSet` holds: the CEL rules and their in-memory twin."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
import pytest

from stream_filter.core.policy import Format, Mode, Rule, Thresholds, TopicPolicy
from stream_filter.core.template import extract, parse_template
from stream_filter.formats.columns import column_of
from stream_filter.gate.ports import RuleSet
from stream_filter.rules.cel_rules import CelRules
from stream_filter.rules.plain_rules import PlainRules


@dataclass
class Sent:
    event: dict[str, object]
    key: bytes | None = None
    value: bytes | None = None
    offset: int = 0
    timestamp: int = -1
    headers: Sequence[tuple[str, bytes | None]] = field(default=())


def policy(*conditions: str) -> TopicPolicy:
    """A topic's policy with these rules."""
    return TopicPolicy(
        topic="logs",
        format=Format.JSON,
        text=parse_template("{m}"),
        model="fixed",
        model_id=None,
        thresholds=Thresholds(drop_below=0.2, keep_above=0.8),
        mode=Mode.ENFORCE,
        holdout=0.1,
        forward_to="llm.analysis",
        rules=tuple(Rule(when=condition, then="drop") for condition in conditions),
    )


def cel_rules() -> RuleSet:
    """Compiled."""
    return CelRules(policy('a == "x"', 'key == "k"', "a == 1"))


def plain_rules() -> RuleSet:
    """The same by hand."""
    return PlainRules(
        [("a",)],
        [
            lambda _, fields: fields.get(("a",)) == "x",
            lambda record, _: record.key == b"k",
            lambda _, fields: fields.get(("a",)) == 1,
        ],
    )


MakeRules = Callable[[], RuleSet]
every_rule_set = pytest.mark.parametrize("make", [cel_rules, plain_rules])
SENT = [
    Sent({"a": "x"}, key=b"k"),
    Sent({"a": "y"}, key=b"k"),
    Sent({"a": 1}),
    Sent({}),
    Sent({"a": None}, key=b"other"),
    Sent({"a": 1}, key=b"k"),
]
FIRST = [0, 1, 2, -1, -1, 1]


def first_match(rules: RuleSet, sent: Sequence[Sent]) -> list[int]:
    """The rule of each record."""
    columns = [
        column_of([extract(record.event, read.path) for record in sent]) for read in rules.reads
    ]
    found = rules.first_match(sent, columns)
    assert found.dtype == np.int16
    assert found.shape == (len(sent),)
    return found.tolist()


@every_rule_set
def test_the_first_rule_that_holds_is_named(make: MakeRules) -> None:
    """Rules are asked in their order, and -1 says that none holds."""
    assert first_match(make(), SENT) == FIRST


@every_rule_set
def test_a_record_is_decided_by_itself(make: MakeRules) -> None:
    """The batch around a record does not matter."""
    rules = make()
    assert [first_match(rules, [record])[0] for record in SENT] == FIRST
    assert first_match(rules, SENT[::-1] * 3) == FIRST[::-1] * 3


@every_rule_set
def test_a_batch_may_be_empty(make: MakeRules) -> None:
    """No record, no rule."""
    assert first_match(make(), []) == []


@every_rule_set
def test_fields_are_read_once(make: MakeRules) -> None:
    """However many rules read a field, one column is asked for."""
    assert [read.path for read in make().reads] == [("a",)]
