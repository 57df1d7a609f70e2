"""How many tokens a text has: by the model's tokenizer where its file is at hand, else by
length."""

from pathlib import Path
from typing import Protocol

from tokenizers import Tokenizer

from stream_filter.core.errors import ConfigError
from stream_filter.core.tokens import BYTES_PER_TOKEN

_CHAT_TOKENS = 32
"""What a server adds around the messages: roles and marks."""
_MARGIN = 1.2


class TokenCounter(Protocol):
    """Counts and cuts. Deterministic: what a prompt shows depends on it."""

    def count(self, text: str) -> int: ...

    def cut(self, text: str, most: int) -> str:
        """The text, or its head and tail of together at most `most` tokens around a mark."""
        ...


class ByLength:
    """Bytes / 3, as the gate's budget reckons."""

    def count(self, text: str) -> int:
        return -(-len(text.encode("utf-8", "replace")) // BYTES_PER_TOKEN)

    def cut(self, text: str, most: int) -> str:
        data = text.encode("utf-8", "replace")
        room = most * BYTES_PER_TOKEN
        if len(data) <= room:
            return text
        half = room // 2
        head, tail = data[:half].decode("utf-8", "ignore"), data[-half:].decode("utf-8", "ignore")
        return _marked(head, tail, len(text))


class ByTokenizer:
    """By a Hugging Face `tokenizer.json`."""

    def __init__(self, path: Path) -> None:
        try:
            self._tokenizer = Tokenizer.from_file(str(path))
        except Exception as error:  # tokenizers raises nothing narrower
            raise ConfigError(f"{path}: no tokenizer can be read: {error}") from None
        self._tokenizer.no_truncation()

    def count(self, text: str) -> int:
        return len(self._tokenizer.encode(text, add_special_tokens=False).ids)

    def cut(self, text: str, most: int) -> str:
        spans = self._tokenizer.encode(text, add_special_tokens=False).offsets
        if len(spans) <= most:
            return text
        half = max(1, most // 2)
        return _marked(text[: spans[half - 1][1]], text[spans[-half][0] :], len(text))


def _marked(head: str, tail: str, chars: int) -> str:
    return f"{head} …[{chars - len(head) - len(tail)} characters left out]… {tail}"


class UsageMeter:
    """The most tokens that a prompt may take, learned from what answers say they took.

    Before the first answer a byte counts as a token: no tokenizer makes more of it.
    """

    def __init__(self) -> None:
        self._per_byte = 1.0
        self._seen = 0.0

    def at_most(self, size_bytes: int) -> int:
        return int(size_bytes * self._per_byte) + _CHAT_TOKENS

    def learn(self, size_bytes: int, tokens: int) -> None:
        self._seen = max(self._seen, max(0, tokens - _CHAT_TOKENS) / max(size_bytes, 1))
        self._per_byte = min(1.0, self._seen * _MARGIN) if self._seen else 1.0
