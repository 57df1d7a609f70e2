"""DuckDB over the store: views that can be read, and nothing else."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import reduce

import duckdb
import pyarrow as pa
import pyarrow.compute as pc

from stream_filter.audit.snapshot import Snapshot
from stream_filter.core.errors import ConfigError, StreamFilterError
from stream_filter.store.judgement_rows import JUDGEMENTS

MEMORY_LIMIT = "500MB"
_CONFIG: dict[str, str | bool | int | float | list[str]] = {
    # No file, no network, no extension, no variable of Python, and no way back.
    "enable_external_access": "false",
    "autoinstall_known_extensions": "false",
    "autoload_known_extensions": "false",
    "memory_limit": MEMORY_LIMIT,
    "preserve_insertion_order": "false",
}


def connect(snapshots: Sequence[Snapshot], blocks: pa.Table) -> duckdb.DuckDBPyConnection:
    """A connection with the views `decisions`, `blocks`, `verdicts`, `certificates` and `damaged`.
    `blocks`: the catalogue of all snapshots, with `is_effective`."""
    connection = duckdb.connect(config=_CONFIG)
    connection.execute("SET TimeZone = 'UTC'")
    connection.execute("SET python_enable_replacements = false")
    for kind in ("decisions", *JUDGEMENTS):
        parts = []
        for index, snapshot in enumerate(snapshots):
            connection.register(f"{kind}_{index}", snapshot.dataset(kind))
            parts.append(connection.view(f"{kind}_{index}"))
        union = reduce(duckdb.DuckDBPyRelation.union, parts)
        if kind == "decisions":
            union = _effective(connection, union, blocks)
        union.create_view(kind)
    connection.register("blocks", blocks.drop_columns(["store"]))
    connection.execute("SET lock_configuration = true")
    return connection


def _effective(
    connection: duckdb.DuckDBPyConnection, decisions: duckdb.DuckDBPyRelation, blocks: pa.Table
) -> duckdb.DuckDBPyRelation:
    overtaken = blocks.filter(pc.invert(blocks["is_effective"]))
    if not len(overtaken):
        return decisions
    places = overtaken.select(["ledger_partition", "ledger_offset"])
    connection.register("overtaken", places)
    return decisions.join(
        connection.view("overtaken"), "ledger_partition, ledger_offset", how="anti"
    )


def asked(relation: duckdb.DuckDBPyRelation, query: str) -> duckdb.DuckDBPyRelation:
    """A query of our own over a relation, which it calls `chosen`."""
    found: duckdb.DuckDBPyRelation | None = relation.query("chosen", query)
    assert found is not None, "a query, not a statement"
    return found


@contextmanager
def sql_problem(what: str) -> Iterator[None]:
    """What DuckDB says of a user's SQL, as one line: a ConfigError."""
    try:
        yield
    except (duckdb.OutOfMemoryException, duckdb.IOException) as error:
        raise StreamFilterError(f"{what}: {_first_line(error)}") from error
    except (duckdb.Error, RuntimeError) as error:
        raise ConfigError(
            f"{what}: {_first_line(error)}: give a condition over the columns of `decisions` "
            "(docs/audit.md)"
        ) from error


def _first_line(error: Exception) -> str:
    lines = str(error).splitlines() or [""]
    return "".join(c if c.isprintable() else " " for c in lines[0])[:300]
