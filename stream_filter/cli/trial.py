"""`stream-filter try`: what would this policy do with real events?"""

import asyncio
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import click

from stream_filter.app.cluster import inspect_cluster
from stream_filter.app.policy_file import load_policy
from stream_filter.app.rehearsal import Rehearsal, rehearsal_gate, with_all_topics
from stream_filter.app.settings import Settings
from stream_filter.app.trial import Example, Trial
from stream_filter.app.trial_events import file_batches, topic_batches
from stream_filter.cli.options import connection_options, json_option, model_dir_option, settings_of
from stream_filter.cli.output import print_json, runs
from stream_filter.cli.quantities import Figure
from stream_filter.cli.trial_report import as_document, print_report
from stream_filter.core.errors import ConfigError
from stream_filter.core.policy import Policy, TopicPolicy
from stream_filter.formats.text_reader import text_reader
from stream_filter.gate.batch import RecordBatch
from stream_filter.kafka.reader import TopicReader


@dataclass(frozen=True, slots=True, kw_only=True)
class _Source:
    """Where the events come from: a file or a topic."""

    file: Path | None
    topic: str
    last: int
    partition: int | None

    def place(self, example: Example) -> str:
        """Where an event stands, as one would look it up."""
        if self.file is not None:
            return f"{self.file}:{example.offset + 1}"
        return f"{example.topic}/{example.partition}/{example.offset}"


@click.command("try")
@click.argument("policy_path", metavar="POLICY", type=click.Path(path_type=Path))
@click.argument("file", required=False, type=click.Path(path_type=Path))
@connection_options
@model_dir_option
@click.option("--source-topic", metavar="TOPIC", help="Read events from this topic, not a FILE.")
@click.option("--last", type=click.IntRange(1), help="How many of its last records.  [10000]")
@click.option("--partition", type=click.IntRange(0), help="Only of this partition.")
@click.option("--topic", metavar="TOPIC", help="The topic by whose rules FILE is decided.")
@click.option(
    "--price",
    type=Figure(0),
    help="What a million tokens cost: then costs are shown too, in that currency.",
)
@click.option("--examples", type=click.IntRange(0, 1000), default=3, help="Of each reason.  [3]")
@json_option
@runs
async def try_policy(
    policy_path: Path,
    file: Path | None,
    settings_path: Path | None,
    bootstrap: str | None,
    group: str | None,
    model_dir: Path | None,
    source_topic: str | None,
    last: int | None,
    partition: int | None,
    topic: str | None,
    price: float | None,
    examples: int,
    as_json: bool,
) -> None:
    """Decide real events by POLICY and show what would become of them. Nothing is sent.

    FILE holds one event a line, as the topic's values would be (JSON or plain text); `-` is
    stdin; gzip is unpacked. With --source-topic the events are read from Kafka by a consumer
    that joins no group, and the holdout falls on those records on which the workers' falls.

    \b
    stream-filter try policy.yaml events.jsonl.gz
    stream-filter try policy.yaml --source-topic payments.logs --last 10000 --price 2.50
    """
    if (file is None) == (source_topic is None):
        raise click.UsageError("give a FILE or --source-topic")
    if file is not None and (last is not None or partition is not None):
        raise click.UsageError("--last and --partition are for --source-topic")
    if source_topic is not None and topic is not None:
        raise click.UsageError("--topic is for a FILE: --source-topic is decided by its own rules")
    settings = settings_of(settings_path, bootstrap=bootstrap, group=group, model_dir=model_dir)
    policy = load_policy(policy_path)
    source = _Source(
        file=file,
        topic=source_topic or topic or policy.only_topic or "",
        last=last or 10_000,
        partition=partition,
    )
    rules = _rules_for(source, policy)
    if source_topic is not None and rules.holdout > 0 and not settings.has_key:
        click.echo(
            "warning: no key: which records are in the holdout is not what workers with a key "
            "draw; set STREAM_FILTER_KEY",
            err=True,
        )
    if price is None and rules.budget is not None:
        price = rules.budget.price
    sources: Mapping[str, int] = {}
    limits: Mapping[str, int] = {}
    tried = policy
    if file is None:
        cluster = await inspect_cluster(policy, settings)
        sources, limits = cluster.sources, cluster.size_limits
    else:
        tried = with_all_topics(policy, budget=None)
    gate = rehearsal_gate(tried, settings, clock_ms=lambda: int(time.time() * 1000))
    trial = Trial(text_reader(rules), examples=examples)
    began = time.perf_counter()
    partitions: defaultdict[int, Rehearsal] = defaultdict(
        lambda: Rehearsal(gate, size_limits=limits, sources=sources)
    )
    async for batch in _batches(source, settings):
        decide = partitions[batch.partition].decide
        trial.add(batch, await asyncio.to_thread(decide, batch))
    seconds = time.perf_counter() - began
    report = trial.report()
    if not report.events:
        raise ConfigError(f"{file or source.topic}: holds no events")
    if as_json:
        facts = {
            "topic": source.topic,
            "policy_id": policy.policy_id,
            "seconds": round(seconds, 3),
        }
        print_json({**facts, **as_document(report, source.place, price)})
        return
    click.echo(
        f"{report.events:,} events by {policy_path} (policy id {policy.policy_id}; "
        f"{rules.mode}, drop below {rules.thresholds.drop_below:g}, keep from "
        f"{rules.thresholds.keep_above:g}, holdout {rules.holdout:g})\n"
    )
    print_report(report, source.place, price)
    if tried != policy:
        click.echo("\nthe budget was left out: the lines of a file have no times")
    click.echo(f"\n{seconds:.1f} s, {report.events / seconds:,.0f} events/s; nothing was sent")


def _rules_for(source: _Source, policy: Policy) -> TopicPolicy:
    has = f"the policy has {', '.join(rules.topic for rules in policy.topics)}"
    if not source.topic:
        raise ConfigError(f"which topic's rules are meant is not clear: give --topic: {has}")
    rules = policy.for_topic(source.topic)
    if rules is None:
        raise ConfigError(f"no rules for topic {source.topic!r}: {has}")
    return rules


async def _batches(source: _Source, settings: Settings) -> AsyncIterator[RecordBatch]:
    size = settings.batch_records
    if source.file is not None:
        for batch in file_batches(source.file, source.topic, batch_records=size):
            yield batch
        return
    reader = TopicReader(settings.connection(), isolation_level=settings.isolation_level)
    async with reader:
        async for batch in topic_batches(
            reader,
            source.topic,
            last=source.last,
            partition=source.partition,
            batch_records=size,
        ):
            yield batch
