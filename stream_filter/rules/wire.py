"""The wire form of protocol buffers, as far as a syntax tree needs it.

The parser hands its tree out only in this form. Reading it takes a page; a dependency on the
protobuf runtime and on generated classes would take more.
https://protobuf.dev/programming-guides/encoding
"""

import struct
from collections.abc import Iterator
from typing import Final

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5


class Message:
    """One message: its fields by number, in the order they stand."""

    def __init__(self, data: bytes) -> None:
        self._fields: Final = list(_fields(data))

    def has(self, number: int) -> bool:
        return any(at == number for at, _ in self._fields)

    def numbers(self, number: int) -> list[int]:
        """Values of a repeated integer field, unsigned."""
        return [value for at, value in self._fields if at == number and isinstance(value, int)]

    def blobs(self, number: int) -> list[bytes]:
        """Values of a repeated field of bytes, strings or messages."""
        return [value for at, value in self._fields if at == number and isinstance(value, bytes)]

    def number(self, number: int) -> int:
        """The last value wins; 0 where there is none, as the format has it."""
        return (self.numbers(number) or [0])[-1]

    def signed(self, number: int) -> int:
        """As int64."""
        value = self.number(number)
        return value - (1 << 64) if value >= 1 << 63 else value

    def blob(self, number: int) -> bytes:
        return (self.blobs(number) or [b""])[-1]

    def text(self, number: int) -> str:
        return self.blob(number).decode()

    def double(self, number: int) -> float:
        value: float = struct.unpack("<d", struct.pack("<Q", self.number(number)))[0]
        return value

    def message(self, number: int) -> "Message":
        return Message(self.blob(number))

    def messages(self, number: int) -> list["Message"]:
        return [Message(blob) for blob in self.blobs(number)]


def _fields(data: bytes) -> Iterator[tuple[int, int | bytes]]:
    at = 0
    while at < len(data):
        tag, at = _varint(data, at)
        kind = tag & 7
        if kind == _VARINT:
            value, at = _varint(data, at)
            yield tag >> 3, value
            continue
        if kind == _BYTES:
            size, at = _varint(data, at)
        else:
            size = {_FIXED64: 8, _FIXED32: 4}[kind]
        content = data[at : at + size]
        at += size
        yield tag >> 3, content if kind == _BYTES else int.from_bytes(content, "little")


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
        shift += 7
