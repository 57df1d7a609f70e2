"""What a replay is asked for, and what of it is left to be done."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from stream_filter.app.cluster import own_topics
from stream_filter.app.replay_record import ReplayLog
from stream_filter.app.settings import Settings
from stream_filter.core.errors import ConfigError
from stream_filter.core.offset_ranges import contained
from stream_filter.core.policy import Policy
from stream_filter.kafka.reader import TopicReader


class Labelled(NamedTuple):
    """A column of n strings: index into `labels`, -1 where there is none."""

    codes: NDArray[np.int32]
    labels: tuple[str, ...]

    def at(self, row: int) -> str:
        """Empty where there is none."""
        code = int(self.codes[row])
        return self.labels[code] if code >= 0 else ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Chosen:
    """Recorded decisions of one source partition, as columns of n records by ascending offset."""

    partition: int
    offsets: NDArray[np.int64]
    score: NDArray[np.float32]
    """NaN where there is none."""
    verdict: NDArray[np.uint8]
    reason: NDArray[np.uint8]
    rule: Labelled
    policy_id: Labelled
    model_id: Labelled
    was_sent: NDArray[np.bool_]
    """By the gate itself: forwarded, or deferred."""

    def where(self, rows: NDArray[np.bool_], *, partition: int | None = None) -> "Chosen":
        """Those rows only; `partition`: which one they are of, where they were of several."""
        return replace(
            self,
            partition=self.partition if partition is None else partition,
            offsets=self.offsets[rows],
            score=self.score[rows],
            verdict=self.verdict[rows],
            reason=self.reason[rows],
            rule=Labelled(self.rule.codes[rows], self.rule.labels),
            policy_id=Labelled(self.policy_id.codes[rows], self.policy_id.labels),
            model_id=Labelled(self.model_id.codes[rows], self.model_id.labels),
            was_sent=self.was_sent[rows],
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplayOrder:
    """What is asked for."""

    replay_id: str
    """16 hex digits."""
    topic: str
    to_topic: str
    user: str
    host: str
    where: str | None = None
    again: bool = False
    """Also what the gate or a replay has sent before."""
    limit: int | None = None
    """Most records to send."""
    rate: float | None = None
    """Most records a second."""


@dataclass(slots=True, kw_only=True)
class ReplayReport:
    """What became of the chosen records: they are the sum of the counts."""

    chosen: int = 0
    forwarded_before: int = 0
    """By the gate: forwarded, or deferred, which is forwarded by a drain."""
    replayed_before: int = 0
    sent: int = 0
    """In a dry run: what would be."""
    gone: dict[int, list[int]] = field(default_factory=dict)
    """By partition, offsets that the source no longer holds."""
    too_large: dict[int, list[int]] = field(default_factory=dict)
    """By partition, offsets of records that the target, or a limit of the budget, never takes."""
    beyond_limit: int = 0
    damaged: int = 0
    """Records of the replay topic that are none: passed over."""
    delivery: str | None = None
    """None in a dry run."""


def refuse_loops(order: ReplayOrder, policy: Policy | None, settings: Settings) -> None:
    """Raises ConfigError where what is sent would be read by the gate again."""
    target = order.to_topic
    if target == order.topic:
        raise ConfigError(f"--to-topic: {target!r} is the source itself: events would go round")
    if target in own_topics(settings):
        raise ConfigError(f"--to-topic: {target!r} is one of the gate's own: name another topic")
    if policy is not None and policy.for_topic(target) is not None:
        raise ConfigError(
            f"--to-topic: {target!r} is a source that the policy filters: events would go round"
        )


async def what_is_left(
    order: ReplayOrder, chosen: Sequence[Chosen], reader: TopicReader, log: ReplayLog
) -> tuple[ReplayReport, list[Chosen]]:
    """What is to be sent, and the report on the rest."""
    report = ReplayReport(damaged=log.damaged)
    sources = reader.partitions(order.topic)
    bounds = {s.partition: held for s, held in (await reader.bounds(sources)).items()}
    left: list[Chosen] = []
    for each in chosen:
        offsets, partition = each.offsets, each.partition
        report.chosen += len(offsets)
        new = each
        if not order.again:
            before = log.ranges(topic=order.topic, partition=partition, to_topics={order.to_topic})
            replayed = contained(offsets, before)
            report.replayed_before += int(replayed.sum())
            report.forwarded_before += int((each.was_sent & ~replayed).sum())
            new = each.where(~each.was_sent & ~replayed)
        first, end = bounds.get(partition, (0, 0))
        held = (new.offsets >= first) & (new.offsets < end)
        if not held.all():
            report.gone[partition] = new.offsets[~held].tolist()
        left.append(new.where(held))
    return report, [each for each in left if len(each.offsets)]
