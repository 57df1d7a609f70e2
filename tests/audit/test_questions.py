"""What is asked of a store, against what was put in; and what SQL must not do."""

import subprocess
import sys
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pytest
from click.testing import CliRunner

from stream_filter import audit
from stream_filter.cli.main import main
from stream_filter.core.errors import ConfigError
from stream_filter.core.position import Position
from tests.audit.conftest import (
    MINUTE_MS,
    NOW_MS,
    TOPIC,
    MakeStore,
    make_block,
    sealed,
    with_header,
)

NOWHERE = "--no-newest"


def ask(*arguments: object) -> Any:
    done = CliRunner().invoke(main, ["audit", *map(str, arguments)])
    assert done.exit_code == 0, done.output
    return orjson.loads(done.stdout)


def test_summary_counts_every_record(store: Path) -> None:
    """Added up from the catalogue or from the rows, the account is the same, and is the blocks'."""
    with audit.open(store) as ledger:
        by_blocks = audit.summarize(ledger, TOPIC, price=0.5)
        by_rows = audit.summarize(ledger, TOPIC, where="true", price=0.5)
    assert by_blocks.groups.equals(by_rows.groups)
    assert by_blocks.counts == Counter(forwarded=72, dropped=168)
    assert by_blocks.by("reason")["holdout",] == Counter(forwarded=24)
    assert by_blocks.by("rule")["health checks",] == Counter(dropped=24)
    assert (by_blocks.spent, by_blocks.saved) == (36.0, 84.0)


def test_summary_of_a_window(store: Path) -> None:
    """A window holds the blocks decided in it: from, and before."""
    window = (NOW_MS + 2 * MINUTE_MS, NOW_MS + 5 * MINUTE_MS)
    with audit.open(store) as ledger:
        assert audit.summarize(ledger, TOPIC, window).consumed == 60
        assert audit.summarize(ledger, TOPIC, window, where="true").consumed == 60
        assert audit.summarize(ledger, "another").consumed == 0
    with audit.open(store, topic=TOPIC, window_ms=window) as ledger:
        assert audit.summarize(ledger, TOPIC, window).consumed == 60


def test_summary_on_the_command_line(store: Path, tmp_path: Path) -> None:
    """JSON has the counts; the page stands alone and is escaped."""
    page = tmp_path / "page.html"
    found = ask(
        *("summary", "--store", store, NOWHERE, "--topic", TOPIC, "--json", "--html", page),
        *("--where", "score > 0.5 OR rule IS NOT NULL", "--price", 2),
    )
    assert (found["consumed"], found["forwarded"], found["dropped"]) == (96, 72, 24)
    assert found["by_rule"][0] == {
        "rule": "health checks",
        **{"forwarded": 0, "dropped": 24, "folded": 0, "deferred": 0, "dead_lettered": 0},
    }
    html = page.read_text()
    assert "<svg" in html
    assert "http" not in html.replace("http-equiv", "")


def test_an_empty_store(tmp_path: Path) -> None:
    """Nothing archived is nothing consumed, not an error."""
    (tmp_path / "empty").mkdir()
    assert ask("summary", "--store", tmp_path / "empty", NOWHERE, "--json")["consumed"] == 0
    done = CliRunner().invoke(
        main, ["audit", "sample", "--store", str(tmp_path / "empty"), NOWHERE]
    )
    assert done.exit_code == 0


def test_blocks_come_back_in_the_ledger_s_order(store: Path) -> None:
    """By partition and offset, equal to what was written; one is found by a position."""
    with audit.open(store) as ledger:
        read = list(ledger.read_blocks(TOPIC))
        at = ledger.block_at(Position(TOPIC, 1, 57))
        assert ledger.block_at(Position(TOPIC, 1, 1_000)) is None
        assert ledger.block_at(Position("another", 1, 57)) is None
        offsets = ledger.positions(TOPIC, where="reason = 'holdout'")
    assert [(b.header.partition, b.header.first_offset) for b in read] == [
        (partition, 10 * n) for partition in range(2) for n in range(12)
    ]
    assert at is not None
    assert at.header.block_id == f"{TOPIC}/1/50-59"
    assert {p: o.tolist() for p, o in offsets.items()} == {
        p: [10 * n + 2 for n in range(12)] for p in range(2)
    }
    assert all(
        np.array_equal(b.decisions.score, read[0].decisions.score, equal_nan=True) for b in read
    )


def test_overtaken_blocks_are_not_asked(make_store: MakeStore) -> None:
    """Of blocks that overlap, only the effective ones are counted, read and seen by SQL."""
    void = with_header(make_block(0, 1), delivery="at_least_once", worker="gone")
    blocks = sealed([make_block(0, 0), make_block(0, 1), make_block(0, 2)])
    with audit.open(make_store([blocks[0], void, *blocks[1:]])) as ledger:
        assert audit.summarize(ledger, TOPIC).consumed == 30
        assert ledger.sql("SELECT count(*) FROM decisions").fetchall() == [(30,)]
        assert [b.header.worker for b in ledger.read_blocks(TOPIC)] == ["gate-1"] * 3
        assert ledger.blocks(TOPIC)["is_effective"].to_pylist() == [True, False, True, True]


def test_sample_by_score_and_by_text(make_store: MakeStore) -> None:
    """The drops nearest to being kept come first, or the rarest texts; none that was forwarded."""
    with audit.open(make_store(sealed(make_block(0, n) for n in range(3)))) as ledger:
        by_score = audit.sample(ledger, TOPIC, n=3)
        by_text = audit.sample(ledger, TOPIC, by=audit.Strangeness.TEXT, n=2)
        everything = audit.sample(ledger, TOPIC, dropped=False, n=100)
    assert [round(each.score or 0.0, 2) for each in by_score] == [0.5, 0.5, 0.4]
    assert by_score[0].records <= by_score[1].records
    assert [each.records for each in by_text] == [1, 2]
    assert sum(each.records for each in everything) == 30


def test_two_policies(make_store: MakeStore) -> None:
    """Texts that the second policy keeps and the first dropped are newly forwarded, by records."""
    old = [make_block(0, n) for n in range(2)]
    new = make_block(0, 2, policy_id="f" * 16)
    verdict = new.decisions.verdict.copy()
    verdict[4:6], verdict[0] = 0, 1
    new = replace(new, decisions=replace(new.decisions, verdict=verdict))
    with audit.open(make_store([*old, new])) as ledger:
        found = audit.policies(ledger, TOPIC, "0123456789abcdef", "f" * 16)
        none = audit.policies(ledger, TOPIC, "0123456789abcdef", "0123456789abcdef")
    assert (found.compared, found.incomparable) == (10, 0)
    assert (found.newly_dropped, found.newly_forwarded) == (1, 2)
    assert found.dropped_examples[0].example == Position(TOPIC, 0, 20)
    assert (none.newly_dropped, none.newly_forwarded) == (0, 0)


HOSTILE = [
    "1=1; DROP VIEW decisions",
    "1=1) UNION SELECT * FROM decisions --",
    "true; COPY decisions TO '{out}'",
    "(COPY decisions TO '{out}')",
    "EXISTS (SELECT * FROM read_text('/etc/passwd'))",
    "EXISTS (SELECT * FROM read_csv('/etc/passwd'))",
    "EXISTS (SELECT * FROM glob('/etc/*'))",
    "EXISTS (SELECT * FROM '/etc/passwd')",
    "EXISTS (SELECT * FROM read_parquet('{store}/decisions/**/*.parquet'))",
    "getenv('HOME') = 'x'",
    "EXISTS (SELECT * FROM sqlite_scan('{out}', 'x'))",
    "no_such_column = 1",
    "score >",
    "",
    "CAST(reason AS INT) = 1",
    "score = 1, true",
    "\x00",
    "SELECT 1",
]


@pytest.mark.parametrize("where", HOSTILE)
@pytest.mark.parametrize("command", ["summary", "sample"])
def test_hostile_conditions(command: str, where: str, store: Path, tmp_path: Path) -> None:
    """Refused with one line; nothing is read outside the views, nothing is written."""
    before = sorted(tmp_path.rglob("*"))
    where = where.replace("{out}", str(tmp_path / "out")).replace("{store}", str(store))
    done = CliRunner().invoke(
        main, ["audit", command, "--store", str(store), NOWHERE, "--where", where]
    )
    assert done.exit_code == 2, done.output
    assert done.stderr.startswith("error: --where")
    assert done.stderr.count("\n") == 1
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize(
    "query",
    [
        "COPY (SELECT 1) TO '{out}'",
        "ATTACH '{out}'",
        "EXPORT DATABASE '{out}'",
        "INSTALL httpfs",
        "SET enable_external_access = true",
        "RESET lock_configuration",
        "SELECT * FROM read_text('/etc/passwd')",
        "PRAGMA database_list; SELECT 1 FROM nowhere",
    ],
)
def test_hostile_queries(query: str, store: Path, tmp_path: Path) -> None:
    """Any query may be asked in Python; it reaches the views and no further."""
    with audit.open(store) as ledger:
        with pytest.raises(ConfigError):
            ledger.sql(query.replace("{out}", str(tmp_path / "out"))).fetchall()
        assert ledger.sql("SELECT count(*) FROM decisions").fetchall() == [(240,)]
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    "arguments",
    [
        ["summary", "--topic", "../../etc"],
        ["summary", "--topic", ".."],
        ["summary", "--store", "/nonexistent/store"],
        ["summary", "--from", "1h", "--to", "2h"],
        ["summary", "--from", "yesterday-ish"],
        ["summary", "--html", "/nonexistent/page.html"],
        ["sample", "--n", "0"],
        ["sample", "--by", "beauty"],
        ["diff"],
        ["diff", "--topic", TOPIC],
        ["diff", "--topic", TOPIC, "only-one"],
        ["diff", "--topic", TOPIC, "'; DROP", "b"],
        ["verify", "--where", "true"],
    ],
)
def test_asked_wrongly(arguments: list[str], store: Path) -> None:
    """What cannot be is refused, with the way out and no traceback."""
    if "--store" not in arguments:
        arguments = [*arguments, "--store", str(store)]
    done = CliRunner().invoke(main, ["audit", *arguments, NOWHERE])
    assert done.exit_code == 2, done.output
    assert "Traceback" not in done.output


@pytest.mark.parametrize("kind", ["missing", "foreign", "file"])
def test_no_store(kind: str, tmp_path: Path) -> None:
    """A mistyped --store is refused: it does not hold because nothing is in it."""
    path = tmp_path / kind
    if kind == "file":
        path.write_text("x")
    elif kind == "foreign":
        (path / "photos").mkdir(parents=True)
    done = CliRunner().invoke(main, ["audit", "verify", "--store", str(path), NOWHERE])
    assert (done.exit_code, done.stdout) == (2, "")
    assert "there is no store at" in done.stderr


def test_a_mistyped_topic_is_said(store: Path) -> None:
    """An account of nothing comes with a warning, and --json stays JSON."""
    words = ["audit", "summary", "--store", str(store), "--topic", "nosuch", NOWHERE, "--json"]
    done = CliRunner().invoke(main, words)
    assert done.exit_code == 0
    assert orjson.loads(done.stdout)
    assert "warning: the ledger of nosuch has nothing in that time" in done.stderr


def test_verify_on_the_command_line(store: Path) -> None:
    """Exit code 1 and the problem's name where something was removed."""
    assert ask("verify", "--store", store, NOWHERE, "--json")["chain"]["blocks"] == 24
    next((store / "decisions").rglob("*.parquet")).unlink()
    done = CliRunner().invoke(main, ["audit", "verify", "--store", str(store), NOWHERE])
    assert done.exit_code == 1
    assert "BROKEN" in done.stdout


def test_a_worker_loads_no_duckdb() -> None:
    """A worker starts without it."""
    code = "import sys, stream_filter.cli.run as m; sys.exit('duckdb' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
