"""A budget that is shared by claims."""

from hypothesis import given
from hypothesis import strategies as st

from stream_filter.analyst.claims import ClaimBook, ClaimModel, read_claim

_CLAIMS = st.lists(
    st.tuples(st.sampled_from("abc"), st.sampled_from([1, 2]), st.floats(-5.0, 5.0)), max_size=40
)


def claim(who: str, day: int, amount: float) -> ClaimModel:
    return ClaimModel(day=f"2026-11-0{day}", who=who, number=1, amount=amount)


@given(_CLAIMS)
def test_never_more_is_granted_than_there_is(claims: list[tuple[str, int, float]]) -> None:
    """Whatever is claimed and given back: of each day at most the budget, of nobody below nothing,
    and every reader finds the same."""
    books = [ClaimBook(10.0), ClaimBook(10.0)]
    granted: dict[tuple[str, int], float] = {}
    for who, day, amount in claims:
        found = {book.take(claim(who, day, amount)) for book in books}
        assert len(found) == 1
        granted[who, day] = granted.get((who, day), 0.0) + found.pop()
        assert granted[who, day] >= -1e-9
        for each in (1, 2):
            total = sum(value for key, value in granted.items() if key[1] == each)
            assert -1e-9 <= total <= 10.0 + 1e-6
            assert abs(books[0].left(f"2026-11-0{each}") - (10.0 - total)) < 1e-6


def test_a_claim_too_large_is_refused_and_leaves_the_rest() -> None:
    """All or nothing; a smaller one is granted."""
    book = ClaimBook(1.0)
    assert book.take(claim("a", 1, 0.8)) == 0.8
    assert book.take(claim("b", 1, 0.3)) == 0.0
    assert book.take(claim("b", 1, 0.2)) == 0.2
    assert book.take(claim("b", 2, 0.9)) == 0.9


def test_what_is_no_claim_is_passed_over() -> None:
    """Anybody can write to a topic."""
    for value in (None, b"", b"{}", b"[1]", b'{"day": "x", "who": "a", "number": 1, "amount": 1}'):
        assert read_claim(value) is None
    assert read_claim(claim("a", 1, 0.5).model_dump_json().encode()) == claim("a", 1, 0.5)
