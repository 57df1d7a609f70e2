"""Canonical texts of a batch: join the fields, mask the column, keep the distinct texts."""

import json
from collections.abc import Sequence
from itertools import repeat
from typing import Any, Protocol

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.compute as pc
from cachebox import LRUCache
from numpy.typing import NDArray

from stream_filter.core.canonical import COLLAPSE, TEXT_LIMIT_CHARS, TYPED, clipped
from stream_filter.core.plain_text import CONTROLS, plain
from stream_filter.core.policy import Format, TopicPolicy
from stream_filter.core.template import TextTemplate
from stream_filter.formats.columns import ColumnBuilder
from stream_filter.formats.decoder import Decoder
from stream_filter.formats.json_decoder import JsonDecoder
from stream_filter.formats.line_decoder import LineDecoder
from stream_filter.gate.ports import FieldRead, Texts

_REMEMBERED_TEXTS = 20_000
_REMEMBERED_BYTES = 1_000
"""Texts kept by a reader and the longest of them: 40 MB at the worst, 8 of log lines."""
_CHUNK = 2_000
"""Values decoded at a time: few enough that their texts are still in the processor's cache."""
_DIGITS_TO_0 = bytes.maketrans(b"0123456789", b"0000000000")


def text_reader(policy: TopicPolicy, reads: Sequence[FieldRead] = ()) -> "ColumnTextReader":
    """The reader of a topic's format and text template, and of the fields that its rules read."""
    if policy.format is Format.TEXT:
        return ColumnTextReader(LineDecoder(), template=None, rule_columns=[0 for _ in reads])
    assert policy.text is not None, "the policy file refuses JSON without a text template"
    read = [each.path for each in reads if not each.as_object]
    objects = [each.path for each in reads if each.as_object]
    paths = list(dict.fromkeys([*policy.text.fields, *read]))
    return ColumnTextReader(
        JsonDecoder(paths, objects=objects),
        template=policy.text,
        text_columns=[paths.index(path) for path in policy.text.fields],
        rule_columns=[
            len(paths) + objects.index(each.path) if each.as_object else paths.index(each.path)
            for each in reads
        ],
    )


class ColumnTextReader:
    """The `TextReader` port, a column at a time: text by text equal to `core.canonical`.

    Few calls that each take the whole batch, and none that gives up the interpreter's lock in
    between: another thread could keep it for milliseconds.
    """

    def __init__(
        self,
        decoder: Decoder,
        *,
        template: TextTemplate | None,
        text_columns: Sequence[int] | None = None,
        rule_columns: Sequence[int] = (),
    ) -> None:
        """`text_columns`, `rule_columns`: which of the decoder's columns the template joins (None:
        the first ones, in order), and which the rules read."""
        self._decoder = decoder
        self._rule_columns = tuple(rule_columns)
        self._remembered: LRUCache[bytes, str] = LRUCache(_REMEMBERED_TEXTS)
        self._literals = template.literals if template else ("", "")
        first = range(len(self._literals) - 1)
        self._text_columns = tuple(first if text_columns is None else text_columns)

    def read(self, values: Sequence[bytes | None]) -> Texts:
        at = [index for index, value in enumerate(values) if value is not None]
        keys: list[bytes] = []
        causes: dict[int, str] = {}
        cut: list[int] = []
        builders = [ColumnBuilder() for _ in self._rule_columns]
        for start in range(0, len(at), _CHUNK):
            chunk = at[start : start + _CHUNK]
            decoded = self._decoder.decode([values[index] for index in chunk])  # type: ignore[misc]  # not None
            texts = self._join([decoded.columns[index] for index in self._text_columns])
            if max(map(len, texts), default=0) > TEXT_LIMIT_CHARS:
                cut += [
                    index
                    for index, text in zip(chunk, texts, strict=True)
                    if len(text) > TEXT_LIMIT_CHARS
                ]
            keys += with_equal_digits(texts)
            for builder, index in zip(builders, self._rule_columns, strict=True):
                builder.add(decoded.columns[index])
            causes |= {chunk[index]: cause for index, cause in decoded.causes.items()}
        distinct, read, lengthened = canonical_texts(keys, self._remembered)
        codes = np.full(len(values), -1, np.int32)
        codes[at] = read
        codes[list(causes)] = -1
        cut += [at[place] for place in lengthened]
        is_cut = np.zeros(len(values), np.bool_)
        is_cut[cut] = True
        columns = [builder.column(at, len(values)) for builder in builders]
        return Texts(
            distinct=distinct,
            codes=codes,
            causes=causes,
            is_cut=is_cut if cut else None,
            columns=columns,
        )

    def _join(self, columns: Sequence[list[Any]]) -> list[str]:
        try:
            return self._joined(columns)
        except TypeError:  # not all are strings
            return self._joined([list(map(field_text, column)) for column in columns])

    def _joined(self, columns: Sequence[list[Any]]) -> list[str]:
        pieces: list[Any] = [repeat(self._literals[0])]
        for column, literal in zip(columns, self._literals[1:], strict=True):
            pieces += [column, repeat(literal)]
        return list(map("".join, zip(*pieces, strict=False)))


class Remembered(Protocol):
    """A bounded mapping to canonical texts, from texts whose digits are all 0."""

    def get(self, key: bytes, /) -> str | None: ...
    def __setitem__(self, key: bytes, value: str, /) -> None: ...


def with_equal_digits(texts: Sequence[str]) -> list[bytes]:
    """The texts, clipped, in UTF-8, every digit made 0.

    A mask set sees digits only as runs (`COLLAPSE`), so all of them may be made equal first: one
    pass over the batch's bytes, after which most variants of a line are the same.
    """
    if max(map(len, texts), default=0) > TEXT_LIMIT_CHARS:
        texts = list(map(clipped, texts))
    try:
        keys = "\0".join(texts).encode().translate(_DIGITS_TO_0).split(b"\0")
        if len(keys) == len(texts):
            return keys
    except UnicodeEncodeError:
        pass  # a lone surrogate (an escape like \ud800) has no UTF-8 form
    return [text.encode("utf-8", "replace").translate(_DIGITS_TO_0) for text in texts]


def canonical_texts(
    keys: Sequence[bytes], remembered: Remembered
) -> tuple[list[str], NDArray[np.int32], list[int]]:
    """The distinct canonical texts of n texts `with_equal_digits`, and for each text its index in
    them, shape (n,); -1 where nothing is left to read. And which texts were cut because their plain
    form is beyond the limit: they are not said to be if they were clipped before.

    `remembered` is read and filled: a stream that repeats runs the masks once a text, not once a
    batch.
    """
    by_key: dict[bytes, str | None] = dict.fromkeys(keys)
    for key in by_key:
        by_key[key] = remembered.get(key)
    missing = [key for key, text in by_key.items() if text is None]
    plain_texts = list(map(_plain, missing))
    cut: set[bytes] = set()
    if max(map(len, plain_texts), default=0) > TEXT_LIMIT_CHARS:
        cut = {
            key
            for key, text in zip(missing, plain_texts, strict=True)
            if len(text) > TEXT_LIMIT_CHARS
        }
        plain_texts = list(map(clipped, plain_texts))
    for key, text in zip(missing, _masked(plain_texts), strict=True):
        by_key[key] = text
        if len(key) <= _REMEMBERED_BYTES and len(text) <= _REMEMBERED_BYTES and key not in cut:
            remembered[key] = text
    # Texts that differed before the masks may be equal after them.
    distinct = dict.fromkeys(text for text in by_key.values() if text)
    code_of = dict(zip(distinct, range(len(distinct)), strict=True))
    codes = {key: code_of.get(text or "", -1) for key, text in by_key.items()}
    at = np.fromiter(map(codes.__getitem__, keys), np.int32, len(keys))
    return list(code_of), at, [at for at, key in enumerate(keys) if key in cut] if cut else []


def _masked(texts: Sequence[str]) -> list[str]:
    if not texts:
        return []
    column = pa.array(texts, pa.string())
    for mask in (COLLAPSE, *TYPED):
        column = pc.replace_substring_regex(
            column, pattern=mask.pattern, replacement=mask.replacement
        )
    trimmed: list[str] = pc.utf8_trim(column, characters=" ").to_pylist()
    return trimmed


def _plain(text: bytes) -> str:
    if text.isascii():  # as nearly all are: no more to undo than controls
        return text.translate(None, CONTROLS).decode()
    return plain(text.decode())


def field_text(value: object) -> str:
    """A field's text: strings as they are, nothing for null, everything else as compact JSON;
    nothing for what nests so deeply that it cannot be written again."""
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    try:
        return orjson.dumps(value).decode()
    except orjson.JSONEncodeError:
        pass
    try:
        return json.dumps(value, separators=(",", ":"), ensure_ascii=False)
    except (RecursionError, ValueError):  # ValueError: more digits than Python writes
        return ""
