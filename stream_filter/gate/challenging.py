"""What a challenger makes of a batch: read, scored and decided as by the champion, no more."""

from collections.abc import Sequence
from operator import attrgetter

import numpy as np

from stream_filter.core.decision import Reason, Route, decide
from stream_filter.core.ledger import Challenge
from stream_filter.core.policy import TopicPolicy, WhenOverloaded
from stream_filter.core.rules import decide_by_rules
from stream_filter.gate.in_force import InForce
from stream_filter.gate.ports import Record
from stream_filter.gate.routing import spared
from stream_filter.gate.score_cache import text_digest
from stream_filter.gate.scoring import by_code, score_texts


def challenge(
    force: InForce, rules: TopicPolicy, records: Sequence[Record], *, leaves_unread: bool
) -> Challenge | None:
    """Its conclusions, by rules and score alone: nothing that depends on position, time or what
    came before. None where the topic has no challenger. A model that gives no score leaves its
    records `degraded`, and the champion as it is. `leaves_unread`: the champion's model is not
    asked, so neither is this one."""
    challenging = force.challengers.get(rules.topic)
    if challenging is None:
        return None
    texts = challenging.reader.read(list(map(attrgetter("value"), records)))
    rule = challenging.rules.first_match(records, texts.columns) if challenging.rules else None
    cache = force.caches[challenging.policy.model]
    digests = [text_digest(text) for text in texts.distinct]
    overload = WhenOverloaded.FORWARD if leaves_unread else None
    by_text, _, _, _ = score_texts(cache, texts, digests, rule, overload=overload)
    decodable = np.ones(len(records), np.bool_)
    decodable[list(texts.causes)] = False
    decisions = decide(
        by_code(by_text, texts.codes, np.float32(np.nan)),
        decodable=decodable,
        readable=texts.codes >= 0,
        thresholds=challenging.policy.thresholds,
        is_cut=spared(challenging.policy, texts.is_cut),
    )
    if leaves_unread:
        unread = decisions.reason == Reason.DEGRADED
        decisions = decisions.rerouted(unread, Route.FORWARD, Reason.OVERLOADED)
    if rule is not None:
        decisions = decide_by_rules(decisions, challenging.policy.rules, rule)
    return Challenge(
        model_id=cache.model_id,
        score=decisions.score,
        verdict=decisions.verdict,
        reason=decisions.reason,
    )
