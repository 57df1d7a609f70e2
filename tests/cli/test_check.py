"""`stream-filter check`: one clear line a problem, exit 2, never a traceback."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result

Invoke = Callable[..., Result]

TOPIC = "topics.payments.logs"
BROKEN = [
    # what is written for what, the line, what is said
    ("raw:", "rwa:", 6, f"{TOPIC}.rwa: unknown key: did you mean raw?"),
    ("0.8", "high", 6, f"{TOPIC}.raw.keep_above: input should be a valid number, not 'high'"),
    ("0.2", "0.9", 6, "thresholds are crossed"),
    ("version: 1", "version: 3", 1, "version: input should be 1, not 3"),
    ("{message}", "{message", 3, "is never closed"),
    ("    model: demo-platform\n", "", 3, f"{TOPIC}.model: is missing"),
    ("raw:", "holdout: .nan\n    raw:", 6, f"{TOPIC}.holdout: input should be a finite number"),
    ("raw:", "forward_to: payments.logs\n    raw:", 3, "would feed itself"),
    (
        "raw:",
        "budget: {overflow: defer}\n    raw:",
        6,
        "budget: a budget without a limit: name one",
    ),
    ("raw:", "budget: {per_minute: 0}\n    raw:", 6, "budget.per_minute"),
    ("raw:", "budget: {per_minit: 3}\n    raw:", 6, "did you mean per_minute"),
    ("raw:", "budget: {per_day: 3, overflow: drop}\n    raw:", 6, "budget.overflow"),
    ("raw:", "challenger: {}\n    raw:", 6, "a challenger that is the champion"),
    ("raw:", "challenger: {rules: [{when: 'a ==', then: drop}]}\n    raw:", 6, "when: column"),
    ("raw:", "challenger: {text: '{a'}\n    raw:", 3, "text: "),
    ("raw:", "challenger: {mode: shadow}\n    raw:", 6, "unknown key"),
    ("raw:", "overload: {max_lag: 30}\n    raw:", 6, "30 is no duration"),
    (
        "raw:",
        "overload: {max_lag: 30s, then: scout_only}\n    raw:",
        6,
        "scout_only: give drop_below and keep_above",
    ),
    ("raw:", "overload: {max_lag: 30s, drop_below: 0.1}\n    raw:", 6, "belong to scout_only"),
    ("topics:", "budgets: {elsewhere: {per_minute: 3}}\ntopics:", 2, "no topic forwards there"),
    ("demo-platform", "a/b", 3, "is not a pack's folder name"),
    ("topics:", "topics: [", 4, "not YAML"),
    ("raw:", "model: again\n    raw:", 6, "model: stands here twice"),
]


@pytest.mark.parametrize(("old", "new", "line", "said"), BROKEN, ids=[case[3] for case in BROKEN])
@pytest.mark.parametrize("as_json", [False, True], ids=["text", "json"])
def test_broken_policy(
    invoke: Invoke, policy: Path, old: str, new: str, line: int, said: str, as_json: bool
) -> None:
    """A broken policy exits 2 with one line that names file, line, key and what is wrong."""
    policy.write_text(policy.read_text().replace(old, new))
    result = invoke("check", policy, *(["--json"] if as_json else []))
    assert result.exit_code == 2
    assert "Traceback" not in result.output
    problems = [line.removeprefix("error: ") for line in result.stderr.splitlines()]
    assert any(p.startswith(f"{policy}:{line}: ") and said in p for p in problems), problems
    assert result.stderr.count("error: ") == len(problems)
    if as_json:
        assert json.loads(result.stdout) == {"ok": False, "errors": problems}
    else:
        assert result.stdout == ""


def check(invoke: Invoke, policy: Path, models: Path) -> tuple[int, str]:
    """The exit code of a check, and the one problem that it names."""
    result = invoke("check", policy, "--model-dir", models)
    assert "Traceback" not in result.output
    (problem,) = result.stderr.splitlines()
    return result.exit_code, problem


def test_missing_pack(invoke: Invoke, policy: Path, tmp_path: Path) -> None:
    """A pack that is not there exits 2, with its name and the way out."""
    code, problem = check(invoke, policy, tmp_path / "nowhere")
    assert code == 2
    assert problem.startswith("error: model pack 'demo-platform', manifest.json: the folder does")


@pytest.mark.parametrize("name", ["model.onnx", "tokenizer.json", "README.md"])
def test_flipped_byte(invoke: Invoke, policy: Path, models: Path, name: str) -> None:
    """One changed bit in any file of the pack is refused by its digest."""
    path = models / "demo-platform" / name
    data = bytearray(path.read_bytes())
    data[len(data) // 3] ^= 1
    path.write_bytes(data)
    code, problem = check(invoke, policy, models)
    assert code == 2
    assert name in problem
    assert "differ from the manifest's digest" in problem


def test_other_manifest(invoke: Invoke, policy: Path, models: Path) -> None:
    """Another digest in the manifest is refused as well."""
    path = models / "demo-platform" / "manifest.json"
    manifest = json.loads(path.read_text())
    manifest["files"]["model.onnx"] = "0" * 64
    path.write_text(json.dumps(manifest))
    code, problem = check(invoke, policy, models)
    assert code == 2
    assert "model.onnx: its bytes differ" in problem


def test_missing_file(invoke: Invoke, policy: Path, models: Path) -> None:
    """A pack without its graph is refused, and the file is named."""
    (models / "demo-platform" / "model.onnx").unlink()
    code, problem = check(invoke, policy, models)
    assert code == 2
    assert "model.onnx: is missing" in problem


def test_other_pack_than_meant(invoke: Invoke, policy: Path, models: Path) -> None:
    """Thresholds made for another pack are refused: both ids are named."""
    wanted = "{pack: demo-platform, id: 0123456789abcdef}"
    policy.write_text(policy.read_text().replace("demo-platform", wanted))
    code, problem = check(invoke, policy, models)
    assert code == 2
    assert "the policy's thresholds were made for 0123456789abcdef" in problem


def test_sound(invoke: Invoke, policy: Path, models: Path) -> None:
    """A sound policy exits 0 and prints the pack's id and the policy's."""
    result = invoke("check", policy, "--model-dir", models)
    assert (result.exit_code, result.stderr) == (0, "")
    assert "pack demo-platform: id " in result.stdout
    document = invoke("check", policy, "--model-dir", models, "--json")
    found = json.loads(document.stdout)
    assert found["ok"] is True
    assert found["policy_id"] in result.stdout
    assert found["packs"]["demo-platform"] in result.stdout
    assert found["topics"] == ["payments.logs"]


@pytest.mark.parametrize("as_json", [False, True], ids=["text", "json"])
def test_unreachable_broker(invoke: Invoke, policy: Path, models: Path, as_json: bool) -> None:
    """A broker that does not answer is one line that names it and the way out; exit 2."""
    arguments = ["--bootstrap", "127.0.0.1:1", *(["--json"] if as_json else [])]
    result = invoke("check", policy, "--model-dir", models, *arguments)
    assert result.exit_code == 2
    (problem,) = result.stderr.splitlines()
    assert problem.startswith("error: connecting to 127.0.0.1:1: ")
    assert problem.endswith("check --bootstrap and that the broker runs")
    if as_json:
        assert json.loads(result.stdout)["ok"] is False


@pytest.mark.parametrize("bootstrap", ["kafka:port", "", ":::", "a:1,,b"])
def test_bad_address(invoke: Invoke, policy: Path, bootstrap: str) -> None:
    """An address that is none is a mistake of usage: one line, exit 2."""
    result = invoke("check", policy, "--bootstrap", bootstrap)
    assert result.exit_code == 2
    (problem,) = result.stderr.splitlines()
    assert "is not HOST:PORT" in problem


def test_a_scout_that_is_not_there(invoke: Invoke, policy: Path, models: Path) -> None:
    """Where the scout is to decide alone and the pack has none, it is one line and a way out."""
    overload = "{max_lag: 30s, then: scout_only, drop_below: 0.1, keep_above: 0.9}"
    policy.write_text(policy.read_text() + f"    overload: {overload}\n")
    result = invoke("check", policy, "--model-dir", models)
    assert (result.exit_code, result.stderr.count("\n")) == (2, 1)
    assert "demo-platform" in result.stderr
    assert "names no scout" in result.stderr
