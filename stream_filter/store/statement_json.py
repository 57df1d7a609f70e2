"""Statements as JSON. Published in schemas/certificate.schema.json."""

import msgspec

from stream_filter.core.errors import StreamFilterError
from stream_filter.core.statement import STATEMENT_VERSION, Statement


def encode_statement(statement: Statement) -> bytes:
    return msgspec.json.encode(statement)


def decode_statement(value: bytes | None) -> Statement:
    """Raises StreamFilterError where a value is none."""
    try:
        statement = msgspec.json.decode(value or b"", type=Statement)
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise StreamFilterError(f"not a certificate: {error}") from error
    if statement.statement_version != STATEMENT_VERSION:
        raise StreamFilterError(
            f"certificate version {statement.statement_version}, this reads {STATEMENT_VERSION}"
        )
    return statement
