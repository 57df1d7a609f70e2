"""Faust: a plain agent that applies the rule event by event and sends what matches."""

from __future__ import annotations

from collections.abc import AsyncIterator

from bench.peers.arguments import peer_arguments
from bench.peers.faust_app import make_app, run_app


def main() -> None:
    """Run until SIGTERM."""
    given = peer_arguments(__doc__)
    matches = given.rule.matcher()
    app = make_app(given)
    source = app.topic(given.source, value_type=bytes, value_serializer="raw")
    target = app.topic(given.target, value_type=bytes, value_serializer="raw")

    async def forward(values: AsyncIterator[bytes]) -> None:
        async for value in values:
            if matches(value):
                await target.send(value=value)

    app.agent(source)(forward)
    run_app(app)


if __name__ == "__main__":
    main()
