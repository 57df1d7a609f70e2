"""Fetched bytes become records: none is lost, none comes twice."""

import struct

import pytest
from aiokafka import TopicPartition
from aiokafka.errors import CorruptRecordException
from aiokafka.record.default_records import DefaultRecordBatchBuilder

from stream_filter.kafka.fetched_records import StoredRecords, TolerantRecords, as_stored

CODECS = [0, 1, 2, 3, 4]


def batch(names: list[str], compression: int) -> bytes:
    builder = DefaultRecordBatchBuilder(2, compression, False, -1, -1, -1, 1 << 20)
    for offset, name in enumerate(names):
        builder.append(offset, 1000 + offset, b"k", b"v%d" % offset, [(name, b"x"), ("b", None)])
    return bytes(builder.build())


def at(data: bytes, base_offset: int) -> bytes:
    """A batch as the broker stores it: its base offset is the broker's to set."""
    return struct.pack(">q", base_offset) + data[8:]


def test_an_odd_header_name_reads_as_replacement_characters() -> None:
    """Its own record and its neighbours come through, keys and values as they were."""
    data = batch(["fine", "odd!", "also"], 0).replace(b"odd!", b"\xff\xfe!!")
    records = TolerantRecords(batch(["first"], 0) + data)
    read = []
    while records.has_next():
        read += [(r.offset, r.key, r.value, list(r.headers)) for r in records.next_batch()]
    by_offset = {offset: (key, value, headers) for offset, key, value, headers in read[1:]}
    assert read[0][3] == [("first", b"x"), ("b", None)]
    assert by_offset[0] == (b"k", b"v0", [("fine", b"x"), ("b", None)])
    assert by_offset[1] == (b"k", b"v1", [("\ufffd\ufffd!!", b"x"), ("b", None)])
    assert by_offset[2] == (b"k", b"v2", [("also", b"x"), ("b", None)])


@pytest.mark.parametrize("compression", CODECS)
def test_ordinary_batches_read_as_before(compression: int) -> None:
    """Every codec's batches come through unchanged, with the batch's own attributes."""
    records = TolerantRecords(batch(["a", "é"], compression) * 2)
    assert records.has_next()
    while records.has_next():
        one = records.next_batch()
        assert one.next_offset == 2
        assert not one.is_control_batch
        assert one.validate_crc()
        assert [r.value for r in one] == [b"v0", b"v1"]
    assert records.next_batch() is None


def stored(data: bytes, fetch_offset: int = 0, *, check_crcs: bool = True) -> StoredRecords:
    records = TolerantRecords(data)
    return StoredRecords(
        TopicPartition("t", 0), records, [], fetch_offset, as_stored, None, check_crcs, 0
    )


@pytest.mark.parametrize("compression", CODECS)
def test_stored_records_are_taken_in_any_portions(compression: int) -> None:
    """Whatever is taken at once, each record comes once, in order, and the position names the
    next one."""
    data = batch(["a", "b", "c"], compression) + at(batch(["d", "e"], compression), 7)
    whole = [0, 1, 2, 7, 8]
    for portion in (1, 2, 3, 4, 5, 9, None):
        records, seen = stored(data), []
        while not records.is_exhausted:
            taken = records.take(portion)
            assert portion is None or len(taken) <= portion
            seen += [record.offset for record in taken]
            rest = whole[len(seen) :]
            # Behind the last record of a batch follows an offset, whether or not it is there.
            assert records.next_fetch_offset in {*rest[:1], whole[len(seen) - 1] + 1}
        assert seen == whole
        assert records.next_fetch_offset == 9


def test_a_fetch_may_begin_inside_a_batch() -> None:
    """A broker sends whole batches: what lies before the wanted offset is passed over."""
    assert [record.offset for record in stored(batch(["a", "b", "c"], 0), 2).take(10)] == [2]
    assert stored(batch(["a", "b", "c"], 0), 3).take(10) == []


def test_a_damaged_batch_is_an_error_at_its_place() -> None:
    """What stands before it can be taken; then its checksum is an error, and nothing is passed
    over."""
    damaged = bytearray(at(batch(["x", "y"], 0), 3))
    damaged[-1] ^= 1
    records = stored(batch(["a", "b", "c"], 0) + bytes(damaged))
    assert len(records.take(3)) == 3
    with pytest.raises(CorruptRecordException):
        records.take(3)
    assert records.next_fetch_offset == 3


def test_a_stored_record_has_what_a_gate_reads() -> None:
    """Offset, timestamp, key, value and headers, an odd header name included."""
    data = batch(["odd!"], 0).replace(b"odd!", b"\xff\xfe!!")
    (record,) = stored(data, check_crcs=False).take(10)
    assert (record.offset, record.timestamp, record.key, record.value) == (0, 1000, b"k", b"v0")
    assert list(record.headers) == [("\ufffd\ufffd!!", b"x"), ("b", None)]
