"""The decoder port: how a format joins stream-filter."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol


@dataclass(frozen=True, slots=True, kw_only=True)
class DecodedFields:
    """A batch of n values as columns."""

    columns: tuple[list[Any], ...]
    """One column of length n for each field asked for: values as JSON has them, None where a
    record has no such field."""
    causes: dict[int, str]
    """Why a record cannot be decoded, by its index; its fields are None."""


class Decoder(Protocol):
    """Reads the fields that a policy names, a batch at a time.

    Never raises for what a record holds: whatever cannot be decoded is named in `causes`. What
    a record decodes to depends on that record alone, not on the others of its batch.
    """

    def decode(self, values: Sequence[bytes]) -> DecodedFields:
        """Decode n values into columns of length n."""
        ...
