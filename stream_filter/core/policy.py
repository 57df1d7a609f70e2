"""A policy: frozen rules for topics, with an id that is the digest of its content."""

import fnmatch
import hashlib
import json
import re
from dataclasses import MISSING, asdict, dataclass, fields, replace
from enum import StrEnum
from typing import Literal

from stream_filter.core.budget import Budget, Overflow
from stream_filter.core.canonical import MASK_SET_VERSION
from stream_filter.core.holdout_choice import CertifyWithin
from stream_filter.core.targets import USUAL_SIGNS, CalibratedFor, SignLimits, Target
from stream_filter.core.template import FieldPath, TextTemplate


class Mode(StrEnum):
    """`shadow`: decide, forward everything. `enforce`: act on the decisions."""

    SHADOW = "shadow"
    ENFORCE = "enforce"


class Format(StrEnum):
    """How a record's value becomes fields."""

    JSON = "json"
    TEXT = "text"


@dataclass(frozen=True, slots=True, kw_only=True)
class Thresholds:
    """score < drop_below: drop; score ≥ keep_above: keep; between them: abstain."""

    drop_below: float
    keep_above: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Novelty:
    """The first occurrences of a text that would be dropped are forwarded."""

    forward_first: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Fold:
    """Of equal texts in a window of time, the first `keep` go on and the others are counted."""

    window_ms: int
    keep: int


class WhenOverloaded(StrEnum):
    """What becomes of texts that the model has not read, when the gate has fallen behind. `wait`:
    the model reads them, as ever; `scout_only`: the pack's scout decides alone, by thresholds
    further apart; `forward`: their records are forwarded unread."""

    WAIT = "wait"
    SCOUT_ONLY = "scout_only"
    FORWARD = "forward"


@dataclass(frozen=True, slots=True, kw_only=True)
class Overload:
    """When the gate has fallen behind, and what it does then."""

    max_lag_ms: int
    """Of a batch's newest record, by its timestamp."""
    then: WhenOverloaded = WhenOverloaded.WAIT
    thresholds: Thresholds | None = None
    """The scout's, with `SCOUT_ONLY`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """A condition on a record and the verdict where it holds. Of several the first counts."""

    when: str
    """A condition in CEL."""
    then: Literal["keep", "drop", "abstain"]
    name: str | None = None
    holdout: float | None = None
    """π of what this rule drops; None: the topic's."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Challenger:
    """What decides beside a topic's champion, and never acts."""

    text: TextTemplate | None
    model: str
    model_id: str | None
    thresholds: Thresholds
    rules: tuple[Rule, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class TopicPolicy:
    """The rules for one topic, or for all that match a glob."""

    topic: str
    """A topic's name, or a glob (`*`, `?`, `[…]`)."""
    format: Format
    text: TextTemplate | None
    """Which fields are read. None for plain text: the whole line."""
    model: str
    """The model pack's folder name."""
    model_id: str | None
    """The pack that the thresholds were made for; None accepts any."""
    thresholds: Thresholds
    mode: Mode
    holdout: float
    """π: the chance that a would-be drop is forwarded all the same."""
    forward_to: str
    novelty: Novelty | None = None
    fold: Fold | None = None
    ramp: float = 100.0
    """Percent of the records on which `enforce` acts; the others are treated as in `shadow`."""
    ramp_by: Literal["position", "key"] = "position"
    """What is drawn: each record, or each key with all its records."""
    forward_by_reason: tuple[tuple[str, str], ...] = ()
    """Reason and topic, in the order of reasons: where it is not `forward_to`."""
    rules: tuple[Rule, ...] = ()
    target: Target | None = None
    """What is to be certified; None: nothing is promised."""
    calibrated_for: CalibratedFor | None = None
    """What the thresholds were calibrated for; None: they were chosen by hand, or are none."""
    is_uncalibrated: bool = False
    """There is a target and no threshold: nothing is dropped for its score."""
    certify_within: CertifyWithin | None = None
    """What `holdout` follows from; None: it was given as a number."""
    challenger: Challenger | None = None
    signs: SignLimits | None = USUAL_SIGNS
    """Of drift, beside a target; None: they are not looked for."""
    budget: Budget | None = None
    overload: Overload | None = None
    redact: tuple[FieldPath, ...] = ()
    """What commands that show payloads leave out. Decides nothing."""
    long_texts: Literal["forward", "score"] = "forward"
    """Of a text beyond the limit only head and tail are read. `forward`: it is never dropped for
    its score; `score`: head and tail decide."""
    undo_for_ms: int | None = None
    """For how long a drop must be undoable: the source is to keep its records so long. None:
    nobody asks. Decides nothing."""

    @property
    def reading_id(self) -> str:
        """16 hex digits of the SHA-256 of what decides which text the model reads, masks apart."""
        source = self.text.source if self.text else None
        content = json.dumps([self.format.value, source], separators=(",", ":"))
        return hashlib.sha256(content.encode()).hexdigest()[:16]

    @property
    def entry_id(self) -> str:
        """16 hex digits of the SHA-256 of this entry alone, mask set included: what evidence of
        the topic is counted under."""
        deciding = replace(self, redact=(), undo_for_ms=None)
        return _digest({"masks": MASK_SET_VERSION, "topics": [_content(deciding)]})

    @property
    def rule_labels(self) -> tuple[str, ...]:
        """What each rule is called: its name, or its place in the list, from `#1`."""
        return tuple(rule.name or f"#{place}" for place, rule in enumerate(self.rules, 1))

    @property
    def packs(self) -> tuple[tuple[str, str | None], ...]:
        """The packs that give its scores, by name, with the id that is asked for."""
        own = (self.model, self.model_id)
        other = self.challenger
        return (own,) if other is None else (own, (other.model, other.model_id))

    @property
    def challenging(self) -> "TopicPolicy | None":
        """These rules with the challenger's in place of the champion's."""
        other = self.challenger
        if other is None:
            return None
        return replace(
            self,
            text=other.text,
            model=other.model,
            model_id=other.model_id,
            thresholds=other.thresholds,
            rules=other.rules,
            challenger=None,
        )

    def target_of(self, reason: str) -> str:
        """Where a record goes that is forwarded for this reason, by its label."""
        return dict(self.forward_by_reason).get(reason, self.forward_to)

    @property
    def targets(self) -> frozenset[str]:
        """The topics that its records are forwarded to."""
        return frozenset({self.forward_to, *(topic for _, topic in self.forward_by_reason)})

    @property
    def has_holdout(self) -> bool:
        """Whether anything that would be dropped may be forwarded all the same."""
        return self.holdout > 0 or any(rule.holdout for rule in self.rules)

    @property
    def is_pattern(self) -> bool:
        return any(char in self.topic for char in "*?[")

    def covers(self, topic: str) -> bool:
        return fnmatch.fnmatchcase(topic, self.topic) if self.is_pattern else topic == self.topic


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """The rules of one gate."""

    topics: tuple[TopicPolicy, ...]

    @property
    def policy_id(self) -> str:
        """16 hex digits of the SHA-256 of the canonical form, mask set included."""
        content = {"masks": MASK_SET_VERSION, "topics": [_content(rules) for rules in self.topics]}
        return _digest(content)

    @property
    def packs(self) -> tuple[tuple[str, str | None], ...]:
        """Of all topics, each once."""
        return tuple(dict.fromkeys(pack for rules in self.topics for pack in rules.packs))

    @property
    def champion_packs(self) -> frozenset[tuple[str, str | None]]:
        """Those that decide what is dropped: a challenger's alone is not among them."""
        return frozenset((rules.model, rules.model_id) for rules in self.topics)

    @property
    def scouts(self) -> frozenset[str]:
        """The packs that must have a scout."""
        return frozenset(
            rules.model
            for rules in self.topics
            if rules.overload is not None and rules.overload.then is WhenOverloaded.SCOUT_ONLY
        )

    @property
    def defers(self) -> bool:
        """Whether records may be sent to the deferred topic."""
        return any(
            rules.budget is not None and rules.budget.overflow is Overflow.DEFER
            for rules in self.topics
        )

    def for_topic(self, topic: str) -> TopicPolicy | None:
        """An exact name wins over a glob; among globs the first."""
        for rules in sorted(self.topics, key=lambda rules: rules.is_pattern):
            if rules.covers(topic):
                return rules
        return None

    @property
    def only_topic(self) -> str | None:
        """The topic that needs no naming: of a policy with one entry that is no glob."""
        first = self.topics[0]
        return first.topic if len(self.topics) == 1 and not first.is_pattern else None

    def subscription(self, *, except_topics: frozenset[str]) -> frozenset[str] | re.Pattern[str]:
        """What to subscribe to: names, or one expression where a glob is among them.

        An expression never matches Kafka's internal topics, nor `except_topics`: a gate that
        read what it wrote would feed itself.
        """
        if not any(rules.is_pattern for rules in self.topics):
            return frozenset(rules.topic for rules in self.topics)
        exact = {rules.topic for rules in self.topics if not rules.is_pattern}
        own = sorted((except_topics | self.targets) - exact)
        refused = "|".join([*map(re.escape, own), "__.*"])
        # fnmatch.translate ends in \Z, which closes each alternative.
        wanted = "|".join(fnmatch.translate(rules.topic) for rules in self.topics)
        return re.compile(rf"(?!(?:{refused})\Z)(?:{wanted})")

    @property
    def targets(self) -> frozenset[str]:
        """The topics that records are forwarded to."""
        return frozenset().union(*(rules.targets for rules in self.topics))


def _digest(content: object) -> str:
    canonical = json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(canonical.encode()).hexdigest()[:16]


def _content(rules: TopicPolicy) -> dict[str, object]:
    """What the id is made of. A field that came later has a default and is left out where it has
    that value: a policy that does not use it keeps its id."""
    content = asdict(rules)
    for field in fields(rules):
        if field.default is not MISSING and getattr(rules, field.name) == field.default:
            del content[field.name]
    return content
