"""`stream-filter archive` asked for wrongly."""

from pathlib import Path

import pytest
from click.testing import CliRunner

from stream_filter.cli.main import main


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "no store"),
        (["--store", "nosuch://bucket/x"], "nosuch"),
        (["--store", "s3://"], "names no folder"),
        (["--store", "/"], "names no folder"),
        (["--store", "{file}/store"], "cannot be written"),
        (["--store", "x", "--keep-days", "0"], "keep-days"),
    ],
)
def test_a_store_that_cannot_be(arguments: list[str], said: str, tmp_path: Path) -> None:
    """What is missing or wrong is one line that says the way out; nothing is connected to."""
    (tmp_path / "file").write_text("x")
    words = [word.replace("{file}", str(tmp_path / "file")) for word in arguments]
    done = CliRunner().invoke(main, ["archive", *words])
    assert done.exit_code == 2
    assert said in done.stderr
    assert "Traceback" not in done.stderr
