"""Faust: a plain agent that asks the gate's model about every event, one at a time.

No cache and no batch: what one writes first. The call takes about a millisecond and is made in
the event loop: a thread for each event would only make it slower.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from pathlib import Path

import orjson

from bench.peers.arguments import peer_arguments
from bench.peers.faust_app import make_app, run_app
from stream_filter.core.canonical import canonicalize
from stream_filter.core.template import extract, parse_template
from stream_filter.models.pack import load_pack
from stream_filter.models.staged_scorer import StagedScorer


def main() -> None:
    """Run until SIGTERM. The pack, template and threshold come by environment."""
    given = peer_arguments(__doc__)
    template = parse_template(os.environ["BENCH_TEMPLATE"])
    keep_above = float(os.environ["BENCH_KEEP_ABOVE"])
    scorer = StagedScorer(load_pack(Path(os.environ["BENCH_PACK"])), threads=os.cpu_count() or 1)
    app = make_app(given)
    source = app.topic(given.source, value_type=bytes, value_serializer="raw")
    target = app.topic(given.target, value_type=bytes, value_serializer="raw")

    def is_important(value: bytes) -> bool:
        event = orjson.loads(value)
        pieces = [template.literals[0]]
        for path, literal in zip(template.fields, template.literals[1:], strict=True):
            found = extract(event, path)
            pieces += ["" if found is None else str(found), literal]
        score = scorer.score([canonicalize("".join(pieces))])[0]
        return bool(score >= keep_above)

    async def forward(values: AsyncIterator[bytes]) -> None:
        async for value in values:
            if is_important(value):
                await target.send(value=value)

    app.agent(source)(forward)
    run_app(app)


if __name__ == "__main__":
    main()
