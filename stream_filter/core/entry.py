"""What a partition's memory is saved as: entries of one shape, whatever the kind."""

from typing import NamedTuple


class Entry(NamedTuple):
    """One thing remembered, identified by its kind, `key` and `at`."""

    key: int
    """64 bits: the digest of a canonical text, for one."""
    at: int
    """A time in Unix milliseconds where the kind has one for each key, else 0."""
    numbers: tuple[int, ...]
    """Signed 64-bit integers; what each means is the kind's. Empty: the entry is forgotten."""
    text: str = ""


def check_entry(entry: Entry, numbers: int) -> None:
    """Raises ValueError where an entry is out of range, or has another count of numbers."""
    if not 0 <= entry.key < 1 << 64:
        raise ValueError(f"key {entry.key} is no 64-bit number")
    if len(entry.numbers) not in (0, numbers):
        raise ValueError(f"an entry has {len(entry.numbers)} numbers, expected {numbers}")
    if not all(-(1 << 62) <= number <= 1 << 62 for number in (entry.at, *entry.numbers)):
        raise ValueError("an entry's number is out of range")
