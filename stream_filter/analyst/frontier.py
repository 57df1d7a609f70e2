"""Up to where a partition's offsets may be committed, and which beyond that are done all the same.

Work is done in order of worth, so outcomes come out of order. Only what lies before the oldest
event without an outcome may be committed as an offset; what is done beyond it goes into the
commit's metadata, as bits. Whoever takes over reads both and repeats only what was in flight.
"""

import base64
import binascii
import zlib
from collections.abc import Iterable

MOST_SPAN = 16_000
"""Offsets between the oldest without an outcome and the newest taken: their bits, in base64, stay
below the 4,096 bytes that a broker keeps of metadata (`offset.metadata.max.bytes`)."""
_VERSION = "1:"


class Frontier:
    """Of one partition. Offsets are taken in order and become done in any."""

    def __init__(self, position: int, beyond: Iterable[int] = ()) -> None:
        """`position`: the committed offset. `beyond`: those that were done beyond it."""
        self._done_before = set(beyond)
        self._waiting: dict[int, None] = {}
        self._done: set[int] = set(self._done_before)
        self.next = position
        """The offset that is to be taken next, or a later one."""

    def take(self, offset: int) -> bool:
        """An offset was read. False where it has an outcome already, or was read before."""
        if offset < self.next:
            return False
        self.next = offset + 1
        if offset in self._done_before:
            return False
        self._waiting[offset] = None
        return True

    def finish(self, offset: int) -> None:
        """It has its outcome, written and acknowledged."""
        if self._waiting.pop(offset, 0) is None:
            self._done.add(offset)

    @property
    def position(self) -> int:
        """What may be committed: all before it have an outcome."""
        return next(iter(self._waiting), self.next)

    @property
    def is_settled(self) -> bool:
        return not self._waiting

    @property
    def span(self) -> int:
        return self.next - self.position

    def metadata(self) -> str:
        """What is done beyond the position."""
        position = self.position
        self._done = {offset for offset in self._done if offset >= position}
        self._done_before &= self._done
        if not self._done:
            return ""
        bits = 0
        for offset in self._done:
            bits |= 1 << (offset - position)
        data = bits.to_bytes((bits.bit_length() + 7) // 8, "little")
        return _VERSION + base64.b64encode(zlib.compress(data, 9)).decode()


def read_metadata(position: int, metadata: str) -> set[int]:
    """The offsets that were done beyond `position`; none where another program wrote the commit."""
    if not metadata.startswith(_VERSION):
        return set()
    try:
        data = zlib.decompress(base64.b64decode(metadata[len(_VERSION) :], validate=True))
    except (ValueError, binascii.Error, zlib.error):
        return set()
    bits = int.from_bytes(data, "little")
    return {position + n for n in range(bits.bit_length()) if bits >> n & 1}
