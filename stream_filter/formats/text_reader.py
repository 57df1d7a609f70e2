"""Canonical texts of a batch: join the fields, mask the column, keep the distinct texts."""

from collections.abc import Sequence
from typing import Protocol

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from cachebox import LRUCache

from stream_filter.core.canonical import COLLAPSE, TEXT_LIMIT_CHARS, TYPED
from stream_filter.core.policy import Format, TopicPolicy
from stream_filter.core.template import TextTemplate
from stream_filter.formats.decoder import Decoder
from stream_filter.formats.json_decoder import JsonDecoder
from stream_filter.formats.line_decoder import LineDecoder
from stream_filter.gate.ports import Texts

_REMEMBERED_TEXTS = 10_000
_REMEMBERED_CHARS = 1_000
"""Canonical texts kept by a reader and the longest of them: 20 MB at the worst, 4 of log lines."""


def text_reader(rules: TopicPolicy) -> "ColumnTextReader":
    """The reader of a topic's format and text template."""
    if rules.format is Format.TEXT:
        return ColumnTextReader(LineDecoder(), template=None)
    assert rules.text is not None, "the policy file refuses JSON without a text template"
    return ColumnTextReader(JsonDecoder(rules.text.fields), template=rules.text)


class ColumnTextReader:
    """The `TextReader` port on Arrow columns: text by text equal to `core.canonical`."""

    def __init__(self, decoder: Decoder, *, template: TextTemplate | None) -> None:
        self._decoder = decoder
        self._remembered: LRUCache[str, str] = LRUCache(_REMEMBERED_TEXTS)
        self._literals = template.literals if template else ("", "")

    def read(self, values: Sequence[bytes | None]) -> Texts:
        present = [value for value in values if value is not None]
        decoded = self._decoder.decode(present)
        canonical = canonical_column(self._join(decoded.columns), remembered=self._remembered)
        codes = canonical.indices.to_numpy(zero_copy_only=False).astype(np.int32, copy=False)
        distinct = canonical.dictionary.to_pylist()
        causes = decoded.causes
        if len(present) < len(values):
            at = np.array([i for i, value in enumerate(values) if value is not None], np.int64)
            causes = {int(at[index]): cause for index, cause in causes.items()}
            spread = np.full(len(values), -1, np.int32)
            spread[at] = codes
            codes = spread
        if causes:
            codes = codes.copy()
            codes[list(causes)] = -1
        if "" in distinct:
            # There is nothing to read in it, and nothing for the model to score.
            empty = distinct.index("")
            del distinct[empty]
            codes = np.where(codes == empty, np.int32(-1), codes - (codes > empty))
        return Texts(distinct=distinct, codes=codes, causes=causes)

    def _join(self, columns: Sequence[pa.StringArray]) -> pa.StringArray:
        if len(columns) == 1 and self._literals == ("", ""):
            return pc.fill_null(columns[0], "")
        pieces: list[pa.StringArray | pa.StringScalar] = [pa.scalar(self._literals[0])]
        for column, literal in zip(columns, self._literals[1:], strict=True):
            pieces += [_head(column), pa.scalar(literal)]
        return pc.binary_join_element_wise(
            *pieces, pa.scalar(""), null_handling="replace", null_replacement=""
        )


class Remembered(Protocol):
    """A bounded mapping from collapsed to canonical texts."""

    def get(self, key: str, /) -> str | None: ...
    def __setitem__(self, key: str, value: str, /) -> None: ...


def canonical_column(
    texts: pa.StringArray, *, remembered: Remembered | None = None
) -> pa.DictionaryArray:
    """The canonical texts of a column, as dictionary indices into the distinct ones.

    `remembered` maps collapsed texts to canonical ones: a stream that repeats runs the typed
    masks once a text, not once a batch.
    """
    collapsed = pc.replace_substring_regex(
        _head(texts), pattern=COLLAPSE.pattern, replacement=COLLAPSE.replacement
    ).dictionary_encode()
    remembered = {} if remembered is None else remembered
    sources: list[str] = collapsed.dictionary.to_pylist()
    canonical = [remembered.get(source) for source in sources]
    missing = [index for index, text in enumerate(canonical) if text is None]
    if missing:
        masked = _typed_masks(collapsed.dictionary.take(pa.array(missing, pa.int32())))
        for index, text in zip(missing, masked, strict=True):
            canonical[index] = text
            if len(sources[index]) <= _REMEMBERED_CHARS:
                remembered[sources[index]] = text
    # Texts that differed before the typed masks may be equal after them.
    distinct = pa.array(canonical, pa.string()).dictionary_encode()
    return pa.DictionaryArray.from_arrays(
        distinct.indices.take(collapsed.indices), distinct.dictionary
    )


def _typed_masks(texts: pa.StringArray) -> list[str]:
    for mask in TYPED:
        texts = pc.replace_substring_regex(
            texts, pattern=mask.pattern, replacement=mask.replacement
        )
    trimmed: list[str] = pc.utf8_trim(texts, characters=" ").to_pylist()
    return trimmed


def _head(texts: pa.StringArray) -> pa.StringArray:
    """The first TEXT_LIMIT_CHARS characters of each text."""
    longest = pc.max(pc.binary_length(texts)).as_py() or 0
    if longest <= TEXT_LIMIT_CHARS:
        return texts
    return pc.utf8_slice_codeunits(texts, 0, TEXT_LIMIT_CHARS)
