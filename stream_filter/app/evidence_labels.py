"""The labels that a running gate has gathered: what it showed to the analyst, with the chance of
that, and what was said."""

import hashlib

import numpy as np

from stream_filter.app.evidence_view import read_evidence
from stream_filter.app.labels import Labels
from stream_filter.app.settings import Settings
from stream_filter.core.errors import ConfigError
from stream_filter.core.evidence import IMPORTANT, NO_VERDICT
from stream_filter.core.evidence_book import EvidenceBook
from stream_filter.core.policy import Policy, TopicPolicy
from stream_filter.core.targets import Target


async def labels_from_evidence(policy: Policy, rules: TopicPolicy, settings: Settings) -> Labels:
    """The labels of one entry's topics. Raises BrokerError or ConfigError."""
    book, _ = await read_evidence(settings)
    return labels_of(book, policy, rules)


def labels_of(book: EvidenceBook, policy: Policy, rules: TopicPolicy) -> Labels:
    """Of the pack that gave the newest scores; an entry of the policy that was in force before
    counts as well, since a score depends on the pack alone.

    Silence counts against the gate: what was shown longer ago than the target's patience before the
    newest event judged, and has no verdict, counts as important if it is a would-be drop, and as
    unimportant if it was forwarded. Raises ConfigError where there are
    none, or none of a would-be drop.
    """
    pages = [
        page
        for _, page in sorted(book.pages.items())
        if page.epoch.model_id
        and (found := policy.for_topic(page.epoch.topic)) is not None
        and found.topic == rules.topic
    ]
    if not pages:
        raise ConfigError(f"no evidence on {rules.topic}: no event of it was shown yet")
    model_id = max(pages, key=lambda page: page.last_ms).epoch.model_id
    pages = [page for page in pages if page.epoch.model_id == model_id]
    heard_ms = max(
        int(page.shown.at_ms[page.effective() != NO_VERDICT].max(initial=-1)) for page in pages
    )
    waited_ms = heard_ms - (rules.target or Target()).patience_ms
    scores, important, chances, drops = [], [], [], []
    for page in pages:
        is_drop = np.array([key.is_drop for key in page.strata], np.bool_)[page.shown.stratum]
        chance = np.array([key.probability for key in page.strata])[page.shown.stratum]
        verdict = page.effective()
        counts = (verdict != NO_VERDICT) | (page.shown.at_ms < waited_ms)
        scores.append(page.shown.score[counts].astype(np.float64))
        silent_drop = (verdict == NO_VERDICT) & is_drop
        important.append(((verdict == IMPORTANT) | silent_drop)[counts])
        chances.append(chance[counts])
        drops.append(is_drop[counts])
    columns = [np.concatenate(parts) for parts in (scores, important, chances, drops)]
    has_score = ~np.isnan(columns[0])
    score, is_important, probability, is_drop = (column[has_score] for column in columns)
    if not is_drop.any():
        raise ConfigError(
            f"the evidence on {rules.topic} has no would-be drop with a verdict: give it a "
            "holdout, or run it in shadow mode for a while"
        )
    digest = hashlib.sha256()
    for column in (score, is_important, probability):
        digest.update(column.tobytes())
    return Labels(
        scores=score,
        important=is_important.astype(np.bool_),
        probabilities=probability,
        without_score=int((~has_score).sum()),
        labels_id=digest.hexdigest()[:16],
        model_id=model_id,
    )
