"""A store beside the ledger topic that it was made from, for as far as the topic still reaches."""

from dataclasses import dataclass, field

from stream_filter.app.settings import Settings
from stream_filter.audit.proving import Link, Proof, is_in
from stream_filter.audit.recorded import RecordedLedger
from stream_filter.audit.snapshot import Window
from stream_filter.core.chain import block_digest
from stream_filter.core.errors import StreamFilterError
from stream_filter.core.ledger import Block
from stream_filter.kafka.reader import TopicReader
from stream_filter.store.arrow_block import ArrowLedgerCodec
from stream_filter.store.progress import load_progress
from stream_filter.store.stretches import day_of, that_count


@dataclass(slots=True, kw_only=True)
class Comparison:
    """The finding. It holds when `problems` is empty."""

    blocks: int = 0
    """That the topic still has, and the store should."""
    problems: list[str] = field(default_factory=list)

    @property
    def holds(self) -> bool:
        return not self.problems


async def compare(
    ledger: RecordedLedger,
    proof: Proof,
    settings: Settings,
    topic: str | None = None,
    window_ms: Window = (None, None),
) -> Comparison | None:
    """Compare what `prove` found with the ledger topic, block by block; None where there is not
    both a store and a topic. Days before the store's first are taken to be dropped by its
    retention. Raises BrokerError or ConfigError."""
    if len(ledger.snapshots) < 2:
        return None
    store, newest = ledger.snapshots
    counting, _ = that_count(store.folder.files("decisions"))
    first_day = min((stretch.day for stretch in counting), default="")
    found = Comparison()
    missing = {
        place: link
        for place, link in proof.links.items()
        if topic in (None, link.header.topic) and is_in(link.header, window_ms)
    }
    async with TopicReader(settings.connection()) as reader:
        ranges = {}
        for source, (first, end) in (
            await reader.bounds(reader.partitions(settings.ledger_topic))
        ).items():
            # What came since the ledger was opened is not in it.
            archived = load_progress(newest.folder, settings.ledger_topic, source.partition)
            ranges[source] = (first, min(end, archived))
        async for source, records in reader.read(ranges, to_the_end=True):
            for record in records:
                try:
                    block = ArrowLedgerCodec().decode(record.value or b"")
                except StreamFilterError:  # archived as damaged
                    continue
                header = block.header
                if topic not in (None, header.topic) or not is_in(header, window_ms):
                    continue
                if day_of(header.decided_at_ms) < first_day:
                    continue
                found.blocks += 1
                place = (source.partition, record.offset)
                found.problems += _problems(block, place, missing.pop(place, None))
    held = {source.partition: span for source, span in ranges.items()}
    for place, link in sorted(missing.items()):
        first, end = held.get(place[0], (0, 0))
        if first <= place[1] < end:
            found.problems.append(
                f"block {link.header.block_id} of the store is not in the ledger topic, where it "
                f"should stand in partition {place[0]} at offset {place[1]}"
            )
    return found


def _problems(block: Block, place: tuple[int, int], link: Link | None) -> list[str]:
    header = block.header
    if link is None:
        return [
            f"block {header.block_id} is missing in the store: the ledger topic has it in "
            f"partition {place[0]} at offset {place[1]}"
        ]
    if (link.header.block_id, link.digest) != (
        header.block_id,
        header.digest or block_digest(block),
    ):
        return [
            f"block {header.block_id} of the ledger topic is another one in the store: "
            f"{link.header.block_id}, digest {link.digest[:16]}…"
        ]
    return []
