"""Examples for a prompt from what people have said of the topic's events."""

from collections.abc import Mapping
from dataclasses import replace
from hashlib import blake2b

from stream_filter.analyst.config import AnalystConfig
from stream_filter.analyst.prompt import Example, Prompt
from stream_filter.app.settings import Settings
from stream_filter.core.judging import Opinions
from stream_filter.gate.headers import SF_FOLD, SF_ID
from stream_filter.kafka.reader import TopicReader
from stream_filter.kafka.verdict_record import VerdictError, decode_verdict


async def with_people(config: AnalystConfig, settings: Settings) -> AnalystConfig:
    """The config, its prompts with examples where it asks for some of people's. Raises BrokerError
    or ConfigError."""
    prompts = dict(config.prompts)
    for topic, given in config.model.topics.items():
        if isinstance(given.examples, int):
            prompt = prompts[topic]
            examples = await people_examples(settings, topic, prompt, given.examples)
            prompts[topic] = prompt.with_examples(examples)
    return replace(config, prompts=prompts)


async def people_examples(
    settings: Settings, topic: str, prompt: Prompt, count: int
) -> list[Example]:
    """At most `count` of the events that people have judged and the topic still holds. Reads both
    topics as they are now. Raises BrokerError or ConfigError.

    An example stands in every prompt, so what plainly talks to a model is none."""
    opinions = Opinions()
    values: dict[str, bytes] = {}
    async with TopicReader(settings.connection()) as reader:
        bounds = await reader.bounds(reader.partitions(settings.verdict_topic))
        async for _, records in reader.read(bounds):
            for record in records:
                try:
                    said = decode_verdict(
                        record.value, offset=record.offset, at_ms=record.timestamp
                    )
                except VerdictError:
                    continue
                if said.judge.is_person:
                    opinions.take(said.judge, said.event_id.hex(), said.important)
        people = opinions.people()
        if people:
            bounds = await reader.bounds(reader.partitions(topic))
            async for _, records in reader.read(bounds):
                for record in records:
                    headers = dict(record.headers)
                    event_id = (headers.get(SF_ID) or b"").decode("ascii", "replace")
                    if event_id not in people or not record.value or SF_FOLD in headers:
                        continue
                    (shown,) = prompt.show([record.value])
                    if shown is not None and not shown.is_suspicious:
                        values[event_id] = record.value
    return chosen(people, values, count)


def chosen(people: Mapping[str, bool], values: Mapping[str, bytes], count: int) -> list[Example]:
    """Of the events with a value as many important ones as others, where there are so many. Drawn
    by their ids, so all analysts of a group show the same."""
    drawn = sorted(values, key=lambda event_id: blake2b(event_id.encode()).digest())
    important = [event_id for event_id in drawn if people[event_id]]
    other = [event_id for event_id in drawn if not people[event_id]]
    most_important = max((count + 1) // 2, count - len(other))
    taken = set(important[:most_important])
    taken |= set(other[: count - len(taken)])
    return [Example(values[e], people[e]) for e in drawn if e in taken]
