"""Events for a trial: the lines of a file, and which offsets of a topic."""

import gzip
import io
from pathlib import Path
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream_filter.app import line_file
from stream_filter.app.trial_events import file_batches, last_offsets
from stream_filter.core.errors import ConfigError
from stream_filter.gate.batch import RecordBatch

CONTENT = b"one\r\n\n  \ntwo \n\xff\x00three"


def read(path: Path, batch_records: int = 100) -> list[RecordBatch]:
    """All batches of a file."""
    return list(file_batches(path, "t", batch_records=batch_records))


@pytest.mark.parametrize("packed", [False, True])
def test_lines_are_records(tmp_path: Path, packed: bool) -> None:
    """Each line that is not blank is a value; its offset is its line less one; gzip is unpacked,
    whatever the file is called."""
    path = tmp_path / "events"
    path.write_bytes(gzip.compress(CONTENT) if packed else CONTENT)
    (batch,) = read(path)
    assert (batch.topic, batch.partition, batch.first_offset, batch.next_offset) == ("t", 0, 0, 5)
    assert [(r.offset, r.value) for r in batch.records] == [
        (0, b"one"),
        (3, b"two "),
        (4, b"\xff\x00three"),
    ]


@pytest.mark.parametrize("packed", [False, True])
def test_stdin(monkeypatch: pytest.MonkeyPatch, packed: bool) -> None:
    """`-` is standard input, packed or not."""
    raw = io.BytesIO(gzip.compress(CONTENT) if packed else CONTENT)
    monkeypatch.setattr("sys.stdin", SimpleNamespace(buffer=io.BufferedReader(raw)))
    (batch,) = read(Path("-"))
    assert [r.offset for r in batch.records] == [0, 3, 4]


def test_batches_are_bounded(tmp_path: Path) -> None:
    """No batch is longer than asked, none is empty, and together they hold every line in order."""
    path = tmp_path / "events"
    path.write_bytes(b"x\n" * 10)
    batches = read(path, 4)
    assert [len(batch.records) for batch in batches] == [4, 4, 2]
    assert [r.offset for batch in batches for r in batch.records] == list(range(10))
    assert read(path, 5)[-1].next_offset == 10
    path.write_bytes(b"\n\n")
    assert read(path) == []


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (gzip.compress(b"x\n" * 1000)[:-9], "damaged gzip: Compressed file ended"),
        (gzip.compress(b"x\n" * 1000)[:20] + b"\x00" * 90, "damaged gzip: "),
        (b"\x1f\x8bnothing of the kind", "damaged gzip: "),
        (b"short\n" + b"x" * 101, ":2: a line of more than 100 bytes"),
    ],
    ids=["cut", "broken", "no gzip", "long line"],
)
def test_hostile_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: bytes, said: str
) -> None:
    """A damaged file is one line with its name and what is wrong."""
    monkeypatch.setattr(line_file, "_MAX_LINE_BYTES", 100)
    path = tmp_path / "events"
    path.write_bytes(content)
    with pytest.raises(ConfigError) as refused:
        read(path)
    (problem,) = refused.value.problems
    assert problem.startswith(f"{path}:")
    assert said in problem


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    """A file that is not there, or is a folder, is named."""
    for path in (tmp_path / "nowhere", tmp_path):
        with pytest.raises(ConfigError, match=f"{path}: cannot be read: "):
            read(path)


bounds = st.dictionaries(
    st.integers(0, 20),
    st.tuples(st.integers(0, 1000), st.integers(0, 1000)).map(lambda b: (b[0], b[0] + b[1])),
    min_size=1,
    max_size=8,
)


@given(bounds=bounds, last=st.integers(1, 5000))
def test_last_offsets(bounds: dict[int, tuple[int, int]], last: int) -> None:
    """The ranges end at the ends, hold as many offsets as asked or all that there are, and a
    partition gives less than another one only if it has no more, or for the odd one."""
    ranges = last_offsets(bounds, last)
    sizes = {p: end - first for p, (first, end) in ranges.items()}
    available = {p: end - first for p, (first, end) in bounds.items()}
    assert ranges.keys() == bounds.keys()
    assert all(ranges[p][1] == end for p, (_, end) in bounds.items())
    assert all(0 <= sizes[p] <= available[p] for p in bounds)
    assert sum(sizes.values()) == min(last, sum(available.values()))
    most = max(sizes.values())
    assert all(sizes[p] >= most - 1 or sizes[p] == available[p] for p in bounds)
