"""`stream-filter`: the group of all commands."""

import logging

import click

from stream_filter import __version__
from stream_filter.cli.lazy import Lazy, LazyGroup

COMMANDS = {
    "demo": Lazy("demo", "demo", "See it work: a broker, a web shop's logs, gate and analyst."),
    "check": Lazy("check", "check", "Check a policy and its packs; against the cluster too."),
    "try": Lazy("trial", "try_policy", "Decide real events by a policy; sends nothing."),
    "test": Lazy("cases", "run_case_file", "Hold a policy to its cases."),
    "topics": Lazy("topics", "topics", "Create the topics that a policy needs."),
    "run": Lazy("run", "run", "Run a worker until SIGTERM."),
    "tap": Lazy("tap", "tap", "Watch decisions as they fall."),
    "policy": Lazy("policy", "policy", "Change the policy of running workers."),
    "drain": Lazy("drain", "drain_deferred", "Release what a budget deferred."),
    "analyst": Lazy("analyst", "analyst", "Let a language model judge what is forwarded."),
    "incidents": Lazy("incidents", "incidents", "See the outages that the analyst has seen."),
    "review": Lazy("review", "review", "Judge events yourself."),
    "judges": Lazy("judges", "judges", "Compare the judges with people and with each other."),
    "certificate": Lazy("certificate", "certificate", "See what may be claimed about recall."),
    "ledger": Lazy("ledger", "ledger", "Prove that nothing was lost; compare a challenger."),
    "archive": Lazy("archive", "archive", "Keep ledger and verdicts as Parquet."),
    "audit": Lazy("audit", "audit", "Question the drops: count, explain, sample, export, verify."),
    "what-if": Lazy("what_if", "suppose", "Decide recorded events again by another policy."),
    "replay": Lazy("replay", "replay_drops", "Undo drops."),
    "train": Lazy("train", "train", "Train a model pack from labelled events."),
    "evaluate": Lazy("evaluate", "evaluate", "Measure a pack on events it was not trained on."),
    "pack": Lazy("pack", "pack", "Inspect, verify, measure, compare and import packs."),
    "plan": Lazy("plan", "plan", "Know what a recall target costs before anything runs."),
    "calibrate": Lazy("calibrate", "calibrate", "Choose the threshold that keeps a recall target."),
    "simulate": Lazy("simulate", "simulate", "Hold the statistics to their promises."),
}
"""In the order in which they are met."""


@click.group(
    cls=LazyGroup,
    lazy=COMMANDS,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.version_option(__version__, prog_name="stream-filter")
def main() -> None:
    """A toll gate on Kafka in front of a language model.

    Reads every event of a topic with a small model, forwards what is important or ambiguous,
    drops the rest, and accounts for every decision in a ledger.

    \b
    See it work:          stream-filter demo
    Check a policy:       stream-filter check policy.yaml --bootstrap HOST:PORT
    Try it on events:     stream-filter try policy.yaml events.jsonl
    Create its topics:    stream-filter topics create --policy policy.yaml
    Run a worker:         stream-filter run --policy policy.yaml
    Watch decisions:      stream-filter tap TOPIC
    Prove nothing lost:   stream-filter ledger verify --topic TOPIC --policy policy.yaml
    Question the drops:   stream-filter audit summary --topic TOPIC --from 24h
    Undo drops:           stream-filter replay --topic TOPIC --where SQL --to-topic ANALYSIS
    Let a model judge:    stream-filter analyst --config analyst.yaml
    Train a model pack:   stream-filter train labelled.jsonl --out models/NAME

    `stream-filter COMMAND --help` says more of each.

    Exit codes: 0 fine, 1 a check or a run failed, 2 usage or configuration.
    """
    from stream_filter.kafka.broken_connections import install_broken_connections
    from stream_filter.kafka.fetched_records import install_record_reading

    install_record_reading()
    install_broken_connections()
    # What aiokafka logs, our own errors say in one line; `run` sends it to its log.
    logging.getLogger("aiokafka").addHandler(logging.NullHandler())
