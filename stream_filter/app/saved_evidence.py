"""The evidence as it stands in its table: keys with the term of who wrote them, so that a holder
that was cut off and writes on does no harm."""

from bisect import bisect
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from stream_filter.core.errors import StreamFilterError
from stream_filter.core.evidence_book import EvidenceBook, Tally
from stream_filter.core.evidence_page import Page
from stream_filter.store.msgpack_evidence import (
    Desk,
    decode_desk,
    decode_page,
    encode_desk,
    encode_page,
)


def empty_desk() -> Desk:
    """Where nothing was read yet."""
    return Desk(ledger_next={}, verdict_next=0, waiting=(), tally=Tally(), notes={})


@dataclass(slots=True)
class SavedEvidence:
    """What a holder begins with, and the keys of the table."""

    term: int
    """One more than that of any holder before."""
    desk: Desk
    pages: dict[int, Page]
    problems: list[str]
    """What of the table could not be used."""
    _terms: dict[int, int] = field(default_factory=dict)
    """By page, the term in whose key it stands."""
    _overtaken: list[bytes] = field(default_factory=list)
    """Keys that say nothing any more."""

    def changes(self, book: EvidenceBook, desk: Desk) -> dict[bytes, bytes | None]:
        """What makes the table say the same as the book: pages before the desk, so that the desk
        never says more than they hold."""
        changes: dict[bytes, bytes | None] = {}
        for number in sorted(book.changed):
            before = self._terms.pop(number, None)
            if number in book.pages:
                changes[_page_key(self.term, number)] = encode_page(book.pages[number])
                self._terms[number] = self.term
            if before is not None and (before != self.term or number not in book.pages):
                changes[_page_key(before, number)] = None
        book.changed.clear()
        changes[_desk_key(self.term)] = encode_desk(desk)
        changes |= dict.fromkeys(self._overtaken)
        self._overtaken.clear()
        return changes


def read_saved(table: Mapping[bytes, bytes]) -> SavedEvidence:
    """Read the table. Where two holders counted the same, the later one's counts."""
    desks: dict[int, Desk] = {}
    pages: list[tuple[int, int, Page]] = []
    problems = []
    latest = 0
    for key, value in table.items():
        try:
            term, kind, number = _parse(key)
            latest = max(latest, term)
            if kind == "desk":
                desks[term] = decode_desk(value)
            else:
                pages.append((term, number, decode_page(value)))
        except StreamFilterError as error:
            problems.append(f"{key[:80]!r}: {error}")
    desk = desks[max(desks)] if desks else empty_desk()
    chosen = _not_overtaken(sorted(pages, key=lambda each: (-each[0], each[1])))
    return SavedEvidence(
        term=latest + 1,
        desk=desk,
        pages={number: page for number, (_, page) in sorted(chosen.items())},
        problems=problems,
        _terms={number: term for number, (term, _) in chosen.items()},
        _overtaken=[
            *map(_desk_key, desks),
            *(_page_key(t, n) for t, n, page in pages if chosen.get(n, (0, None))[1] is not page),
        ],
    )


def _not_overtaken(pages: Iterable[tuple[int, int, Page]]) -> dict[int, tuple[int, Page]]:
    """Pages of later terms come first; one that counts again what stands there is left out."""
    chosen: dict[int, tuple[int, Page]] = {}
    taken: dict[tuple[str, int], list[tuple[int, int]]] = defaultdict(list)
    for term, number, page in pages:
        ranges = {(page.epoch.topic, p): span for p, span in page.covers.items()}
        if number in chosen or any(_overlaps(taken[s], span) for s, span in ranges.items()):
            continue
        chosen[number] = (term, page)
        for source, span in ranges.items():
            taken[source].insert(bisect(taken[source], span), span)
    return chosen


def _overlaps(spans: list[tuple[int, int]], span: tuple[int, int]) -> bool:
    at = bisect(spans, span)
    before = at > 0 and spans[at - 1][1] > span[0]
    return before or (at < len(spans) and spans[at][0] < span[1])


def _page_key(term: int, number: int) -> bytes:
    return f"{term}/page/{number}".encode()


def _desk_key(term: int) -> bytes:
    return f"{term}/desk".encode()


def _parse(key: bytes) -> tuple[int, str, int]:
    term, _, rest = key.partition(b"/")
    kind, _, number = rest.partition(b"/")
    if not term.isdigit() or kind not in {b"page", b"desk"} or not (number or b"0").isdigit():
        raise StreamFilterError("not a key of the evidence")
    return int(term), kind.decode(), int(number or b"0")
