"""The settings that both Faust peers share."""

from __future__ import annotations

import sys

import faust

from bench.peers.arguments import PeerArguments


def make_app(given: PeerArguments) -> faust.App:
    """An app without web server, tables and leader topic; commits every second."""
    return faust.App(
        given.group,
        broker=f"kafka://{given.bootstrap}",
        broker_commit_interval=1.0,
        consumer_auto_offset_reset="earliest",
        store="memory://",
        datadir=str(given.folder),
        topic_partitions=4,
        topic_disable_leader=True,
        web_enabled=False,
        value_serializer="raw",
        key_serializer="raw",
    )


def run_app(app: faust.App) -> None:
    """Run the worker in this process until SIGTERM."""
    sys.argv = [sys.argv[0]]  # the worker reads the command line of its own
    faust.Worker(app, loglevel="WARNING").execute_from_commandline()
