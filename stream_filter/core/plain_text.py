"""The plain form of a text: words as a model knows them, however they were dressed to look alike.

A line such as `dіsk\u200bfаіlеd` reads to people as `disk failed` and to a model as nothing it has
seen. So what cannot be seen goes, compatibility forms (full-width, mathematical, circled letters)
become what they stand for, accents go, and letters of other scripts that look like Latin ones
become these, in words that are not wholly of another script: Russian and Greek stay what they are.

The character classes are written out, not taken from Python's Unicode tables, so that a text reads
the same under every version. The table of look-alikes is the part of Unicode's confusables
(UTS 39) that fonts for logs and chats show as the same letter.
"""

import re
import unicodedata

CONTROLS = bytes(sorted({*range(0x20), 0x7F} - set(b"\t\n\f\r")))
"""ASCII that is not shown: removed. White space is the masks' affair."""

_CONTROLS = dict.fromkeys(CONTROLS)
UNSEEN = re.compile(
    "["
    "\x80-\x84\x86-\x9f\u00ad"  # C1 controls, soft hyphen
    "\u0300-\u036f"  # accents, once letters are taken apart; joiner
    "\u0600-\u0605\u061c\u06dd\u070f\u115f\u1160\u17b4\u17b5\u180b-\u180f"
    "\u1ab0-\u1aff\u1dc0-\u1dff\u20d0-\u20ff"  # more accents, rings and strokes around letters
    "\u200b-\u200f\u202a-\u202e\u2060-\u206f"  # zero width, direction
    "\u3164\ufe00-\ufe0f\ufe20-\ufe2f\ufeff\uffa0\ufff0-\ufffb"  # fillers, variants, marks
    "\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff"
    "]+"
)
SPACES = re.compile("[\x85\u1680\u2028\u2029\u2800]")
"""Shown as nothing, and no compatibility form of a space."""

_WORD = re.compile(r"[^\W\d_]+")

LOOK_ALIKES = {
    # Cyrillic
    "АВЕЅІЈКМНОРСТУХԚԜҮ": "ABESIJKMHOPCTYXQWY",
    "авеѕіјкмнорстухԛԝүһԁӏгь": "abesijkmhopctyxqwyhdlrb",
    # Greek
    "ΑΒΕΖΗΙΚΜΝΟΡΤΥΧ": "ABEZHIKMNOPTYX",
    "αβεικνορτυχϳγη": "abeiknoptuxjyn",
    # Armenian, Cherokee
    "օսհոցՏՕ": "ouhngSO",
    "ᎪᏴᏟᎠᎬᎻᎫᏦᏞᎷᏢᎡᏚᎢᏙᏔᏃ": "ABCDEHJKLMPRSTVWZ",
    # Latin letters that have no compatibility form: dotless and script ones, small capitals
    "ıɑɡɩʟꓲ": "iagill",
    "ᴀʙᴄᴅᴇꜰɢʜɪᴊᴋᴍɴᴏᴘʀꜱᴛᴜᴠᴡʏᴢ": "abcdefghijkmnoprstuvwyz",
}
_TABLE = {
    ord(alike): letter
    for alikes, letters in LOOK_ALIKES.items()
    for alike, letter in zip(alikes, letters, strict=True)
}


def plain(text: str) -> str:
    """The plain form; of a text of printable ASCII, itself."""
    text = text.translate(_CONTROLS)
    if text.isascii():
        return text
    apart = unicodedata.normalize("NFKD", text)
    text = unicodedata.normalize("NFC", UNSEEN.sub("", SPACES.sub(" ", apart)))
    return text if text.isascii() else _WORD.sub(_folded, text)


def _folded(match: re.Match[str]) -> str:
    word = match[0]
    if word.isascii():
        return word
    folded = word.translate(_TABLE)
    is_latin = folded.isascii() or any(letter.isascii() for letter in word)
    return folded if is_latin else word
