"""All commands: help that teaches, exit codes, errors in one line."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import click
import pytest
from click.testing import Result

from stream_filter import __version__
from stream_filter.cli.main import main

Invoke = Callable[..., Result]
NOWHERE = "127.0.0.1:1"


def commands(command: click.Command, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """The path of every command and group."""
    yield path
    if isinstance(command, click.Group):
        context = click.Context(command)
        for name in command.list_commands(context):
            below = command.get_command(context, name)
            assert below is not None
            assert below.name == name
            yield from commands(below, (*path, name))


@pytest.mark.parametrize("path", list(commands(main)), ids=lambda path: " ".join(path) or "main")
def test_help_teaches(invoke: Invoke, path: tuple[str, ...]) -> None:
    """The help of every command says what it is for and shows an example of its use."""
    result = invoke(*path, "--help")
    assert result.exit_code == 0
    usage, _, rest = result.stdout.partition("\n")
    assert usage.startswith("Usage: ")
    assert " ".join(("stream-filter", *path)).strip() in rest
    assert len(rest.strip().splitlines()[0]) > 20
    assert invoke(*path, "-h").stdout == result.stdout


@pytest.mark.parametrize("argument", ["--help", "--version"])
def test_help_loads_nothing_heavy(argument: str) -> None:
    """Asking what there is takes no vendor's library, and so no time."""
    code = (
        "import sys; from stream_filter.cli.main import main\n"
        f"main(['{argument}'], standalone_mode=False)\n"
        "heavy = 'aiokafka duckdb faust numpy onnxruntime pyarrow pydantic'.split()\n"
        "sys.exit(' '.join(set(heavy) & set(sys.modules)) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True, text=True)
    assert (done.returncode, done.stderr.strip()) == (0, "")


@pytest.mark.parametrize(
    "arguments",
    [
        ["check"],
        ["frobnicate"],
        ["check", "x", "--no-such-option"],
        ["run"],
        ["test", "x"],
        ["try"],
        ["tap"],
        ["tap", "t", "--route", "sideways"],
        ["ledger", "verify"],
        ["ledger", "verify", "--topic", "t", "--from", "yesterday"],
        ["topics", "create"],
        ["topics", "create", "--policy", "x", "--partitions", "0"],
        ["run", "--policy", "x", "--delivery", "perhaps"],
        ["demo", "--seconds", "nan"],
        ["demo", "--seconds", "1e23"],
        ["audit", "summary", "--price", "nan"],
        ["audit", "summary", "--price", "1e400"],
        ["evaluate", "x", "y", "--drop-below", "nan"],
        ["tap", "t", "--min-score", "nan"],
    ],
    ids=" ".join,
)
def test_wrong_usage(invoke: Invoke, arguments: list[str]) -> None:
    """Wrong usage exits 2, says what is wrong, and prints nothing on stdout."""
    result = invoke(*arguments)
    assert result.exit_code == 2
    assert "Error: " in result.stderr
    assert result.stdout == ""


@pytest.mark.parametrize(
    "arguments",
    [
        ["check", "nowhere.yaml"],
        ["run", "--policy", "nowhere.yaml"],
        ["test", "nowhere.yaml", "cases.yaml"],
        ["try", "nowhere.yaml", "events.jsonl"],
        ["topics", "create", "--policy", "nowhere.yaml"],
        ["tap", "t", "--settings", "nowhere.yaml"],
        ["ledger", "verify", "--topic", "t", "--policy", "nowhere.yaml"],
        ["check", "policy.yaml", "--settings", "nowhere.yaml"],
    ],
    ids=" ".join,
)
def test_missing_files(invoke: Invoke, arguments: list[str]) -> None:
    """A file that is not there is one line and exit 2, in every command."""
    result = invoke(*arguments)
    assert result.exit_code == 2
    assert result.stderr == (
        "error: nowhere.yaml: cannot be read: No such file or directory: check the path\n"
    )


@pytest.mark.parametrize("as_json", [False, True], ids=["text", "json"])
@pytest.mark.parametrize(
    "arguments",
    [["topics", "create", "--policy"], ["ledger", "verify", "--topic", "t", "--policy"]],
)
def test_unreachable_broker(
    invoke: Invoke, policy: Path, arguments: list[str], as_json: bool
) -> None:
    """A broker that does not answer is one line and exit 1, and with --json one document."""
    flags = ["--json"] if as_json else []
    result = invoke(*arguments, policy, "--bootstrap", NOWHERE, *flags)
    assert result.exit_code == 1
    (problem,) = result.stderr.splitlines()
    assert problem.startswith(f"error: connecting to {NOWHERE}: ")
    if as_json:
        expected = {"ok": False, "errors": [problem.removeprefix("error: ")]}
        assert json.loads(result.stdout) == expected


def test_version(invoke: Invoke) -> None:
    """--version names program and version."""
    assert invoke("--version").stdout == f"stream-filter, version {__version__}\n"


def real(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """Runs the program as a user does."""
    clean = {k: v for k, v in os.environ.items() if not k.startswith("STREAM_FILTER_")}
    return subprocess.run(
        [sys.executable, "-m", "stream_filter", *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=60,
        env=clean,
        check=False,
    )


def test_real_broken_policy(policy: Path) -> None:
    """As a process: a broken policy is one line on stderr, nothing on stdout, exit 2."""
    policy.write_text(policy.read_text().replace("raw:", "rwa:"))
    done = real("check", policy)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.splitlines()[0].startswith(f"error: {policy}:")
    assert all(line.startswith("error: ") for line in done.stderr.splitlines())


def test_real_unreachable_broker() -> None:
    """As a process: nothing but our own line is written, also not by the libraries below."""
    done = real("tap", "t", "--bootstrap", NOWHERE)
    assert (done.returncode, done.stdout) == (1, "")
    (problem,) = done.stderr.splitlines()
    assert problem.startswith(f"error: connecting to {NOWHERE}: ")


def test_real_json(policy: Path, models: Path) -> None:
    """As a process: --json writes one JSON document on stdout and nothing beside it."""
    done = real("check", policy, "--model-dir", models, "--json")
    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads(done.stdout)["ok"] is True
