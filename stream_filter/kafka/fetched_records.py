"""How fetched bytes become records: aiokafka's way, but for two things.

Header names need not be UTF-8. Kafka stores them as bytes, and not every client checks them.
aiokafka decodes them while it iterates over a fetched batch, so that one odd name would hold back
its partition for ever. Here such a batch is read once more, with U+FFFD in place of what cannot
be decoded.

A consumer that asks for it gets records as they are stored, a run at a time. aiokafka makes a
`ConsumerRecord` of each, in Python: that alone costs as much as reading the record's text.
"""

import struct
from collections.abc import Iterator
from typing import Any

from aiokafka.consumer import fetcher
from aiokafka.record.default_records import _DefaultRecordBatchPy
from aiokafka.record.memory_records import MemoryRecords

_LENGTH_AT, _OVERHEAD, _MAGIC_AT = 8, 12, 16


def install_record_reading() -> None:
    """Make aiokafka's consumers of this process read this way. The fetcher has no hook for it:
    its names for the classes are replaced."""
    fetcher.MemoryRecords = TolerantRecords
    fetcher.PartitionRecords = _partition_records
    fetcher.FetchResult = _FetchResult


class TolerantRecords:
    """aiokafka's `MemoryRecords` whose batches survive odd header names."""

    def __init__(self, data: bytes) -> None:
        self._records = MemoryRecords(data)
        self._data = memoryview(data)
        self._at = 0
        self.batch_type = _Batch

    def __getattr__(self, name: str) -> Any:
        return getattr(self._records, name)

    def next_batch(self) -> "_Batch | None":
        batch = self._records.next_batch()
        if batch is None:
            return None
        (length,) = struct.unpack_from(">i", self._data, self._at + _LENGTH_AT)
        raw = self._data[self._at : self._at + _OVERHEAD + length]
        self._at += len(raw)
        return self.batch_type(batch, raw)


class _Batch:
    def __init__(self, batch: Any, raw: memoryview) -> None:
        self._batch = batch
        self._raw = raw

    def __getattr__(self, name: str) -> Any:
        return getattr(self._batch, name)

    def __next__(self) -> Any:
        return next(self._batch)

    def __iter__(self) -> Iterator[Any]:
        return iter(self.records())

    def records(self) -> list[Any]:
        try:
            return list(self._batch)
        except UnicodeDecodeError:  # formats before version 2 have no headers
            return list(_ReplacingBatch(self._raw))


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


def as_stored(key: bytes | None) -> bytes | None:
    """Given to a consumer as its `key_deserializer`, it makes `getmany` return records as they
    are stored: offset, timestamp, key, value and headers, without topic and partition."""
    return key


_StockPartitionRecords = fetcher.PartitionRecords


def _partition_records(*args: Any) -> Any:
    is_asked = as_stored in args
    return (StoredRecords if is_asked else _StockPartitionRecords)(*args)


class _Run:
    """A batch's records, under the offset of the last: what stands for a record in aiokafka's
    loop over a fetch, which knows about aborted transactions and control records."""

    def __init__(self, records: list[Any]) -> None:
        self.records = records
        self.offset = records[-1].offset


class _RunBatch(_Batch):
    """A batch that comes as one run."""

    def __iter__(self) -> Iterator[Any]:
        records = self.records()
        if records:
            yield _Run(records)


class StoredRecords(fetcher.PartitionRecords):  # type: ignore[misc]  # aiokafka has no types
    """One partition's part of a fetch, taken a run at a time."""

    next_fetch_offset: int

    def __init__(self, tp: Any, records: TolerantRecords, *rest: Any) -> None:
        super().__init__(tp, records, *rest)
        records.batch_type = _RunBatch
        self._waiting: list[Any] = []
        self._is_unpacked = False
        self._behind_waiting = self.next_fetch_offset

    @property
    def is_exhausted(self) -> bool:
        return self._is_unpacked and not self._waiting

    def _consumer_record(self, tp: Any, run: _Run) -> list[Any]:
        first_wanted = self.next_fetch_offset
        if run.records[0].offset >= first_wanted:
            return run.records
        return [record for record in run.records if record.offset >= first_wanted]

    def take(self, count: int | None) -> list[Any]:
        """The next records, at most `count`; `next_fetch_offset` is then what follows them."""
        found = self._waiting
        self.next_fetch_offset = self._behind_waiting
        while not self._is_unpacked and (count is None or len(found) < count):
            run = next(self, None)
            if run is None:
                self._is_unpacked = True
            else:
                found = found + run if found else run
        self._behind_waiting = self.next_fetch_offset
        count = len(found) if count is None else count
        taken, self._waiting = found[:count], found[count:]
        if self._waiting:
            self.next_fetch_offset = self._waiting[0].offset
        return taken


class _FetchResult(fetcher.FetchResult):  # type: ignore[misc]  # aiokafka has no types
    _partition_records: Any

    def getall(self, max_records: int | None = None) -> list[Any]:
        records = self._partition_records
        if not isinstance(records, StoredRecords):
            stock: list[Any] = super().getall(max_records)
            return stock
        if not self.check_assignment(self._topic_partition):
            return []
        taken = records.take(max_records)
        self._update_position()
        if records.is_exhausted:
            self._partition_records = None
        return taken
