"""What is to be known of a text besides what it says: found out once, while the text comes back."""

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import blake2b

from cachebox import LRUCache

from stream_filter.analyst.suspicion import are_suspicious
from stream_filter.formats.text_reader import canonical_texts, with_equal_digits

_REMEMBERED = 20_000
"""Texts, in 7 MB: verdicts and the view of an outage read the same records, and where both keep up
they are fewer than that apart."""


@dataclass(frozen=True, slots=True)
class Traits:
    """Of a text as the model sees it."""

    kind: bytes
    """Digest of its canonical text; empty where nothing of that is left to read."""
    is_suspicious: bool


class KnownTraits:
    """Remembers the traits of the texts that came last, by their digests: it keeps no text."""

    def __init__(self, entries: int = _REMEMBERED) -> None:
        self._remembered: LRUCache[bytes, Traits] = LRUCache(entries)

    def __len__(self) -> int:
        return len(self._remembered)

    def of(self, texts: Sequence[str], digests: Sequence[bytes]) -> list[Traits]:
        """`digests`: each text's `text_digest`."""
        known = {
            digest: traits
            for digest in dict.fromkeys(digests)
            if (traits := self._remembered.get(digest)) is not None
        }
        new = {
            digest: text for digest, text in zip(digests, texts, strict=True) if digest not in known
        }
        for digest, traits in zip(new, _found_out(list(new.values())), strict=True):
            known[digest] = self._remembered[digest] = traits
        return [known[digest] for digest in digests]


def text_digest(text: str) -> bytes:
    """Of the text itself: never that of a kind."""
    data = text.encode("utf-8", "surrogatepass")
    return blake2b(data, digest_size=16, person=b"text").digest()


def _found_out(texts: Sequence[str]) -> list[Traits]:
    distinct, codes, _ = canonical_texts(with_equal_digits(texts), {})
    kinds = [blake2b(each.encode("utf-8", "replace"), digest_size=16).digest() for each in distinct]
    return [
        Traits(kinds[code] if code >= 0 else b"", is_odd)
        for code, is_odd in zip(codes, are_suspicious(texts), strict=True)
    ]
