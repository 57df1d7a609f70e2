"""What must not leave the house, taken out of texts before anything else sees them."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

_WORDS = (
    r"password|passwd|passphrase|passwort|pwd|secret|token|credentials?|authorization"
    r"|(?:api|access|account|private|secret)[_-]?(?:access[_-]?)?key"
)
_PASSWORDS = "password|passwd|passphrase|passwort|pwd"
_VALUE = (
    r'"(?:[^"\\]|\\.)*"?'  # a string of JSON, to its end
    r"|'(?:[^'\\]|\\.)*'?"
    r'|\\+"(?:[^"\\]|\\+[^"\\])*(?:\\+"|"|$)'  # one in a string of JSON
    r"|(?:(?:basic|bearer|digest|negotiate|token|apikey)\s+)?[^\s,;}&<>\"'\\]+"
)
_PHRASE = r"[^\s,;:=}&<>\"'\\]+(?:[ \t]+[^\s,;:=}&<>\"'\\]+){1,4}"
"""Words, where one is not all."""
_CHAR = r"[^\s,;()\"'\\]"
_MARK = r"(?:[0-9]|[!$%^*+~#@]\w)"
_TOLD = (  # after "is"
    r"\\*[\"'][^\"'\\,][^\"'\\]*\\*[\"']?"
    # No word of prose: four characters or more, and a digit or a sign among them.
    rf"|(?:{_MARK}{_CHAR}{{3}}|{_CHAR}{_MARK}{_CHAR}{{2}}|{_CHAR}{{2}}{_MARK}{_CHAR}"
    rf"|{_CHAR}{{3,}}{_MARK}){_CHAR}*"
)
_COOKIE = (
    # To the end of the line, or of what it stands in.
    r"[^\s=;\"'\\]+(?:=\\*\"[^\"\\,}]*\\*\"|=)(?:=\\*\"[^\"\\,}]*\\*\"|\w'\w|[^\"'\r\n\\])*"
)
_COOKIES = rf"{_COOKIE}(?:\\*[\"']\s*,\s*\\*[\"']{_COOKIE})*"  # a list in JSON

_SECRETS = (
    # `pwd: correct horse`, where that ends what it stands in; else one word is taken.
    rf"((?:{_PASSWORDS}):[ \t]+)(?:{_PHRASE})([ \t]*(?:[\r\n,;}}&<>\"'\\]|$))",
    rf"((?:{_WORDS})\\*[\"']?\s*(?::=|=>|[:=>]|%3[ad])\s*\[?\s*|\s--?(?:{_WORDS})\s+)(?:{_VALUE})",
    rf"((?:{_WORDS})(?:\s+(?:of|for)\s+\S+)?\s+(?:is|was|are|ist|war|lautet):?\s+)(?:{_TOLD})",
    rf"(cookies?2?\\*[\"']?\s*(?:=>|[:=])\s*\[?\s*\\*[\"']?)(?:{_COOKIES})",
    r"(\b[a-z][a-z0-9+.-]*://[^\s/:@\"']*:)[^\s/@\"']+(@)",  # of a URL
    r"-----BEGIN [A-Z ]*PRIVATE KEY-----[^-]*(?:-----END [A-Z ]*PRIVATE KEY-----)?",
)

KNOWN = {
    "email": (r"[A-Za-z0-9._%+-]+@[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)+", "<email>", "@"),
    "ip": (
        r"\b(?:[0-9]{1,3}\.){3}[0-9]{1,3}\b"
        r"|\b(?:[0-9a-fA-F]{1,4}:){7}[0-9a-fA-F]{1,4}\b"
        r"|\b(?:[0-9a-fA-F]{1,4}:){1,6}(?::[0-9a-fA-F]{1,4}){1,6}\b",
        "<ip>",
    ),
    "card": (r"\b(?:[0-9][ -]?){12,18}[0-9]\b", "<card>"),
    "token": (
        r"(?i)\b(?:bearer\s+[A-Za-z0-9._~+/=-]{8,}|sk-[A-Za-z0-9_-]{8,}|A[KS]IA[0-9A-Z]{16}"
        r"|gh[pousr]_[A-Za-z0-9]{20,}|github_pat_[A-Za-z0-9_]{20,}|glpat-[A-Za-z0-9_-]{20,}"
        r"|xox[a-z]-[A-Za-z0-9-]{10,}|AIza[A-Za-z0-9_-]{35}"
        r"|eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]*)",
        "<token>",
        "(?i)bearer|sk-|a[ks]ia|gh[pousr]_|github_pat_|glpat-|xox|aiza|eyj",
    ),
    "secret": (
        "(?is)" + "|".join(_SECRETS),
        r"\1\3\4\5\6<secret>\2\7",
        "(?i)pass|pwd|secret|token|credential|authorization|key|cookie|://",
    ),
}
"""By name: the fields of its `Redaction`."""


@dataclass(frozen=True, slots=True)
class Redaction:
    """One pattern of RE2 and what stands in its place."""

    pattern: str
    replacement: str
    hint: str = ""
    """Matches any text that the pattern does: where none has it, the pattern, which may take a
    millisecond to compile, is not tried."""


def check_pattern(pattern: str) -> None:
    """Raises ValueError where RE2 does not take the pattern, or it matches nothing at all."""
    try:
        redact([""], (Redaction(pattern, ""),))
    except pa.ArrowInvalid as error:
        raise ValueError(f"{pattern!r} is no RE2 pattern: {' '.join(str(error).split())}") from None


def literal(word: str, replacement: str) -> Redaction:
    """Takes out a word as it stands."""
    return Redaction(re.escape(word), replacement)


def redact(texts: Sequence[str], redactions: Sequence[Redaction]) -> list[str]:
    """The texts without what the patterns match, one pattern after another. RE2: in linear time,
    whatever the text."""
    if not redactions or not texts:
        return list(texts)
    column = pa.array([text.encode("utf-8", "replace").decode() for text in texts], pa.string())
    for each in redactions:
        if not pc.any(pc.match_substring_regex(column, each.hint)).as_py():
            continue
        column = pc.replace_substring_regex(
            column, pattern=each.pattern, replacement=each.replacement
        )
    redacted: list[str] = column.to_pylist()
    return redacted
