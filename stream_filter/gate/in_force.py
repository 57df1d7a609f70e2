"""What is in force, and the switch from one policy to the next between two batches."""

import threading
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace

from stream_filter.core.decision import Reason
from stream_filter.core.orders import is_paused
from stream_filter.core.policy import Policy, TopicPolicy
from stream_filter.core.targets import OnFailure
from stream_filter.gate.ports import RuleSet, TextReader
from stream_filter.gate.score_cache import ScoreCache


@dataclass(frozen=True, slots=True, kw_only=True)
class Challenging:
    """A challenger, ready to decide."""

    policy: TopicPolicy
    """The topic's, with the challenger's rules."""
    rules: RuleSet | None
    reader: TextReader


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class InForce:
    """All that decides a batch: taken once at its beginning, never changed, only replaced."""

    policy: Policy
    policy_id: str
    paused: tuple[str, ...]
    is_known: bool
    """False: nobody could say which policy holds; this one only names the topics."""
    caches: Mapping[str, ScoreCache]
    """By pack name."""
    rules: Mapping[str, RuleSet]
    """By entry of the policy, where it has rules."""
    readers: Mapping[str, TextReader]
    """By entry of the policy."""
    fallen: Mapping[tuple[str, str], float]
    """Topics whose certificate has fallen, with the `entry_id` that it was of; and below which
    scores `widen` still drops."""
    challengers: Mapping[str, Challenging]
    """By entry of the policy, where it has one."""
    entry_ids: Mapping[str, str]
    """By entry of the policy that has a target: what its evidence is counted under."""

    def failure_of(self, topic: str, rules: TopicPolicy) -> tuple[OnFailure, float] | None:
        """What is to be done because a topic's certificate has fallen, if it has, and below which
        scores something is dropped all the same."""
        if rules.target is None:
            return None
        drops_below = self.fallen.get((topic, self.entry_ids[rules.topic]))
        if drops_below is None:
            return None
        action = rules.target.on_failure
        return action, drops_below if action is OnFailure.WIDEN else 0.0

    def forwards_all(self, topic: str) -> Reason | None:
        """The reason why everything of a topic is forwarded unread, if it is."""
        if is_paused(topic, self.paused):
            return Reason.PAUSED
        return None if self.is_known else Reason.DEGRADED


class Switch:
    """Holds what is in force. Thread-safe."""

    def __init__(self, first: InForce) -> None:
        self._current = first
        self._deciding: Counter[InForce] = Counter()
        self._lock = threading.Lock()

    @property
    def current(self) -> InForce:
        return self._current

    @contextmanager
    def hold(self) -> Iterator[InForce]:
        """What is in force, for the length of a batch."""
        with self._lock:
            held = self._current
            self._deciding[held] += 1
        try:
            yield held
        finally:
            with self._lock:
                self._deciding[held] -= 1
                if not self._deciding[held]:
                    del self._deciding[held]

    def change(self, following: InForce) -> None:
        """From the next batch on. Which certificates have fallen is not the policy's to say."""
        with self._lock:
            self._current = replace(following, fallen=self._current.fallen)

    def fall(self, fallen: Mapping[tuple[str, str], float]) -> None:
        """From the next batch on."""
        with self._lock:
            if fallen != self._current.fallen:
                self._current = replace(self._current, fallen=fallen)

    @property
    def is_settled(self) -> bool:
        """No batch is being decided by what was in force before."""
        with self._lock:
            return all(held is self._current for held in self._deciding)
