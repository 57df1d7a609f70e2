"""Canonical texts of a batch: join the fields, mask the column, keep the distinct texts."""

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from stream_filter.core.canonical import COLLAPSE, TEXT_LIMIT_CHARS, TYPED
from stream_filter.core.policy import Format, TopicPolicy
from stream_filter.core.template import TextTemplate
from stream_filter.formats.decoder import Decoder
from stream_filter.formats.json_decoder import JsonDecoder
from stream_filter.formats.line_decoder import LineDecoder
from stream_filter.gate.ports import Texts


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
        self._literals = template.literals if template else ("", "")

    def read(self, values: Sequence[bytes | None]) -> Texts:
        present = [value for value in values if value is not None]
        decoded = self._decoder.decode(present)
        canonical = canonical_column(self._join(decoded.columns))
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
            codes = np.where(codes == distinct.index(""), np.int32(-1), codes)
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


def canonical_column(texts: pa.StringArray) -> pa.DictionaryArray:
    """The canonical texts of a column, as dictionary indices into the distinct ones."""
    collapsed = pc.replace_substring_regex(
        _head(texts), pattern=COLLAPSE.pattern, replacement=COLLAPSE.replacement
    ).dictionary_encode()
    masked = collapsed.dictionary
    for mask in TYPED:
        masked = pc.replace_substring_regex(
            masked, pattern=mask.pattern, replacement=mask.replacement
        )
    # Texts that differed before the typed masks may be equal after them.
    distinct = pc.utf8_trim(masked, characters=" ").dictionary_encode()
    return pa.DictionaryArray.from_arrays(
        distinct.indices.take(collapsed.indices), distinct.dictionary
    )


def _head(texts: pa.StringArray) -> pa.StringArray:
    """The first TEXT_LIMIT_CHARS characters of each text."""
    longest = pc.max(pc.binary_length(texts)).as_py() or 0
    if longest <= TEXT_LIMIT_CHARS:
        return texts
    return pc.utf8_slice_codeunits(texts, 0, TEXT_LIMIT_CHARS)
