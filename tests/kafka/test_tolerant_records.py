"""A header name that is not UTF-8 costs no record."""

import pytest
from aiokafka.record.default_records import DefaultRecordBatchBuilder

from stream_filter.kafka.tolerant_records import TolerantRecords

CODECS = [0, 1, 2, 3, 4]


def batch(names: list[str], compression: int) -> bytes:
    builder = DefaultRecordBatchBuilder(2, compression, False, -1, -1, -1, 1 << 20)
    for offset, name in enumerate(names):
        builder.append(offset, 1000 + offset, b"k", b"v%d" % offset, [(name, b"x"), ("b", None)])
    return bytes(builder.build())


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
