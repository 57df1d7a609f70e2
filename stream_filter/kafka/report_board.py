"""The `ReportBoard` port on a topic of one partition that forgets after an hour."""

from collections.abc import AsyncIterator

from aiokafka import ConsumerRecord

from stream_filter.core.errors import ConfigError, StreamFilterError
from stream_filter.core.orders import Report
from stream_filter.kafka.connection import Connection
from stream_filter.kafka.order_record import decode_report, encode_report
from stream_filter.kafka.reader import TopicReader
from stream_filter.kafka.topic_writer import TopicWriter

REPORT_TOPIC_CONFIGS = {
    "retention.ms": str(60 * 60 * 1000),
    "segment.ms": str(10 * 60 * 1000),
    "message.timestamp.type": "LogAppendTime",
}
_TAIL = 2000
"""Records before the end: some seconds of reports of hundreds of workers."""


class KafkaReportBoard:
    """Reports of one group; those of other groups in the topic are passed over."""

    def __init__(self, connection: Connection, *, topic: str, group: str) -> None:
        self._connection = connection
        self._topic = topic
        self._group = group
        self._writer = TopicWriter(connection, topic=topic, acks=1)

    async def write(self, report: Report) -> None:
        await self._writer.write(report.worker.encode(), encode_report(report))

    async def close(self) -> None:
        """After the last report. Never raises."""
        await self._writer.close()

    async def follow(self) -> AsyncIterator[list[Report]]:
        async with TopicReader(self._connection) as reader:
            try:
                (source,) = reader.partitions(self._topic)
            except (ConfigError, ValueError) as error:
                raise ConfigError(
                    f"worker topic {self._topic!r} does not exist with one partition: run "
                    "`stream-filter topics create --control`"
                ) from error
            first, end = (await reader.bounds([source]))[source]
            begin = max(first, end - _TAIL)
            tail: list[Report] = []
            async for _, records in reader.read({source: (begin, end)}):
                tail += self._read(records)
            yield tail
            async for _, records in reader.follow({source: end}):
                yield self._read(records)

    def _read(self, records: list[ConsumerRecord]) -> list[Report]:
        reports = []
        for record in records:
            try:
                report = decode_report(record.value, record.timestamp)
            except StreamFilterError:
                continue  # not a report: the worker that wrote it says another next second
            if report.group == self._group:
                reports.append(report)
        return reports
