"""Findings remembered: the same text, the same prompt, the same model, and not too long ago."""

from cachebox import TTLCache

from stream_filter.analyst.outcome import Finding, Opinion

_Key = tuple[str, bytes, str]


class FindingCache:
    """Bounded in number and age. What gave no verdict is not remembered."""

    def __init__(self, *, entries: int, max_age_s: float) -> None:
        self._has_room = entries > 0
        self._remembered: TTLCache[_Key, tuple[Opinion, tuple[bool, ...]]] = TTLCache(
            entries or 1, max_age_s
        )

    def get(self, prompt_digest: str, text_digest: bytes, judge: str) -> Finding | None:
        """What this judge found, if it was found lately."""
        try:
            opinion, answers = self._remembered[prompt_digest, text_digest, judge]
        except KeyError:
            return None
        return Finding(judge=judge, opinion=opinion, answers=answers, is_cached=True)

    def put(self, prompt_digest: str, text_digest: bytes, finding: Finding) -> None:
        """Remember a finding of its judge."""
        if self._has_room and finding.opinion is not None:
            key = (prompt_digest, text_digest, finding.judge)
            self._remembered[key] = (finding.opinion, finding.answers)
