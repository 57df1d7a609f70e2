"""Texts that talk to a model. They are judged like any other, each in a prompt of its own.

No list finds every such text. What holds for all of them, found or not, is elsewhere: they are
quoted as JSON strings, ids are drawn anew for each prompt, and an answer counts only if it fits.
This adds that whoever plainly tries can, at worst, spoil the verdict on his own text.
"""

import re
import unicodedata
from collections.abc import Sequence

import pyarrow as pa
import pyarrow.compute as pc

_WORDS = re.compile(
    r"ignore|disregard|forget (all|every|the|your|what)|overrid|overrule|instead of|from now on"
    r"|(previous|prior|above|earlier|following|other|these|all|every|new|system|hidden|secret|your|my"
    r"|developer|user|assistant) (instruction|prompt|rule|task|message|role|verdict|answer|event"
    r"|schema|guideline|direction|order)"
    r"|(previous|preceding|prior|other|following|next) (lines|records|entries|logs)\b"
    r"|\bstop (judging|here|now|reading)\b|\bnew task\b|\breturn (xml|yaml|prose)\b"
    r"|\b(ai|model|assistant|judge) (says?|replies|answers|responds|understands|agrees)\b"
    r"|\b(events?|lines?|entries|records?|logs?|rest|others?) (after|before|above|below)\b"
    r"|\bskip (them|the|all|this|these|every)\b|\b(developer|admin|administrator|operator) says\b"
    r"|you (are|must|should|will|shall|have to|need to)( now)? "
    r"|(act|behave|pretend|respond|reply|answer|role ?play) (as|with|like|only|in)\b"
    r"|(print|reveal|repeat|show|output|return|leak|tell)\b.{0,30}"
    r"\b(prompt|instruction|key|secret|schema|json|verdict|password|token)"
    r"|\b(as|be|is|are|all|everything|nothing|mark|label|classify|judge|treat|consider|rate)\b.{0,40}"
    r"\b(un|not )?important\b|verdicts?\b.{0,40}\b(true|false|important|all|id)\b"
    r"|important\W{0,6}(true|false|yes|no)\b|nothing matters|\b(un|not )important\b"
    r"|\b(language model|llm|chatgpt|gpt|claude|gemini|llama|jailbreak|prompt injection|the ai"
    r"|an ai|dan mode|developer mode|classifier|triage)\b"
    r"|ignorier|vergiss|ignora |ignorez|oublie[zr]? |olvida|игнорир|забудь|忽略|无视|無視|무시",
)
_SIGNS = re.compile(
    r"<\|?/?\s*(im_start|im_end|system|user|assistant|human|instructions?|inst|end|endoftext|eot|bos|s)"
    r"\b|\[/?(inst|system|assistant|user)\]|<</?sys>>|(^|\n|\\n)\s*#{0,4}\s*"
    r"(system|assistant|user|human|developer|instructions?)\s*:|\"?(verdicts|important)\"?\s*[:=]"
    r"|\"id\"\s*:|\]\s*\}\s*[,\]}{]|```",
    re.IGNORECASE,
)
_HIDDEN = re.compile(r"[\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff\U000e0000-\U000e007f]")
_ESCAPED = r"(?:\\u[0-9a-fA-F]{4}){4}|(?:%[0-9a-fA-F]{2}){6}"
_ENCODED = re.compile(rf"\b(?![0-9a-fA-F]+\b)[A-Za-z0-9+]{{48,}}|{_ESCAPED}")
_MAY_BE_SIGN = rf"[^\t\n\f\r -~]|(?i:{_SIGNS.pattern})|[A-Za-z0-9+]{{48}}|{_ESCAPED}"
"""For RE2: matches what one of the three does, and all that is not plain ASCII, since the engines
differ about it."""
_MARKS = re.compile(r"[\u0300-\u036f]")
_NOT_WORDS = re.compile(r"[\W_]+")
_LOOKALIKES = str.maketrans("0134578аеорсухіαεηικνορτυχ", "oleastbaeopcyxiaenikvoptux")
"""Digits, Cyrillic and Greek letters that stand for Latin ones."""
_FEW = 20
"""Fewer texts are sooner read one by one: RE2 takes a millisecond for the patterns themselves."""


def are_suspicious(texts: Sequence[str]) -> list[bool]:
    """`is_suspicious` of each. Of many, RE2 finds those that may be, in linear time whatever they
    say: of a hundred ordinary ones that leaves one or two to be looked at."""
    if len(texts) < _FEW:
        return list(map(is_suspicious, texts))
    plain = list(map(_plain, texts))
    signs = _matches(texts, _MAY_BE_SIGN)
    # Letters and spaces: where a word ends, RE2 sees all ends that Python does, and more of them
    # beside letters that are not Latin.
    words = _matches([f"{each}\n{each.translate(_LOOKALIKES)}" for each in plain], _WORDS.pattern)
    return [
        (signs[at] and _has_sign(text)) or (words[at] and _has_words(plain[at]))
        for at, text in enumerate(texts)
    ]


def is_suspicious(text: str) -> bool:
    """Whether a text talks to a model, or hides what it says."""
    return _has_sign(text) or _has_words(_plain(text))


def _has_sign(text: str) -> bool:
    return any(each.search(text) for each in (_SIGNS, _HIDDEN, _ENCODED))


def _has_words(plain: str) -> bool:
    return bool(_WORDS.search(plain) or _WORDS.search(plain.translate(_LOOKALIKES)))


def _plain(text: str) -> str:
    """Its words. Decomposed, since a mark on each letter hides a word as well."""
    letters = _MARKS.sub("", unicodedata.normalize("NFKD", text).lower())
    return _NOT_WORDS.sub(" ", letters)


def _matches(texts: Sequence[str], pattern: str) -> list[bool]:
    column = pa.array([text.encode("utf-8", "replace").decode() for text in texts], pa.string())
    matches: list[bool] = pc.match_substring_regex(column, pattern).to_pylist()
    return matches
