"""`stream-filter test`: exit codes, what is printed, and the report for CI."""

import json
from collections.abc import Callable
from pathlib import Path
from xml.etree import ElementTree

import pytest
from click.testing import Result

Invoke = Callable[..., Result]
CASES = """\
version: 1
cases:
  - name: signing
    payload: {level: ERROR, message: "signing key could not be loaded, no tokens can be issued"}
    expect: {verdict: keep, reason: important}
  - name: "hostile \\e[31m name"
    payload: "{\\e"
    expect: {route: dead_letter}
"""
WRONG = CASES.replace("dead_letter", "discard")


@pytest.fixture
def cases(tmp_path: Path) -> Path:
    """Two cases that hold on the sound policy."""
    path = tmp_path / "cases.yaml"
    path.write_text(CASES)
    return path


def test_all_hold(invoke: Invoke, policy: Path, models: Path, cases: Path) -> None:
    """Cases that hold are counted, exit 0, and nothing else is printed."""
    result = invoke("test", policy, cases, "--model-dir", models)
    assert (result.exit_code, result.stderr) == (0, "")
    (line,) = result.stdout.splitlines()
    assert line.startswith("2 cases passed, policy id ")


def test_one_fails(invoke: Invoke, policy: Path, models: Path, cases: Path) -> None:
    """A case that fails exits 1, shows place, expected, got and cause, and steers no terminal."""
    cases.write_text(WRONG)
    result = invoke("test", policy, cases, "--model-dir", models)
    assert result.exit_code == 1
    assert result.stdout.startswith(
        f"FAILED {cases}:6: payments.logs: hostile \\x1b[31m name\n"
        "           expected  got\n"
        "  route    discard   dead_letter\n"
        "  decided  abstain: dead_letter, undecodable\n"
        "  text     none\n"
        "  score    none (drop below 0.2, keep from 0.8; shadow)\n"
        "  cause    broken JSON: "
    )
    assert result.stdout.splitlines()[-1].startswith("1 of 2 cases failed, policy id ")
    assert "\x1b" not in result.stdout


def test_json(invoke: Invoke, policy: Path, models: Path, cases: Path) -> None:
    """--json prints one document with every case, what it expected and what came out."""
    cases.write_text(WRONG)
    result = invoke("test", policy, cases, "--model-dir", models, "--json")
    assert result.exit_code == 1
    document = json.loads(result.stdout)
    assert [document[key] for key in ("ok", "passed", "failed")] == [False, 1, 1]
    good, bad = document["cases"]
    assert (good["ok"], good["place"], good["mismatches"]) == (True, f"{cases}:3", [])
    assert good["got"]["verdict"] == "keep"
    assert 0.8 <= good["got"]["score"] <= 1
    assert (bad["expected"], bad["mismatches"]) == ({"route": "discard"}, ["route"])
    assert bad["got"]["route"] == "dead_letter"


@pytest.mark.parametrize("content", [CASES, WRONG], ids=["holds", "fails"])
def test_junit(
    invoke: Invoke, policy: Path, models: Path, cases: Path, tmp_path: Path, content: str
) -> None:
    """--junit writes the report whether the cases hold or not."""
    cases.write_text(content)
    report = tmp_path / "report.xml"
    result = invoke("test", policy, cases, "--model-dir", models, "--junit", report)
    (suite,) = ElementTree.parse(report).getroot()
    assert (suite.get("name"), suite.get("tests")) == (str(cases), "2")
    assert suite.get("failures") == str(result.exit_code)


def test_report_without_a_place(
    invoke: Invoke, policy: Path, models: Path, cases: Path, tmp_path: Path
) -> None:
    """A report that cannot be written is one line and exit 2."""
    nowhere = tmp_path / "nowhere" / "r.xml"
    result = invoke("test", policy, cases, "--model-dir", models, "--junit", nowhere)
    assert result.exit_code == 2
    (problem,) = result.stderr.splitlines()
    assert problem.startswith(f"error: {nowhere}: cannot be written: ")


@pytest.mark.parametrize("as_json", [False, True], ids=["text", "json"])
def test_unsound_cases(invoke: Invoke, policy: Path, cases: Path, as_json: bool) -> None:
    """An unsound case file exits 2 with one line, before any pack is opened."""
    cases.write_text(CASES.replace("expect: {route", "expect: {ruote"))
    flags = ["--json"] if as_json else []
    result = invoke("test", policy, cases, "--model-dir", "nowhere", *flags)
    assert result.exit_code == 2
    (problem,) = result.stderr.splitlines()
    place = f"{cases}:8: cases.1.expect.ruote"
    assert problem == f"error: {place}: unknown key: did you mean route?"
    if as_json:
        assert json.loads(result.stdout)["errors"] == [problem.removeprefix("error: ")]


def test_missing_pack(invoke: Invoke, policy: Path, cases: Path) -> None:
    """Without its pack a policy cannot be tested: one line, exit 2."""
    result = invoke("test", policy, cases, "--model-dir", "nowhere")
    assert result.exit_code == 2
    (problem,) = result.stderr.splitlines()
    assert problem.startswith("error: model pack 'demo-platform'")
