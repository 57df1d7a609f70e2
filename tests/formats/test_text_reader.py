"""From values to canonical texts: the column engine equals the reference, text by text."""

from collections.abc import Sequence

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stream_filter.core.canonical import TEXT_LIMIT_CHARS, canonicalize, is_cut
from stream_filter.core.template import parse_template
from stream_filter.formats.json_decoder import JsonDecoder
from stream_filter.formats.line_decoder import LineDecoder
from stream_filter.formats.text_reader import ColumnTextReader, canonical_texts, with_equal_digits

ANY_TEXT = st.text(st.characters(exclude_categories=["Cs"]))
PIECES = st.sampled_from(
    [
        *(
            "0",
            "7",
            "42",
            "a",
            "f",
            "x",
            "F",
            "G",
            "-",
            ":",
            ".",
            ",",
            "/",
            "@",
            "_",
            "+",
            "=",
            "'",
        ),
        *('"', "?", "#", "://", "[", "]", "T", "Z", "UTC", "GMT", "Jan", "Dec", "Mon", "0x", "<"),
        *(">", "%", "é", "ß", "\u0660", "\u2028", "\x00", "\x1f", "\xa0", "\ufeff", "\U0001f600"),
        *("а", "ѕ", "Ж", "Ω", "\u200b", "\u0301", "ﷺ", "１", "²", "\x7f", "\x08", "が", "한"),
        *("deadbeef", "abcdefghijklmnopqrstuvwxyz", "::"),
        *(" ", "\t", "\n", "\r", "\v", "\f", "\x1c", "\x85"),
    ]
)
LOG_LIKE = st.lists(PIECES, max_size=40).map("".join)


def column_texts(texts: Sequence[str]) -> list[str]:
    distinct, codes, _ = canonical_texts(with_equal_digits(texts), {})
    return [distinct[code] if code >= 0 else "" for code in codes]


@settings(max_examples=300, deadline=None)
@given(st.lists(LOG_LIKE | ANY_TEXT, min_size=1, max_size=6))
def test_column_equals_reference(texts: list[str]) -> None:
    """The masks on a column give what the reference gives, whatever the texts."""
    assert column_texts(texts) == [canonicalize(text) for text in texts]


@pytest.mark.parametrize(
    "unit",
    ["a.", "0-", "a@", "a0", "0:", "f:", "://?", "a@a.", "'x", '"', "0.0.", "[0:", "Jan ", "é1 "],
)  # fmt: skip
def test_long_hostile_texts(unit: str) -> None:
    """Long repetitions, too, read as the reference reads them, cut at the same character."""
    text = unit * (TEXT_LIMIT_CHARS // len(unit) + 50)
    assert column_texts([text, "short"]) == [canonicalize(text), "short"]


@given(st.lists(LOG_LIKE, max_size=8))
def test_distinct_texts(texts: list[str]) -> None:
    """Each canonical text stands once among the distinct ones."""
    distinct, _, _ = canonical_texts(with_equal_digits(texts), {})
    assert len(set(distinct)) == len(distinct)


@settings(max_examples=200, deadline=None)
@given(st.lists(LOG_LIKE, max_size=5), st.lists(LOG_LIKE, max_size=5))
def test_memory_changes_nothing(first: list[str], second: list[str]) -> None:
    """Texts read the same whether the masks run or their result is remembered."""
    remembered: dict[bytes, str] = {}
    canonical_texts(with_equal_digits(first), remembered)
    texts = second + first
    distinct, codes, _ = canonical_texts(with_equal_digits(texts), remembered)
    assert [distinct[c] if c >= 0 else "" for c in codes] == [canonicalize(t) for t in texts]


def json_reader(template: str) -> ColumnTextReader:
    parsed = parse_template(template)
    return ColumnTextReader(JsonDecoder(parsed.fields), template=parsed)


def read(reader: ColumnTextReader, values: Sequence[bytes | None]) -> list[str | None]:
    """The text of each value; None where there is none to read."""
    texts = reader.read(values)
    assert len(texts.codes) == len(values)
    return [texts.distinct[code] if code >= 0 else None for code in texts.codes.tolist()]


def test_template() -> None:
    """Fields are joined as the template says; a missing field leaves its literals."""
    reader = json_reader("{level} [{service}] {{{n}}}")
    values = [b'{"level":"WARN","service":"pay","n":7}', b'{"level":"WARN"}']
    assert read(reader, values) == ["WARN [pay] {0}", "WARN [] {}"]


def test_single_field() -> None:
    """A template of one field reads that field alone."""
    assert read(json_reader("{m}"), [b'{"m":"took 15 ms"}', b"{}"]) == ["took 0 ms", None]


def test_tombstones_keep_their_place() -> None:
    """A null value has no text, no cause, and shifts neither texts nor causes."""
    reader = json_reader("{m}")
    values = [None, b'{"m":"a"}', None, b"{", None, b'{"m":"b"}', None]
    assert read(reader, values) == [None, "a", None, None, None, "b", None]
    assert list(reader.read(values).causes) == [3]


def test_only_tombstones() -> None:
    """A batch of nothing but tombstones reads as nothing, in both formats."""
    for reader in (json_reader("{m}"), ColumnTextReader(LineDecoder(), template=None)):
        assert read(reader, [None, None]) == [None, None]
        assert reader.read([None, None]).causes == {}


def test_empty_text_is_unreadable() -> None:
    """A record whose canonical text is empty has nothing to read, and is not undecodable."""
    reader = json_reader("{m}")
    values = [b'{"m":""}', b'{"m":"  "}', b'{"m":null}', b'{"m":"a"}']
    assert read(reader, values) == [None, None, None, "a"]
    assert reader.read(values).causes == {}
    assert read(ColumnTextReader(LineDecoder(), template=None), [b"", b" ", b"a"]) == [
        None,
        None,
        "a",
    ]


def test_long_fields_are_cut() -> None:
    """Ten megabytes in one field leave a text within the limit, with what stands before it."""
    big = b'{"a":"start","b":"' + b"x" * 10_000_000 + b'"}'
    (text,) = read(json_reader("{a} {b}"), [big])
    assert text.startswith("start xxx")
    assert len(text) == TEXT_LIMIT_CHARS


HIDDEN = "x" * 1_600 + " disk failed " + "y" * 1_600
LENGTHENED = "\ufdfa" * 200
"""600 bytes; its compatibility form has 3,600 characters."""


def test_it_is_said_what_was_cut() -> None:
    """Where not all of a text was read, the reader says so, for each value alone: also where only
    its plain form is too long, whether it was read before or not, however short it is masked."""
    texts = ["short", HIDDEN, "x" * TEXT_LIMIT_CHARS, LENGTHENED, "1" * 3_000, "é" * 2_000]
    texts += ["\ufdfa1" * 180, " " * 3_000, *texts]
    values: list[bytes | None] = [None, b"{", *(orjson.dumps({"m": text}) for text in texts)]
    reader = json_reader("{m}")
    expected = [False, False, *map(is_cut, texts)]
    assert sum(expected) == 8
    for _ in range(2):
        found = reader.read(values).is_cut
        assert found is not None
        assert found.tolist() == expected
    for value, cut in zip(values, expected, strict=True):
        alone = reader.read([value]).is_cut
        assert (alone is not None) == cut


VALUES = st.one_of(
    st.none(),
    st.binary(max_size=12),
    LOG_LIKE.map(lambda text: text.encode()),
    st.sampled_from([b'{"m":"x 1"}', b'{"m":"x 2"}', b'{"m":3}', b"{}", b"[]", b"{", b'{"m":" "}']),
)


@settings(max_examples=100, deadline=None)
@given(st.lists(VALUES, max_size=8), st.data())
def test_values_do_not_matter_to_each_other(
    values: list[bytes | None], data: st.DataObject
) -> None:
    """What a value reads as depends on that value alone, in both formats."""
    cut = data.draw(st.integers(0, len(values)))
    for reader in (json_reader("<{m}>"), ColumnTextReader(LineDecoder(), template=None)):
        whole = read(reader, values)
        assert whole == read(reader, values[:cut]) + read(reader, values[cut:])
        assert whole == [read(reader, [value])[0] for value in values]
