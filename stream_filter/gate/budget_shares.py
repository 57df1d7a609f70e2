"""How a budget is shared out: to each source partition a fixed part of every limit.

So nobody needs to ask anybody before he spends, the limit holds in any crash and rebalance, and
what a partition spent moves with it. The price: what one partition leaves, no other can use.
"""

from collections.abc import Mapping
from itertools import accumulate

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
    own = sources.get(topic, 0)
    # Of a limit that topics share: all their partitions, topic by topic.
    sharers = sorted(name for name in sources if _shares_with(policy, name, rules))
    begins = dict(zip(sharers, accumulate((sources[n] for n in sharers), initial=0), strict=False))
    total = sum(sources[name] for name in sharers)
    shares = []
    for limit in rules.budget.limits:
        if partition >= own:
            index, of = 0, 1
        elif limit.is_shared:
            index, of = begins[topic] + partition, total
        else:
            index, of = partition, own
        shares.append(Share(limit=limit, amount=part_of(limit.amount, index=index, of=of)))
    return tuple(shares)


def _shares_with(policy: Policy, topic: str, rules: TopicPolicy) -> bool:
    other = policy.for_topic(topic)
    return other is not None and other.forward_to == rules.forward_to
