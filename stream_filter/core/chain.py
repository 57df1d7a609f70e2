"""The chain of blocks: each carries the digest of its predecessor of the same partition and its
own, so that a block that was altered, removed or exchanged shows.

A digest is of what a block says, not of the bytes that say it: a block that was copied into another
format still proves itself. It holds against whoever cannot rewrite all blocks that follow.
"""

import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import fields, replace

import numpy as np
from numpy.typing import NDArray

from stream_filter.core.entry import Entry, check_entry
from stream_filter.core.ledger import Block, BlockHeader

_DIGEST_BYTES = 32


def seal(block: Block, *, previous_digest: str) -> Block:
    """The block with its predecessor's digest and its own."""
    header = replace(block.header, previous_digest=previous_digest, digest="")
    linked = replace(block, header=header)
    return replace(linked, header=replace(header, digest=block_digest(linked)))


def block_digest(block: Block) -> str:
    """64 hex digits: BLAKE2b-256 of header and rows, in a form that no format changes.

    The header as JSON with sorted keys, without `digest` and what has its default. Then columns,
    each its name, a zero byte and its values, little-endian: offset (int64), score (float32, one
    NaN), verdict, route, reason (codes, uint8), probability (float32), text_digest (uint64). Where
    any record has one: rule, slice (the names as JSON, sorted, and int16 indices into them, -1 for
    none). Where any text was cut: is_cut (uint8). With a challenger its pack's id, score, verdict
    and reason.
    """
    digest = hashlib.blake2b(_header(block.header), digest_size=_DIGEST_BYTES)

    def add(name: str, values: NDArray[np.generic], dtype: str) -> None:
        digest.update(name.encode() + b"\0")
        digest.update(np.ascontiguousarray(values, dtype).data)

    def add_score(name: str, score: NDArray[np.float32]) -> None:
        add(name, np.where(np.isnan(score), np.float32(np.nan), score), "<f4")

    decisions = block.decisions
    add("offset", block.offsets, "<i8")
    add_score("score", decisions.score)
    add("verdict", decisions.verdict, "u1")
    add("route", decisions.route, "u1")
    add("reason", decisions.reason, "u1")
    add("probability", decisions.probability, "<f4")
    add("text_digest", block.text_digests, "<u8")
    for name, codes, labels in (
        ("rule", decisions.rule, block.rule_labels),
        ("slice", block.slice, block.slice_labels),
    ):
        if codes is not None and (codes >= 0).any():
            names, indices = _by_name(codes, labels)
            digest.update(json.dumps(names).encode())
            add(name, indices, "<i2")
    if block.is_cut is not None and block.is_cut.any():
        add("is_cut", block.is_cut, "u1")
    challenge = block.challenge
    if challenge is not None:
        digest.update(challenge.model_id.encode())
        add_score("challenger_score", challenge.score)
        add("challenger_verdict", challenge.verdict, "u1")
        add("challenger_reason", challenge.reason, "u1")
    return digest.hexdigest()


def _header(header: BlockHeader) -> bytes:
    said = {
        field.name: value
        for field in fields(header)
        if field.name != "digest" and (value := getattr(header, field.name)) != field.default
    }
    return json.dumps(said, sort_keys=True, separators=(",", ":")).encode()


def _by_name(
    codes: NDArray[np.int16], labels: Sequence[str]
) -> tuple[list[str], NDArray[np.int16]]:
    """Names that occur, sorted, and each row's index into them."""
    used = np.unique(codes[codes >= 0]).tolist()
    names = sorted({labels[code] for code in used})
    to_name = np.full(len(labels) + 1, -1, np.int16)
    for code in used:
        to_name[code] = names.index(labels[code])
    return names, to_name[codes]


class ChainEnd:
    """The digest of a partition's last block. A part of the partition's memory, so it is what was
    committed: the next owner goes on from there."""

    kind = "chain"
    columns = ("next_offset",)

    def __init__(self) -> None:
        self._next_offset = -1
        self._digest = ""
        self._is_changed = False

    def __len__(self) -> int:
        return int(bool(self._digest))

    def add(self, block: Block) -> Block:
        """The partition's next block, sealed. Its predecessor is the one that ends where it begins;
        where none is known, it names none."""
        header = block.header
        follows = self._next_offset == header.first_offset
        sealed = seal(block, previous_digest=self._digest if follows else "")
        self._next_offset, self._digest = header.last_offset + 1, sealed.header.digest
        self._is_changed = True
        return sealed

    def changes(self) -> list[Entry]:
        was_changed, self._is_changed = self._is_changed, False
        return self.everything() if was_changed else []

    def everything(self) -> list[Entry]:
        return [Entry(0, 0, (self._next_offset,), self._digest)] if len(self) else []

    def apply(self, entries: Iterable[Entry]) -> None:
        for entry in entries:
            check_entry(entry, len(self.columns))
            self._next_offset = entry.numbers[0] if entry.numbers else -1
            self._digest = entry.text if entry.numbers else ""
