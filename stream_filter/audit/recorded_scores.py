"""The scores that a window's ledger has of a topic's texts, by one pack."""

from collections.abc import Iterator

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from stream_filter.audit.recorded import RecordedLedger
from stream_filter.audit.snapshot import Window
from stream_filter.core.ledger import BlockHeader
from stream_filter.core.policy import TopicPolicy
from stream_filter.gate.recorded_scores import RecordedScores, gives_scores

_COLUMNS = ("text_digest", "score")
_NO_TEXT = pa.scalar(0, pa.uint64())
_MANY = 2_000_000
"""Rows that wait to be made distinct."""


def recorded_scores(
    ledger: RecordedLedger,
    topic: str,
    window_ms: Window,
    rules: TopicPolicy,
    *,
    of_all: bool,
) -> RecordedScores:
    """Of the pack that the rules ask for; where they ask for none, of the newest block's.
    `of_all`: of every text; else of those for which a row's own score does not count. Memory: some
    bytes a distinct text."""
    blocks = ledger.effective_blocks(topic, window_ms)
    packs = blocks.filter(pc.not_equal(blocks["model_id"], "")).sort_by(
        [("decided_at_ms", "descending")]
    )
    model_id = rules.model_id or (packs["model_id"][0].as_py() if len(packs) else "")

    def rows() -> Iterator[tuple[BlockHeader, pa.Table]]:
        return ledger.read_columns(topic, _COLUMNS, window_ms)

    wanted: pa.Array | None = None
    if not of_all:
        wanted = _without_own(rows(), model_id)
    found: list[pa.Table] = []
    if wanted is None or len(wanted):
        for header, table in rows():
            if not gives_scores(header, model_id):
                continue
            known = pc.and_(table["score"].is_valid(), pc.not_equal(table["text_digest"], _NO_TEXT))
            if wanted is not None:
                known = pc.and_(known, pc.is_in(table["text_digest"], wanted))
            found = _distinct([*found, table.filter(known)])
    scores = pa.concat_tables(found) if found else None
    if scores is None:
        return RecordedScores(model_id, np.empty(0, np.uint64), np.empty(0, np.float32))
    digests, first = np.unique(scores["text_digest"].to_numpy(), return_index=True)
    return RecordedScores(model_id, digests, scores["score"].to_numpy()[first])


def _without_own(rows: Iterator[tuple[BlockHeader, pa.Table]], model_id: str) -> pa.Array:
    """Texts of rows whose own score does not count, some of them twice."""
    found: list[pa.Array] = []
    for header, table in rows:
        digests = table["text_digest"]
        if gives_scores(header, model_id):
            digests = digests.filter(table["score"].is_null())
        if len(digests):
            found.append(pc.unique(digests))
            if sum(map(len, found)) > _MANY:
                found = [pc.unique(pa.chunked_array(found))]
    texts = pc.unique(pa.chunked_array(found, pa.uint64()))
    return texts.filter(pc.not_equal(texts, _NO_TEXT))


def _distinct(tables: list[pa.Table]) -> list[pa.Table]:
    """The same rows, each text once where many wait."""
    if sum(map(len, tables)) < _MANY:
        return tables
    whole = pa.concat_tables(tables)
    _, first = np.unique(whole["text_digest"].to_numpy(), return_index=True)
    return [whole.take(pa.array(first))]
