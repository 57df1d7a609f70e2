"""FastStream (aiokafka): a batch subscriber as its documentation shows it, on decoded events."""

from __future__ import annotations

from typing import Any

from bench.peers.arguments import peer_arguments
from bench.peers.faststream_app import make_broker, run_app, subscribe


def main() -> None:
    """Run until SIGTERM. The framework decodes the JSON; the rule reads dicts."""
    given = peer_arguments(__doc__)
    rule, levels = given.rule, frozenset(given.rule.levels)
    broker = make_broker(given)

    def matches(event: dict[str, Any]) -> bool:
        level, text = event.get(rule.level_field), event.get(rule.text_field)
        return level in levels or (isinstance(text, str) and rule.needle in text)

    async def handle(events: list[dict[str, Any]]) -> None:
        forwarded = [event for event in events if matches(event)]
        if forwarded:
            await broker.publish_batch(*forwarded, topic=given.target)

    subscribe(broker, given)(handle)
    run_app(broker)


if __name__ == "__main__":
    main()
