"""The store beside the ledger topic: what the chain alone cannot show."""

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import orjson

from stream_filter.core.chain import ChainEnd
from stream_filter.core.ledger import Block
from stream_filter.store.arrow_block import ArrowLedgerCodec
from stream_filter.store.block_facts import facts_of
from stream_filter.store.decision_file import DecisionFile, encode_file, stored
from stream_filter.store.folder import Folder
from stream_filter.store.stretches import Stretch, that_count
from tests.audit.conftest import make_block, sealed


def on_day(day: int, block: Block) -> Block:
    """A block of a file of its own: a day has one when it is over."""
    at_ms = block.header.decided_at_ms + day * 24 * 60 * 60 * 1000
    return replace(block, header=replace(block.header, decided_at_ms=at_ms))


def compared(gate: Any, store: Path) -> tuple[bool, list[str]]:
    """What `audit verify` says of store and topic, and all problems that it names."""
    asked = ("audit", "verify", "--store", store, "--no-conservation", "--json")
    done = gate.invoke(*asked)
    found = orjson.loads(done.stdout)
    assert done.exit_code == (0 if found["ok"] else 1)
    assert found["topic_has"]["blocks"] > 0
    problems = [*found["topic_has"]["problems"], *found["chain"]["problems"]]
    assert found["ok"] == (not problems)
    return found["topic_has"]["ok"], problems


async def test_a_store_is_what_the_topic_has(gate: Any, tmp_path: Path) -> None:
    """A file removed at the end, a block written anew with a digest of its own, one that was never
    in the topic and one that stands twice are named; an untouched store holds."""
    gate.settings_lines += [
        f"verdict_topic: {gate.topic('verdicts')}",
        f"certificate_topic: {gate.topic('certificates')}",
    ]
    gate.prepare({"logs": {"text": "{message}"}})
    store, good = tmp_path / "store", tmp_path / "good"
    blocks = sealed(on_day(n // 3, make_block(0, n)) for n in range(6))
    values = [ArrowLedgerCodec().encode(block) for block in blocks]
    # The third record is none: its place is free for a forger.
    await gate.send("ledger", *({"value": value} for value in [*values[:2], b"x", values[2]]))
    assert gate.invoke("archive", "--store", store).exit_code == 0
    await gate.send("ledger", *({"value": value} for value in values[3:]))
    assert compared(gate, store) == (True, []), "what is newer than the store counts too"
    assert gate.invoke("archive", "--store", store).exit_code == 0
    assert compared(gate, store) == (True, [])
    shutil.copytree(store, good)
    folder = Folder(str(store))
    first, last = sorted(s for s in that_count(folder.files("decisions"))[0])

    (store / last.name).unlink()
    holds, problems = compared(gate, store)
    assert not holds
    for block in blocks[3:]:
        assert any(f"block {block.header.block_id} is missing in" in p for p in problems), problems

    shutil.copytree(good, store, dirs_exist_ok=True)
    changed = blocks[-1].decisions.probability.copy()
    changed[5] = 1.0
    forged = replace(blocks[-1], decisions=replace(blocks[-1].decisions, probability=changed))
    end = ChainEnd()
    for block in blocks[:-1]:
        end.add(block)
    forged = end.add(forged)
    rows = list(DecisionFile(folder.filesystem, folder.path(last.name)).rows())
    facts = rows[-1].facts
    rows[-1] = stored(forged, facts_of(forged, place=facts.place, block_bytes=facts.block_bytes))
    (store / last.name).write_bytes(encode_file(rows))
    _, problems = compared(gate, store)
    name = forged.header.block_id
    assert any(f"block {name} of the ledger topic is another one in" in p for p in problems)

    shutil.copytree(good, store, dirs_exist_ok=True)
    strange = sealed([replace(b, header=replace(b.header, partition=7)) for b in blocks[:1]])[0]
    for place, named in ((2, "is not in the ledger topic"), (0, "stands twice in the store")):
        stretch = Stretch(
            kind="decisions",
            topic=first.topic,
            day=first.day,
            partition=0,
            first=1000,
            next=1001,
        )
        facts = facts_of(strange, place=(0, place), block_bytes=100)
        path = store / stretch.name
        path.write_bytes(encode_file([stored(strange, facts)]))
        _, problems = compared(gate, store)
        assert any(named in problem for problem in problems), problems
