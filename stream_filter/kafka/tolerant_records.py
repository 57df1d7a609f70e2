"""Record batches whose header names need not be UTF-8.

Kafka stores header names as bytes, and not every client checks them. aiokafka decodes them while
it iterates over a fetched batch, so that one odd name would hold back its partition for ever. Here
such a batch is read once more, with U+FFFD in place of what cannot be decoded.
"""

import struct
from collections.abc import Iterator
from typing import Any

import msgspec
from aiokafka.consumer import fetcher
from aiokafka.record.default_records import _DefaultRecordBatchPy
from aiokafka.record.memory_records import MemoryRecords

_LENGTH_AT, _OVERHEAD, _MAGIC_AT = 8, 12, 16


def tolerate_header_names() -> None:
    """Make aiokafka's consumers of this process read batches this way. The fetcher has no hook for
    it: its name for the class is replaced."""
    fetcher.MemoryRecords = TolerantRecords
    fetcher.ConsumerRecord = FetchedRecord


class FetchedRecord(msgspec.Struct, gc=False):
    """aiokafka's `ConsumerRecord`, made without Python code and unknown to the collector."""

    topic: str
    partition: int
    offset: int
    timestamp: int
    timestamp_type: int
    key: bytes | None
    value: bytes | None
    checksum: int | None
    serialized_key_size: int
    serialized_value_size: int
    headers: tuple[tuple[str, bytes | None], ...]


class TolerantRecords:
    """aiokafka's `MemoryRecords` whose batches survive odd header names."""

    def __init__(self, data: bytes) -> None:
        self._records = MemoryRecords(data)
        self._data = memoryview(data)
        self._at = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._records, name)

    def next_batch(self) -> Any:
        batch = self._records.next_batch()
        if batch is None:
            return None
        (length,) = struct.unpack_from(">i", self._data, self._at + _LENGTH_AT)
        raw = self._data[self._at : self._at + _OVERHEAD + length]
        self._at += len(raw)
        # Formats before version 2 have no headers.
        return _TolerantBatch(batch, raw) if raw[_MAGIC_AT] >= 2 else batch


class _TolerantBatch:
    def __init__(self, batch: Any, raw: memoryview) -> None:
        self._batch = batch
        self._raw = raw

    def __getattr__(self, name: str) -> Any:
        return getattr(self._batch, name)

    def __next__(self) -> Any:
        return next(self._batch)

    def __iter__(self) -> Iterator[Any]:
        try:
            yield from self._batch
        except UnicodeDecodeError:
            # From the batch's beginning: the fetcher passes over what it has had.
            yield from _ReplacingBatch(self._raw)


class _ReplacingBatch(_DefaultRecordBatchPy):  # type: ignore[misc]  # aiokafka has no types
    """aiokafka's pure Python batch, over a buffer whose slices decode with replacement."""

    _buffer: bytearray

    def __iter__(self) -> "Iterator[Any]":
        super().__iter__()
        self._buffer = _Buffer(self._buffer)
        return self


class _Slice(bytearray):
    def decode(self, encoding: str = "utf-8", errors: str = "strict") -> str:
        return super().decode(encoding, "replace")


class _Buffer(bytearray):
    def __getitem__(self, key: Any) -> Any:
        found = super().__getitem__(key)
        return _Slice(found) if isinstance(key, slice) else found
