"""How a budget is shared out: to each source partition a fixed part of every limit.

So nobody needs to ask anybody before he spends, the limit holds in any crash and rebalance, and
what a partition spent moves with it. The price: what one partition leaves, no other can use.
"""

from collections.abc import Mapping

from stream_filter.core.budget import part_of
from stream_filter.core.policy import Policy, TopicPolicy
from stream_filter.core.spending import Share


def budget_shares(
    policy: Policy, rules: TopicPolicy, source: tuple[str, int], sources: Mapping[str, int]
) -> tuple[Share, ...]:
    """The parts of a source partition; none without a budget.

    `sources`: the partition counts of the source topics. A partition that is not among them has
    each limit for itself.
    """
    if rules.budget is None:
        return ()
    topic, partition = source
    shares = []
    for limit in rules.budget.limits:
        sharers = [topic] if limit.target is None else _forwarding_to(limit.target, policy, sources)
        index, of = partition, sum(sources.get(name, 0) for name in sharers)
        for name in sharers[: sharers.index(topic)] if topic in sharers else ():
            index += sources[name]
        if partition >= sources.get(topic, 0):
            index, of = 0, 1
        shares.append(Share(limit=limit, amount=part_of(limit.amount, index=index, of=of)))
    return tuple(shares)


def _forwarding_to(target: str, policy: Policy, sources: Mapping[str, int]) -> list[str]:
    forwarding = []
    for topic in sorted(sources):
        rules = policy.for_topic(topic)
        if rules is not None and target in rules.targets:
            forwarding.append(topic)
    return forwarding
