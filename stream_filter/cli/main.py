"""`stream-filter`: the group of all commands."""

import logging

import click

from stream_filter import __version__
from stream_filter.cli.analyst import analyst
from stream_filter.cli.archive import archive
from stream_filter.cli.audit import audit
from stream_filter.cli.calibrate import calibrate
from stream_filter.cli.cases import run_case_file
from stream_filter.cli.certificate import certificate
from stream_filter.cli.check import check
from stream_filter.cli.demo import demo
from stream_filter.cli.drain import drain_deferred
from stream_filter.cli.evaluate import evaluate
from stream_filter.cli.incidents import incidents
from stream_filter.cli.judges import judges
from stream_filter.cli.lazy import LazyGroup
from stream_filter.cli.ledger import ledger
from stream_filter.cli.pack import pack
from stream_filter.cli.plan import plan
from stream_filter.cli.policy import policy
from stream_filter.cli.review import review
from stream_filter.cli.run import run
from stream_filter.cli.simulate import simulate
from stream_filter.cli.tap import tap
from stream_filter.cli.topics import topics
from stream_filter.cli.train import train
from stream_filter.cli.trial import try_policy
from stream_filter.kafka.broken_connections import install_broken_connections
from stream_filter.kafka.fetched_records import install_record_reading


@click.group(
    cls=LazyGroup,
    lazy={"what-if": ("what_if", "suppose"), "replay": ("replay", "replay_drops")},
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
    Hold it to its cases: stream-filter test policy.yaml cases.yaml
    Try it on events:     stream-filter try policy.yaml events.jsonl
    Create its topics:    stream-filter topics create --policy policy.yaml
    Run a worker:         stream-filter run --policy policy.yaml
    Let a model judge:    stream-filter analyst --config analyst.yaml
    See outages:          stream-filter incidents --follow
    Judge yourself:       stream-filter review --topic llm.analysis
    Trust its judges:     stream-filter judges --policy policy.yaml
    Change its policy:    stream-filter policy push policy.yaml
    Watch decisions:      stream-filter tap TOPIC
    Release what waits:   stream-filter drain --policy policy.yaml
    Prove nothing lost:   stream-filter ledger verify --topic TOPIC
    Keep it for audits:   stream-filter archive --store FOLDER
    Question the drops:   stream-filter audit summary --topic TOPIC --from 24h
    Undo drops:           stream-filter replay --topic TOPIC --where SQL --to-topic ANALYSIS
    Suppose a policy:     stream-filter what-if --policy NEW --topic TOPIC --from 24h
    Compare a challenger: stream-filter ledger diff --topic TOPIC
    Know the cost:        stream-filter plan --prevalence 0.001 --auc 0.95 --rate 5000/s --price 2.5
    Choose a threshold:   stream-filter calibrate labels.jsonl --recall 0.95
    Train a model pack:   stream-filter train labelled.jsonl --out models/NAME
    Evaluate it:          stream-filter evaluate models/NAME held-out.jsonl
    Compare model packs:  stream-filter pack diff A B events.jsonl --drop-below 0.2
    See what is claimed:  stream-filter certificate
    Try the statistics:   stream-filter simulate

    Exit codes: 0 fine, 1 a check or a run failed, 2 usage or configuration.
    """
    install_record_reading()
    install_broken_connections()
    # What aiokafka logs, our own errors say in one line; `run` sends it to its log.
    logging.getLogger("aiokafka").addHandler(logging.NullHandler())


COMMANDS = (
    run,
    analyst,
    incidents,
    review,
    judges,
    check,
    run_case_file,
    try_policy,
    plan,
    train,
    evaluate,
    calibrate,
    pack,
    certificate,
    simulate,
    topics,
    policy,
    tap,
    drain_deferred,
    ledger,
    archive,
    audit,
    demo,
)
for command in COMMANDS:
    main.add_command(command)
