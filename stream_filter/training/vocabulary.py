"""A word-piece vocabulary cut down to what a stream uses: most of a small encoder's bytes."""

import json
from collections.abc import Sequence

from tokenizers import Tokenizer

MOST_FREQUENT = 14_000
"""Word pieces are ordered by frequency in BERT's vocabularies: the head is always kept."""


def trimmed(tokenizer_json: str, texts: Sequence[str]) -> tuple[str, list[int] | None]:
    """A smaller tokenizer and the old ids of its word pieces, in the order of the new ids; the
    tokenizer as it was, and None, where it does not have word pieces.

    Kept are special tokens, single characters, frequent ASCII pieces and every piece that `texts`
    use.
    """
    document = json.loads(tokenizer_json)
    document["truncation"] = document["padding"] = None
    if document["model"].get("type") != "WordPiece":
        return json.dumps(document), None
    whole = Tokenizer.from_str(json.dumps(document))
    used = {piece for encoding in whole.encode_batch(list(texts)) for piece in encoding.tokens}
    vocabulary: dict[str, int] = document["model"]["vocab"]
    special = {token["content"] for token in document["added_tokens"]}
    kept = [
        piece
        for piece, number in sorted(vocabulary.items(), key=lambda item: item[1])
        if piece in special or piece in used or _is_general(piece, number)
    ]
    new = {piece: number for number, piece in enumerate(kept)}
    document["model"]["vocab"] = new
    for token in document["added_tokens"]:
        token["id"] = new[token["content"]]
    after = document.get("post_processor") or {}
    for token in after.get("special_tokens", {}).values():
        token["ids"] = [new[piece] for piece in token["tokens"]]
    for field in ("sep", "cls"):
        if field in after:
            after[field] = [after[field][0], new[after[field][0]]]
    text = json.dumps(document, ensure_ascii=False, separators=(",", ":"))
    return text, [vocabulary[piece] for piece in kept]


def _is_general(piece: str, number: int) -> bool:
    bare = piece.removeprefix("##")
    if len(bare) == 1:
        return True
    return bare.isascii() and not bare.startswith("[") and number < MOST_FREQUENT
