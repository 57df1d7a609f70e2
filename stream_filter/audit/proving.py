"""The recorded ledger looked through: every block is what its digest says, follows the one that it
names, and stands where it should. Names whatever was altered, removed or exchanged."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

import pyarrow as pa
import pyarrow.compute as pc

from stream_filter.audit.recorded import RecordedLedger
from stream_filter.audit.snapshot import Snapshot, Window
from stream_filter.core.chain import block_digest
from stream_filter.core.errors import StreamFilterError
from stream_filter.core.ledger import Block, BlockHeader, Span, effective_chain
from stream_filter.store.block_facts import BlockFacts, facts_of
from stream_filter.store.decision_file import StoredBlock
from stream_filter.store.stretches import Stretch, day_of

_OF_HEADER = ("partition", "policy_id", "model_id", "overload", "delivery", "block_id")
"""Columns that have one value in all of a block's rows, and the header has it too."""


@dataclass(frozen=True, slots=True)
class Link:
    """What the chain needs of a block."""

    header: BlockHeader
    place: tuple[int, int]
    """Partition and offset in the ledger topic."""
    digest: str
    """The block's own, also of one from before there was a chain."""


@dataclass(slots=True, kw_only=True)
class Proof:
    """The finding. It holds when `problems` is empty."""

    blocks: int = 0
    records: int = 0
    unsealed: int = 0
    """Blocks of version 1, from before there was a chain."""
    overtaken: int = 0
    problems: list[str] = field(default_factory=list)
    links: dict[tuple[int, int], Link] = field(default_factory=dict)
    """Every block found, of whatever time, by its place in the ledger topic."""

    @property
    def holds(self) -> bool:
        return not self.problems


def prove(
    ledger: RecordedLedger, topic: str | None = None, window_ms: Window = (None, None)
) -> Proof:
    """Read every block of a topic and a window of decision time, the files as they are and not as
    the catalogue has them, and compare. Raises StreamFilterError where a store is silent."""
    proof = Proof()
    links: dict[tuple[str, int], list[Link]] = defaultdict(list)
    for snapshot in ledger.snapshots:
        for stretch in snapshot.stretches:
            if stretch.kind != "decisions" or topic not in (None, stretch.topic):
                continue
            try:
                for stored, block in snapshot.whole(stretch):
                    header = block.header
                    place = stored.facts.place
                    link = Link(header, place, header.digest or block_digest(block))
                    links[header.topic, header.partition].append(link)
                    if place in proof.links:
                        proof.problems.append(f"block {header.block_id} stands twice in the store")
                    proof.links[place] = link
                    if is_in(header, window_ms):
                        proof.blocks += 1
                        proof.records += header.rows
                        proof.unsealed += not header.digest
                        proof.problems += _block_problems(stored, block, stretch)
            except StreamFilterError as error:
                proof.problems.append(f"{stretch.name}: {error}")
        proof.problems += _catalogue_problems(snapshot, ledger, topic)
    for _, of_partition in sorted(links.items()):
        problems, overtaken = _chain_problems(of_partition, window_ms)
        proof.problems += problems
        proof.overtaken += overtaken
    return proof


def is_in(header: BlockHeader, window_ms: Window) -> bool:
    """Whether a block was decided in a window."""
    first, end = window_ms
    at = header.decided_at_ms
    return (first is None or at >= first) and (end is None or at < end)


def _block_problems(stored: StoredBlock, block: Block, stretch: Stretch) -> Iterator[str]:
    """What is wrong with a block by itself."""
    header, facts = block.header, stored.facts
    name = header.block_id
    if header.digest and block_digest(block) != header.digest:
        yield f"block {name} was altered: its content is not what its digest says"
    partition, offset = facts.place
    is_home = partition == stretch.partition and stretch.first <= offset < stretch.next
    if not is_home or (header.topic, day_of(header.decided_at_ms)) != (stretch.topic, stretch.day):
        yield f"block {name} stands in a file that is not its own: {stretch.name}"
    if facts_of(block, place=facts.place, block_bytes=facts.block_bytes).counts != facts.counts:
        yield f"block {name}: its counts are not those of its rows"
    said: dict[str, object] = {column: getattr(header, column) for column in _OF_HEADER}
    said |= {"ledger_partition": partition, "ledger_offset": offset}
    said["decided_at"] = header.decided_at_ms
    for column, value in said.items():
        found = pc.unique(stored.rows[column])
        if column == "decided_at":
            found = found.cast(pa.int64())
        if found.to_pylist() not in ([], [value]):
            yield f"block {name}: column {column} is not what its header says"


def _chain_problems(links: Sequence[Link], window_ms: Window) -> tuple[list[str], int]:
    """What is wrong with the blocks of a partition as they follow each other, and how many were
    overtaken."""
    by_sequence = dict(enumerate(sorted(links, key=lambda link: link.place)))
    spans = (
        Span(link.header.first_offset, link.header.last_offset + 1, sequence)
        for sequence, link in by_sequence.items()
    )
    counting = effective_chain(spans)
    chain = [by_sequence[span.sequence] for span in counting]
    problems: list[str] = []
    for before, after in pairwise(chain):
        if is_in(after.header, window_ms) or is_in(before.header, window_ms):
            problems += _link_problems(before, after)
    return problems, len(links) - len(chain)


def _link_problems(before: Link, after: Link) -> Iterator[str]:
    old, new = before.header, after.header
    if new.first_offset != old.last_offset + 1:
        yield (
            f"removed: between {old.block_id} and {new.block_id} no block has offsets "
            f"{old.last_offset + 1}..{new.first_offset - 1} of {new.topic}/{new.partition}"
        )
    elif new.previous_digest and new.previous_digest != old.digest:
        yield f"block {new.block_id} names another predecessor than {old.block_id}"
    elif old.digest and not new.digest:
        yield f"block {new.block_id} has no digest, and the one before it has"
    elif old.digest and not new.previous_digest:
        yield f"block {new.block_id} names no predecessor: the chain begins anew"
    if before.place > after.place and before.place[0] == after.place[0]:
        yield f"block {new.block_id} stands before {old.block_id} in the ledger: exchanged"


def _catalogue_problems(
    snapshot: Snapshot, ledger: RecordedLedger, topic: str | None
) -> Iterator[str]:
    """Where the catalogue, which questions are answered from, says otherwise than the footers."""
    kept = {
        (row["file"], row["ledger_partition"], row["ledger_offset"]): row
        for row in snapshot.blocks().to_pylist()
        if topic in (None, row["topic"])
    }
    for stretch in snapshot.stretches:
        if stretch.kind != "decisions" or topic not in (None, stretch.topic):
            continue
        try:
            found: list[BlockFacts] = snapshot.footer(stretch)
        except StreamFilterError:  # named already
            continue
        for facts in found:
            row = {"file": stretch.name, **facts.as_row()}
            if kept.get((stretch.name, *facts.place)) != row:
                yield f"the catalogue says otherwise than the file of block {row['block_id']}"
