"""Whatever is done to a store behind the gate's back is found and named."""

import random
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from stream_filter import audit
from stream_filter.audit.proving import Proof, prove
from stream_filter.core.errors import StreamFilterError
from stream_filter.store.block_facts import facts_of
from stream_filter.store.catalogue import save_catalogue
from stream_filter.store.decision_file import DecisionFile, StoredBlock, encode_file, stored
from stream_filter.store.folder import Folder
from stream_filter.store.stretches import Stretch, that_count
from tests.audit.conftest import MakeStore, make_block, sealed, with_header


def proof_of(store: Path) -> Proof:
    with audit.open(store) as ledger:
        return prove(ledger)


def files(store: Path) -> list[tuple[Stretch, Path]]:
    counting, _ = that_count(Folder(str(store)).files(""))
    return [(s, store / s.name) for s in counting if s.kind == "decisions"]


def rewrite(path: Path, change: Callable[[list[StoredBlock]], list[StoredBlock]]) -> None:
    """A file as somebody would forge it: valid, with checksums and counts of its own."""
    blocks = list(DecisionFile(Folder(str(path.parent)).filesystem, str(path)).rows())
    path.write_bytes(encode_file(change(blocks)))


def test_an_untouched_store_holds(store: Path) -> None:
    """All blocks are counted, and nothing is said of them."""
    proof = proof_of(store)
    assert (proof.blocks, proof.records, proof.problems) == (24, 240, [])


def content(path: Path) -> list[tuple[object, list[dict[str, object]]]]:
    file = DecisionFile(Folder(str(path.parent)).filesystem, str(path))
    return [(each.facts, each.rows.to_pylist()) for each in file.rows()]


def test_a_flipped_byte_is_named(store: Path) -> None:
    """Wherever in a file of decisions a byte is flipped, the proof names the file or a block of it;
    unless what the file says is the same to the last bit."""
    draw = random.Random(5)
    stretch, path = files(store)[2]
    data, before = path.read_bytes(), str(content(path))
    names = [facts.header.block_id for facts, _ in content(path)]
    found = 0
    for _ in range(60):
        flipped = bytearray(data)
        flipped[draw.randrange(len(data))] ^= 1 << draw.randrange(8)
        path.write_bytes(flipped)
        try:
            problems = proof_of(store).problems
        except StreamFilterError as error:  # not even the footer reads
            problems = [str(error)]
        if problems:
            found += 1
            assert any(name in " ".join(problems) for name in (stretch.name, *names)), problems
        else:
            assert str(content(path)) == before
    assert found > 30


def test_a_forged_row_is_named(store: Path) -> None:
    """A drop that becomes a forward in a valid file, checksums and counts made anew: the block's
    digest says so."""

    def forge(blocks: list[StoredBlock]) -> list[StoredBlock]:
        facts, rows = blocks[1]
        column = rows["reason"].cast(pa.string()).to_pylist()
        column[5] = "important"
        at = rows.schema.get_field_index("reason")
        forged = rows.set_column(at, rows.schema.field(at), pa.array(column).dictionary_encode())
        return [blocks[0], StoredBlock(facts, forged), *blocks[2:]]

    _, path = files(store)[1]
    block_id = content(path)[1][0].header.block_id
    rewrite(path, forge)
    problems = proof_of(store).problems
    assert f"block {block_id} was altered: its content is not what its digest says" in problems


@pytest.mark.parametrize("column", ["policy_id", "block_id", "decided_at", "ledger_offset"])
def test_a_forged_column_of_the_header_is_named(store: Path, column: str) -> None:
    """What SQL reads of a block's header beside each row is compared with the header."""

    def forge(blocks: list[StoredBlock]) -> list[StoredBlock]:
        facts, rows = blocks[0]
        at = rows.schema.get_field_index(column)
        other = blocks[1].rows[column] if column != "policy_id" else pa.array(["x"] * len(rows))
        if column == "policy_id":
            other = other.dictionary_encode()
        return [StoredBlock(facts, rows.set_column(at, rows.schema.field(at), other)), *blocks[1:]]

    _, path = files(store)[0]
    rewrite(path, forge)
    (problem,) = [p for p in proof_of(store).problems if "payments.logs/0/0-9" in p]
    assert column in problem


def test_a_forged_header_is_named(make_store: MakeStore) -> None:
    """A block that says it was decided by another policy is not the one that was sealed."""
    blocks = sealed(make_block(0, n) for n in range(6))
    blocks[3] = with_header(blocks[3], policy_id="another")
    assert proof_of(make_store(blocks)).problems == [
        "block payments.logs/0/30-39 was altered: its content is not what its digest says"
    ]


def test_a_removed_block_is_named(make_store: MakeStore) -> None:
    """Its offsets are named, and its neighbours."""
    blocks = sealed(make_block(0, n) for n in range(6))
    del blocks[2]
    (problem,) = proof_of(make_store(blocks)).problems
    assert problem == (
        "removed: between payments.logs/0/10-19 and payments.logs/0/30-39 no block has offsets "
        "20..29 of payments.logs/0"
    )


def test_a_removed_file_is_named(store: Path) -> None:
    """The offsets of both partitions whose blocks it held."""
    _, path = files(store)[3]
    path.unlink()
    problems = proof_of(store).problems
    assert len(problems) == 2
    assert all("no block has offsets 60..79" in problem for problem in problems)


def test_a_removed_block_whose_gap_was_closed(make_store: MakeStore) -> None:
    """Who removes a block and lets the next one cover its offsets, its own digest made anew, is
    told by the block that follows."""
    blocks = sealed(make_block(0, n) for n in range(6))
    del blocks[2]
    wide = with_header(blocks[2], first_offset=20, previous_digest=blocks[1].header.digest)
    forged = sealed([wide])[0]
    blocks[2] = with_header(forged, previous_digest=blocks[1].header.digest)
    problems = proof_of(make_store(blocks)).problems
    assert "block payments.logs/0/40-49 names another predecessor than payments.logs/0/20-39" in (
        problems
    )


def test_exchanged_blocks_are_named(make_store: MakeStore) -> None:
    """Two blocks that change places in the ledger, and two that change their rows."""
    blocks = sealed(make_block(0, n) for n in range(6))
    places = [*blocks[:2], blocks[3], blocks[2], *blocks[4:]]
    assert proof_of(make_store(places)).problems == [
        "block payments.logs/0/30-39 stands before payments.logs/0/20-29 in the ledger: exchanged"
    ]


def test_exchanged_rows_are_named(make_store: MakeStore) -> None:
    """Both blocks are named."""
    blocks = sealed(make_block(0, n) for n in range(6))
    blocks[2], blocks[3] = (
        replace(blocks[2], text_digests=blocks[3].text_digests),
        replace(blocks[3], text_digests=blocks[2].text_digests),
    )
    problems = proof_of(make_store(blocks)).problems
    assert [p.split()[1] for p in problems] == ["payments.logs/0/20-29", "payments.logs/0/30-39"]


def test_exchanged_files_are_named(store: Path) -> None:
    """A file under another's name is not at home."""
    (_, a), (_, b) = files(store)[:2]
    data = a.read_bytes()
    a.write_bytes(b.read_bytes())
    b.write_bytes(data)
    assert any("stands in a file that is not its own" in p for p in proof_of(store).problems)


def test_a_forged_catalogue_is_named(store: Path) -> None:
    """Summaries are added up from the catalogue: it is compared with the files."""
    folder = Folder(str(store))
    (stretch, *_), paths = zip(*files(store), strict=True)
    save_catalogue(folder, stretch.topic, stretch.day, [s for s, _ in files(store)])
    assert proof_of(store).holds
    data = paths[0].read_bytes()
    block = make_block(0, 0)
    counts_of = replace(block, decisions=replace(block.decisions, route=np.zeros(10, np.uint8)))
    facts = facts_of(counts_of, place=(0, 0), block_bytes=100)
    paths[0].write_bytes(encode_file([stored(counts_of, facts)]))
    save_catalogue(folder, stretch.topic, "2000-01-01", [])
    folder.delete(f"catalogue/topic={stretch.topic}/day={stretch.day}/blocks.parquet")
    save_catalogue(folder, stretch.topic, stretch.day, [s for s, _ in files(store)])
    paths[0].write_bytes(data)
    assert any("the catalogue says otherwise" in p for p in proof_of(store).problems)


def test_old_blocks_have_no_digest_and_no_fault(make_store: MakeStore) -> None:
    """Blocks from before there was a chain are counted as such; the first sealed one may follow
    them, and none may come after it."""
    old = [make_block(0, n) for n in range(3)]
    new = sealed(make_block(0, n) for n in range(3, 6))
    proof = proof_of(make_store([*old, *new]))
    assert (proof.unsealed, proof.problems) == (3, [])


def test_the_chain_cannot_end_quietly(make_store: MakeStore) -> None:
    """An unsealed block behind sealed ones, or one that names no predecessor, is named."""
    blocks = [*sealed(make_block(0, n) for n in range(3)), make_block(0, 3)]
    blocks += sealed(make_block(0, n) for n in range(4, 6))
    again = sealed([make_block(0, 6)])
    assert proof_of(make_store([*blocks, *again])).problems == [
        "block payments.logs/0/30-39 has no digest, and the one before it has",
        "block payments.logs/0/60-69 names no predecessor: the chain begins anew",
    ]


def test_repeats_of_at_least_once_are_told_apart(make_store: MakeStore) -> None:
    """A batch that was written, not committed and decided again, with other borders: its successor
    names the block that counts, and nothing is wrong."""
    first = sealed([make_block(0, 0)])[0]
    lost = with_header(make_block(0, 1), delivery="at_least_once")
    following = [make_block(0, n) for n in range(1, 4)]
    kept = sealed([make_block(0, 0), *following])
    void = sealed([make_block(0, 0), lost])[1]
    assert void.header.previous_digest == first.header.digest
    proof = proof_of(make_store([kept[0], void, *kept[1:]]))
    assert (proof.overtaken, proof.problems) == (1, [])
