"""The lines of a file, read as a stream: plain or gzip, a path or stdin."""

import gzip
import sys
import zlib
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, BinaryIO, cast

import orjson

from stream_filter.core.errors import ConfigError

_MAX_LINE_BYTES = 64 << 20
_GZIP_MAGIC = b"\x1f\x8b"


def numbered_lines(path: Path) -> Iterator[tuple[int, bytes]]:
    """Each line with its number, from 1, without its end. `-` is stdin; gzip is told by its first
    bytes.

    Raises ConfigError: not readable, damaged gzip, a line over 64 MiB.
    """
    name = "stdin" if str(path) == "-" else str(path)
    try:
        with ExitStack() as stack:
            yield from enumerate(_lines(_opened(path, stack), name), start=1)
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise ConfigError(f"{name}: damaged gzip: {error}") from error
    except OSError as error:
        raise ConfigError(f"{name}: cannot be read: {error.strerror}: check the path") from error


def json_object(line: bytes, place: str, *, needs: str) -> dict[str, Any]:
    """The object on a line. Raises ConfigError with `place`, and with what it `needs`."""
    try:
        row = orjson.loads(line)
    except orjson.JSONDecodeError as error:
        raise ConfigError(f"{place}: not JSON: {error}") from error
    if not isinstance(row, dict):
        raise ConfigError(f"{place}: must be an object with {needs}")
    return row


def _opened(path: Path, stack: ExitStack) -> BinaryIO:
    # Both are buffered readers, which can be peeked at.
    raw = sys.stdin.buffer if str(path) == "-" else stack.enter_context(path.open("rb"))
    head = raw.peek(2)[:2] if hasattr(raw, "peek") else b""
    if head != _GZIP_MAGIC:
        return cast(BinaryIO, raw)
    return cast(BinaryIO, stack.enter_context(gzip.open(raw)))


def _lines(stream: BinaryIO, name: str) -> Iterator[bytes]:
    number = 0
    while line := stream.readline(_MAX_LINE_BYTES + 1):
        number += 1
        if len(line) > _MAX_LINE_BYTES:
            raise ConfigError(f"{name}:{number}: a line of more than {_MAX_LINE_BYTES} bytes")
        yield line.rstrip(b"\r\n")
