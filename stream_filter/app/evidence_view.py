"""The evidence, read from outside: what the holder has saved."""

from stream_filter.app.saved_evidence import read_saved
from stream_filter.app.settings import Settings
from stream_filter.control.faust_evidence import changelog_topic
from stream_filter.core.evidence_book import EvidenceBook
from stream_filter.kafka.reader import TopicReader
from stream_filter.store.msgpack_evidence import Desk


async def read_evidence(settings: Settings) -> tuple[EvidenceBook, Desk]:
    """The book as it was saved last, and how far ledger and verdicts were read for it. Raises
    BrokerError or ConfigError."""
    topic = changelog_topic(settings.evidence_app)
    table: dict[bytes, bytes] = {}
    async with TopicReader(settings.connection()) as reader:
        bounds = await reader.bounds(reader.partitions(topic))
        async for _, records in reader.read(bounds):
            for record in records:
                if record.value is None:
                    table.pop(record.key, None)
                else:
                    table[record.key] = record.value
    saved = read_saved(table)
    book = EvidenceBook(saved.pages, waiting=saved.desk.waiting, tally=saved.desk.tally)
    return book, saved.desk
