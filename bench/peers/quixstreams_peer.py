"""quixstreams (librdkafka): the rule as a filter of a dataframe, commits every second."""

from __future__ import annotations

from quixstreams import Application

from bench.peers.arguments import peer_arguments


def main() -> None:
    """Run until SIGTERM."""
    given = peer_arguments(__doc__)
    app = Application(
        broker_address=given.bootstrap,
        consumer_group=given.group,
        auto_offset_reset="earliest",
        commit_interval=1.0,
        state_dir=given.folder / "state",
        loglevel="WARNING",
        # The library says of itself that its topics need not be made by it.
        auto_create_topics=False,
    )
    source = app.topic(given.source, value_deserializer="bytes")
    target = app.topic(given.target, value_serializer="bytes")
    app.dataframe(source).filter(given.rule.matcher()).to_topic(target)
    app.run()


if __name__ == "__main__":
    main()
