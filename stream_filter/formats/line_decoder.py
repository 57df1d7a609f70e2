"""Plain text: the whole value is one field."""

from collections.abc import Sequence

from stream_filter.formats.decoder import DecodedFields


class LineDecoder:
    """Decodes UTF-8 text. Bytes that are not UTF-8 read as U+FFFD: a log line with an odd byte
    is still worth reading, so nothing is ever undecodable here."""

    def decode(self, values: Sequence[bytes]) -> DecodedFields:
        lines = [value.decode("utf-8", "replace") for value in values]
        return DecodedFields(columns=(lines,), causes={})
