"""A policy's identity, which rules hold for a topic, and what is subscribed to."""

import re
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream_filter.core.budget import Budget, Limit, Overflow, Unit
from stream_filter.core.holdout_choice import CertifyWithin
from stream_filter.core.policy import (
    Challenger,
    Fold,
    Format,
    Mode,
    Novelty,
    Overload,
    Policy,
    Rule,
    Thresholds,
    TopicPolicy,
    WhenOverloaded,
)
from stream_filter.core.targets import CalibratedFor, SignLimits, Slices, Target
from stream_filter.core.template import parse_template

BASE = TopicPolicy(
    topic="payments.logs",
    format=Format.JSON,
    text=parse_template("{level} {message}"),
    model="triage-starter",
    model_id=None,
    thresholds=Thresholds(drop_below=0.2, keep_above=0.8),
    mode=Mode.ENFORCE,
    holdout=0.01,
    forward_to="llm.analysis",
)


def policy_of(*topics: str, forward_to: str = "llm.analysis") -> Policy:
    """A policy with rules for each of these names or globs."""
    return Policy(topics=tuple(replace(BASE, topic=t, forward_to=forward_to) for t in topics))


def test_policy_id_is_golden() -> None:
    """Of given content and masks the id never changes: it stands in every ledger block."""
    assert Policy(topics=(BASE,)).policy_id == "32935a31ef25f4f1"


FOR = CalibratedFor(
    drop_below=0.2,
    recall=0.95,
    failure_probability=0.05,
    model_id="0123456789abcdef",
    mask_set="masks-2",
    reading_id="0123456789abcdef",
    labels_id="0123456789abcdef",
    positives=100,
    at_ms=0,
)

CHALLENGER = Challenger(text=BASE.text, model=BASE.model, model_id=None, thresholds=BASE.thresholds)
CHANGES: list[dict[str, Any]] = [
    {"topic": "payments.log"},
    {"format": Format.TEXT},
    {"text": parse_template("{message} {level}")},
    {"text": None},
    {"model": "other"},
    {"model_id": "0123456789abcdef"},
    {"thresholds": Thresholds(drop_below=0.21, keep_above=0.8)},
    {"thresholds": Thresholds(drop_below=0.2, keep_above=0.81)},
    {"mode": Mode.SHADOW},
    {"holdout": 0.02},
    {"forward_to": "llm.other"},
    {"rules": (Rule(when="a == 1", then="drop"),)},
    {"novelty": Novelty(forward_first=5)},
    {"novelty": Novelty(forward_first=6)},
    {"fold": Fold(window_ms=60_000, keep=3)},
    {"fold": Fold(window_ms=61_000, keep=3)},
    {"fold": Fold(window_ms=60_000, keep=4)},
    {"ramp": 99.0},
    {"ramp_by": "key"},
    {"forward_by_reason": (("important", "pages"),)},
    {"forward_by_reason": (("ambiguous", "pages"),)},
    {"budget": Budget(limits=(Limit(amount=3, window_ms=60_000),))},
    {"budget": Budget(limits=(Limit(amount=3, window_ms=3_600_000),))},
    {"budget": Budget(limits=(Limit(amount=3, window_ms=60_000, unit=Unit.TOKENS),))},
    {"budget": Budget(limits=(Limit(amount=3, window_ms=60_000, target="llm.analysis"),))},
    {"budget": Budget(limits=(Limit(amount=3, window_ms=60_000),), overflow=Overflow.WIDEN)},
    {"challenger": CHALLENGER},
    {"challenger": replace(CHALLENGER, model="next")},
    {"overload": Overload(max_lag_ms=1_000)},
    {"overload": Overload(max_lag_ms=1_000, then=WhenOverloaded.FORWARD)},
    {"overload": Overload(max_lag_ms=1_000, thresholds=Thresholds(drop_below=0, keep_above=1))},
    {"target": Target(recall=0.95)},
    {"target": Target(recall=0.96)},
    {"target": Target(slices=Slices(fields=(("service",),)))},
    {"redact": (("user", "email"),)},
    {"long_texts": "score"},
    {"undo_for_ms": 86_400_000},
    {"signs": None},
    {"signs": SignLimits(score_shift=0.3)},
    {"is_uncalibrated": True},
    {"certify_within": CertifyWithin(within_ms=86_400_000)},
    {"calibrated_for": FOR},
    {"calibrated_for": replace(FOR, drop_below=0.1)},
]


@pytest.mark.parametrize("change", CHANGES, ids="-".join)
def test_every_field_changes_the_id(change: dict[str, Any]) -> None:
    """A policy that differs in one field has another id."""
    assert Policy(topics=(replace(BASE, **change),)).policy_id != Policy(topics=(BASE,)).policy_id


def test_changes_differ_from_each_other() -> None:
    """No two of these policies share an id."""
    ids = [Policy(topics=(replace(BASE, **change),)).policy_id for change in CHANGES]
    assert len(set(ids)) == len(ids)


def test_every_field_is_tried() -> None:
    """The changes above leave out no field of a topic's rules."""
    assert {key for change in CHANGES for key in change} == set(TopicPolicy.__slots__)


def test_what_is_redacted_is_no_other_entry() -> None:
    """Evidence goes on to count when a field is to be hidden: nothing is decided otherwise."""
    (rules,) = policy_of("a").topics
    assert replace(rules, redact=(("card",),)).entry_id == rules.entry_id
    assert replace(rules, undo_for_ms=86_400_000).entry_id == rules.entry_id


def test_order_of_topics_counts() -> None:
    """The first of two globs wins, so their order is part of the policy."""
    assert policy_of("a*", "b*").policy_id != policy_of("b*", "a*").policy_id


def test_equal_content_equal_id() -> None:
    """Two policies built apart from equal content have one id."""
    assert policy_of("a", "b").policy_id == policy_of("a", "b").policy_id


def test_exact_name_wins() -> None:
    """An exact name wins over a glob that stands before it; among globs the first wins."""
    policy = policy_of("pay*", "payments.*", "payments.logs")
    assert covering(policy, "payments.logs") == "payments.logs"
    assert covering(policy, "payments.other") == "pay*"
    assert policy.for_topic("orders") is None


def covering(policy: Policy, topic: str) -> str | None:
    rules = policy.for_topic(topic)
    return rules.topic if rules else None


@pytest.mark.parametrize(
    ("glob", "topic", "matches"),
    [
        ("*", "anything", True),
        ("pay*", "payments", True),
        ("pay?", "pays", True),
        ("pay?", "pay", False),
        ("log-[0-9]", "log-7", True),
        ("log-[0-9]", "log-x", False),
        ("log-[!0-9]", "log-x", True),
        ("a.b", "aXb", False),
        ("a.*", "aXb", False),
    ],
)
def test_globs(glob: str, topic: str, matches: bool) -> None:
    """Globs match like a shell's, whole names, case-sensitively; a dot is a dot."""
    assert (covering(policy_of(glob), topic) is not None) is matches


def test_exact_names_are_subscribed_by_name() -> None:
    """Without a glob the subscription is the set of names."""
    assert policy_of("a", "b").subscription(except_topics=frozenset({"x"})) == {"a", "b"}


TOPICS = st.text("ab._-x", min_size=1, max_size=8)
GLOBS = st.sampled_from(["*", "a*", "?*", "[a-z]*", "[!b]*", "__*", "*.*", "a?", "x.*"])


@given(
    globs=st.lists(GLOBS, min_size=1, max_size=3),
    exact=st.lists(TOPICS, max_size=2),
    own=st.frozensets(TOPICS, max_size=3),
    target=TOPICS,
    topic=TOPICS | st.sampled_from(["__consumer_offsets", "__transaction_state"]),
)
def test_expression_never_matches_own_topics(
    globs: list[str], exact: list[str], own: frozenset[str], target: str, topic: str
) -> None:
    """An expression matches what a rule covers, less internal topics and the gate's own."""
    policy = policy_of(*globs, *exact, forward_to=target)
    expression = policy.subscription(except_topics=own)
    assert isinstance(expression, re.Pattern)
    refused = topic.startswith("__") or (topic in own | {target} and topic not in exact)
    wanted = policy.for_topic(topic) is not None and not refused
    # aiokafka asks with `match`, and compiles the expression's text anew.
    assert bool(re.compile(expression.pattern).match(topic)) is wanted


@pytest.mark.parametrize(
    "topic", ["__consumer_offsets", "llm.analysis", "stream-filter.ledger", "stream-filter.dead"]
)
def test_star_leaves_own_topics(topic: str) -> None:
    """Even `*` reads neither Kafka's internal topics nor what the gate writes."""
    own = frozenset({"stream-filter.ledger", "stream-filter.dead"})
    expression = policy_of("*").subscription(except_topics=own)
    assert isinstance(expression, re.Pattern)
    assert not expression.match(topic)
    assert expression.match(f"{topic}2") or topic.startswith("__")
    assert expression.match("payments.logs")


def test_targets() -> None:
    """The targets are the topics that rules forward to, once each."""
    policy = Policy(
        topics=(BASE, replace(BASE, topic="b"), replace(BASE, topic="c", forward_to="d"))
    )
    assert policy.targets == {"llm.analysis", "d"}


@pytest.mark.parametrize(
    ("topics", "only"), [(("a",), "a"), (("a", "b"), None), (("a.*",), None), (("a", "b.*"), None)]
)
def test_only_topic(topics: tuple[str, ...], only: str | None) -> None:
    """A topic needs no naming where the policy has just one, and that is no glob."""
    assert policy_of(*topics).only_topic == only


def test_every_part_of_a_rule_changes_the_id() -> None:
    """Rules count with their order, conditions, verdicts, names and holdouts."""
    one, other = Rule(when="a == 1", then="drop"), Rule(when="b == 1", then="keep")
    lists = [
        (one, other),
        (other, one),
        (one,),
        (replace(one, then="keep"),),
        (replace(one, when="a == 2"),),
        (replace(one, name="one"),),
        (replace(one, holdout=0.0),),
    ]
    ids = {Policy(topics=(replace(BASE, rules=rules),)).policy_id for rules in lists}
    assert len(ids) == len(lists)


def test_rules_are_called_by_name_or_place() -> None:
    """A rule without a name is called by its place in the list, from 1."""
    rules = (
        Rule(when="true", then="drop"),
        Rule(when="true", then="keep", name="all"),
        Rule(when="true", then="keep"),
    )
    assert replace(BASE, rules=rules).rule_labels == ("#1", "all", "#3")


def test_reading_id_is_of_what_the_model_reads() -> None:
    """Format and template decide it, and nothing else of a topic does."""
    ids = {
        replace(BASE, **change).reading_id
        for change in CHANGES
        if not {"format", "text"} & change.keys()
    }
    assert ids == {BASE.reading_id}
    other = [{"format": Format.TEXT}, {"text": parse_template("{message}")}, {"text": None}]
    assert len({replace(BASE, **change).reading_id for change in [*other, {}]}) == 4
