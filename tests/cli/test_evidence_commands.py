"""`calibrate`, `plan` and `simulate`: what they say, write and exit with."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from click.testing import Result

from stream_filter.app.policy_file import load_policy
from stream_filter.cli.quantities import money_text, share_text, span_text
from stream_filter.core.calibration import calibrate
from stream_filter.core.targets import Target
from stream_filter.models.pack import load_pack
from stream_filter.simulation.launching import Launched

Invoke = Callable[..., Result]
PLAN = ("plan", "--prevalence", "0.01", "--auc", "0.99", "--rate", "1000/s", "--price", "2.5")


MODELS = Path(__file__).parents[2] / "models"


def into(policy: Path) -> tuple[object, ...]:
    """Arguments that write into a policy."""
    topic = ("--topic", "payments.logs", "--write", "--model-dir", MODELS)
    return ("--policy", policy, *topic)


@pytest.fixture
def labels(tmp_path: Path) -> Callable[[int], Path]:
    """Writes labels with so many important ones."""

    def write(positives: int) -> Path:
        rng = np.random.default_rng(positives)
        scores = [*rng.beta(6, 2, positives), *rng.beta(1, 6, 400)]
        path = tmp_path / "labels.jsonl"
        path.write_text(
            "".join(
                json.dumps({"score": round(float(s), 6), "important": i < positives}) + "\n"
                for i, s in enumerate(scores)
            )
        )
        return path

    return write


def columns(path: Path) -> tuple[list[float], list[bool]]:
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    return [r["score"] for r in rows], [r["important"] for r in rows]


def test_calibrate_says_what_the_core_says(invoke: Invoke, labels: Callable[[int], Path]) -> None:
    """Table and document have the core's threshold, share and counts; exit code 0."""
    path = labels(100)
    expected = calibrate(*columns(path), recall=0.95, failure_probability=0.05)
    result = invoke("calibrate", path)
    assert result.exit_code == 0
    assert f"{expected.threshold:.5g}" in result.stdout
    assert share_text(expected.expected_forwarded_share) in result.stdout
    assert "● recall of the labels" in result.stdout
    document = json.loads(invoke("calibrate", path, "--json").stdout)
    assert document["ok"] is True
    assert document["threshold"] == expected.threshold
    assert document["expected_forwarded_share"] == expected.expected_forwarded_share
    assert (document["positives"], document["positives_needed"]) == (100, 59)
    assert document["written"] is False


def test_calibrate_with_too_few(
    invoke: Invoke, labels: Callable[[int], Path], policy: Path
) -> None:
    """Too few important labels: exit 1, one line with how many more, and nothing is written."""
    before = policy.read_bytes()
    result = invoke("calibrate", labels(40), *into(policy))
    assert result.exit_code == 1
    (problem,) = result.stderr.splitlines()
    assert "40 important events" in problem
    assert "label 19 more" in problem
    assert policy.read_bytes() == before
    document = invoke("calibrate", labels(40), *into(policy), "--json")
    assert document.exit_code == 1
    assert json.loads(document.stdout)["ok"] is False


def test_calibrate_writes(invoke: Invoke, labels: Callable[[int], Path], policy: Path) -> None:
    """--write puts drop_below in the policy, never above the threshold, and keeps the rest."""
    path = labels(300)
    before = policy.read_text()
    result = invoke("calibrate", path, *into(policy))
    assert result.exit_code == 0
    threshold = calibrate(*columns(path), recall=0.95, failure_probability=0.05).threshold
    rules = load_policy(policy).topics[0]
    assert threshold * (1 - 1.2e-4) <= rules.thresholds.drop_below < threshold
    assert rules.thresholds.keep_above == 0.8
    assert {*before.replace("0.2", repr(rules.thresholds.drop_below)).splitlines()} < {
        *policy.read_text().splitlines()
    }
    assert load_policy(policy).policy_id in result.stdout
    assert rules.target == Target(recall=0.95, failure_probability=0.05)
    bound = rules.calibrated_for
    assert bound is not None
    assert bound.drop_below == rules.thresholds.drop_below
    assert bound.model_id == load_pack(MODELS / "demo-platform").model_id
    assert (bound.reading_id, bound.positives) == (rules.reading_id, 300)


def test_calibrate_for_the_policys_target(
    invoke: Invoke, labels: Callable[[int], Path], policy: Path
) -> None:
    """Without --recall the policy's target is meant; for less than it nothing is written."""
    path, text = labels(100), policy.read_text()
    policy.write_text(text.replace("    raw:", "    target: {recall: 0.9}\n    raw:"))
    arguments = ("calibrate", path, "--policy", policy, "--topic", "payments.logs", "--json")
    document = json.loads(invoke(*arguments).stdout)
    assert (document["recall"], document["positives_needed"]) == (0.9, 29)
    before = policy.read_text()
    result = invoke("calibrate", path, *into(policy), "--recall", "0.8")
    assert result.exit_code == 2
    assert "was made for recall 0.8" in result.stderr
    assert policy.read_text() == before


def test_labels_of_another_pack(
    invoke: Invoke, tmp_path: Path, labels: Callable[[int], Path], policy: Path
) -> None:
    """Scores of another pack, or of two, calibrate no threshold of this one."""
    text, before = labels(100).read_text(), policy.read_text()
    path = tmp_path / "others.jsonl"
    path.write_text(text.replace("}", ', "model_id": "0123456789abcdef"}'))
    result = invoke("calibrate", path, *into(policy))
    assert result.exit_code == 2
    assert "the labels' scores are of pack 0123456789abcdef, and demo-platform" in result.stderr
    path.write_text(path.read_text() + '{"score": 0.5, "important": true, "model_id": "x"}\n')
    result = invoke("calibrate", path, *into(policy))
    assert result.exit_code == 2
    assert f"{path}:501: model_id: these scores are of pack 'x'" in result.stderr
    assert policy.read_text() == before


def test_a_threshold_of_another_pack_is_refused(
    invoke: Invoke, labels: Callable[[int], Path], policy: Path
) -> None:
    """`check` names the pack, both ids and the way out."""
    invoke("calibrate", labels(100), *into(policy))
    own = load_pack(MODELS / "demo-platform").model_id
    policy.write_text(policy.read_text().replace(own, "0123456789abcdef"))
    result = invoke("check", policy, "--model-dir", MODELS)
    assert result.exit_code == 2
    assert f"its id is {own}, the policy's thresholds were made for 0123456789abc" in result.stderr
    assert "calibrate for this one" in result.stderr


def test_check_says_what_a_target_means(invoke: Invoke, policy: Path) -> None:
    """A target without a threshold forwards everything, and `check` says so."""
    text = policy.read_text().replace("{drop_below: 0.2, keep_above: 0.8}", "{recall: 0.95}")
    policy.write_text(text.replace("raw:", "target:"))
    result = invoke("check", policy, "--model-dir", MODELS)
    assert result.exit_code == 0
    assert "topics.payments.logs.target: no threshold is calibrated" in result.stderr


def test_threshold_above_the_band(invoke: Invoke, tmp_path: Path, policy: Path) -> None:
    """A threshold above the old keep_above moves it up: thresholds never cross."""
    path = tmp_path / "labels.jsonl"
    path.write_text('{"score": 0.9, "important": true}\n' * 100)
    invoke("calibrate", path, *into(policy))
    thresholds = load_policy(policy).topics[0].thresholds
    assert thresholds.drop_below == thresholds.keep_above == pytest.approx(0.9, rel=1e-4)


@pytest.mark.parametrize(
    "arguments",
    [
        ["calibrate"],
        ["calibrate", "x", "--recall", "95"],
        ["calibrate", "x", "--write"],
        ["calibrate", "x", "--topic", "t"],
        ["plan", "--prevalence", "0.1"],
        [*PLAN, "--rate", "fast"],
        [*PLAN, "--certify-within", "soon"],
        [*PLAN, "--labels", "0"],
        ["simulate", "--drift", "upwards"],
        ["simulate", "--streams", "1"],
    ],
    ids=" ".join,
)
def test_wrong_usage(invoke: Invoke, arguments: list[str]) -> None:
    """Wrong usage exits 2, says what is wrong, and prints nothing on stdout."""
    result = invoke(*arguments)
    assert (result.exit_code, result.stdout) == (2, "")
    assert "Error: " in result.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        ["calibrate", "nowhere.jsonl"],
        ["calibrate", "x", "--policy", "nowhere.yaml", "--topic", "t"],
        [*PLAN[:4], "0.3", *PLAN[5:]],
    ],
)
def test_wrong_configuration(invoke: Invoke, arguments: list[str]) -> None:
    """Files that are not there and models worse than chance are one line and exit 2."""
    result = invoke(*arguments)
    assert (result.exit_code, result.stdout) == (2, "")
    (problem,) = result.stderr.splitlines()
    assert problem.startswith("error: ")


def test_plan(invoke: Invoke) -> None:
    """A row for each number of labels, the cheapest marked, a plot; the same as a document."""
    result = invoke(*PLAN)
    assert result.exit_code == 0
    assert "◄ cheapest in the first month" in result.stdout
    assert "● AUC 0.99" in result.stdout
    document = json.loads(invoke(*PLAN, "--json").stdout)
    assert [plan["positives"] for plan in document["plans"]] == [59, 100, 300, 1_000, 3_000]
    cheapest = document["cheapest_labels"]
    total = {
        p["positives"]: p["labelling_cost"] + 30 * p["cost_per_day"]["median"]
        for p in document["plans"]
        if p["certified_after_s"]
    }
    assert min(total, key=lambda n: total[n]) == cheapest
    # 1,000/s × 86,400 s × 300 tokens × 2.5 / 10⁶
    assert document["cost_per_day_of_reading_everything"] == pytest.approx(64_800)
    first = document["plans"][0]
    assert first["cost_per_day"]["median"] == pytest.approx(
        64_800 * first["forwarded_share"]["median"]
    )


def test_plan_beside_what_came(invoke: Invoke) -> None:
    """In simulated runs the forwarded share and the time to the certificate are within a quarter of
    the plan; a row that foretells no certificate is not run."""
    arguments = (*PLAN, "--labels", "20", "--labels", "100", "--simulate", "1000")
    result = invoke(*arguments)
    assert "and so it came in 1,000 made streams each" in result.stdout
    assert result.exit_code == 0, result.stderr
    without, plan = json.loads(invoke(*arguments, "--json").stdout)["plans"]
    assert without["simulated"] is None
    came = plan["simulated"]
    assert came["forwarded_share"] == pytest.approx(plan["forwarded_share"]["median"], rel=0.25)
    assert came["certified_after_s"] == pytest.approx(plan["certified_after_s"]["median"], rel=0.25)


def test_plan_that_is_not_met_says_so(invoke: Invoke, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where a run is off by more than a quarter, the exit code is 1."""
    far = Launched(recall=0.9, forwarded_share=0.9, certified_after_s=1.0)
    monkeypatch.setattr("stream_filter.cli.plan.launch", lambda *_, **__: far)
    result = invoke(*PLAN, "--simulate", "100")
    assert result.exit_code == 1
    assert "off by more than a quarter" in result.stderr


def test_plan_that_cannot_be(invoke: Invoke) -> None:
    """A stream too slow for any certificate in time: exit 1, and what to change."""
    result = invoke(*PLAN, "--rate", "1/day", "--certify-within", "1h")
    assert result.exit_code == 1
    assert "no plan is certified in time" in result.stderr
    assert "not in sight" in result.stdout


def test_simulate(invoke: Invoke) -> None:
    """Promises stand beside what came, and the same seed gives the same figures."""
    small = ("simulate", "--streams", "60", "--important", "300", "--positives", "80")
    result = invoke(*small)
    assert result.exit_code == 0
    assert "target met, 80 positives" in result.stdout
    assert result.stdout.count("kept") == 5
    documents = [json.loads(invoke(*small, "--json").stdout) for _ in range(2)]
    assert documents[0] == documents[1]
    assert documents[0]["setting"]["scores"] == "continuous"
    assert documents[0] != json.loads(invoke(*small, "--seed", "2", "--json").stdout)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (share_text(0.5), "50.0 %"),
        (share_text(0.0), "0 %"),
        (share_text(1.0), "100 %"),
        (share_text(0.000032), "0.0032 %"),
        (share_text(0.9995), "99.950 %"),
        (span_text(37.0), "37 s"),
        (span_text(3_700.0), "62 min"),
        (span_text(86_400.0), "24 h"),
        (span_text(1e6), "12 d"),
        (span_text(float("inf")), "not in sight"),
        (money_text(12_345.6), "12,346"),
        (money_text(0.5), "0.50"),
    ],
)
def test_quantities(text: str, expected: str) -> None:
    """Figures are printed with the digits that matter and their unit."""
    assert text == expected


def test_certificate_with_wrong_settings(invoke: Invoke, tmp_path: Path) -> None:
    """A mistake in the settings is one line and exit code 2, with and without a subcommand."""
    for command in (("certificate",), ("certificate", "verify")):
        result = invoke(*command, "--settings", tmp_path / "none.yaml")
        assert (result.exit_code, result.stderr.count("\n")) == (2, 1)
        result = invoke(*command, "--bootstrap", "nobody:x")
        assert (result.exit_code, result.stderr.count("\n")) == (2, 1)
