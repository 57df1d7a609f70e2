"""`stream-filter train` and `evaluate`: from labelled events to a pack, and its figures."""

import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import Result

from stream_filter.models.pack import load_pack
from stream_filter.models.staged_scorer import StagedScorer

Invoke = Callable[..., Result]
GOOD = (
    "request served",
    "cache warmed",
    "job done",
    "user logged in",
    "page rendered",
    "item sold",
)
BAD = ("disk broken", "order lost", "payment charged twice", "node vanished", "data corrupted")
PLACES = tuple(
    f"{a}{b}" for a in ("north", "south", "east", "west") for b in ("gate", "hall", "wing")
)


def line(rng: random.Random) -> dict[str, Any]:
    """An event: important where something broke."""
    important = rng.random() < 0.3
    what, where, of = rng.choice(BAD if important else GOOD), rng.choice(PLACES), rng.choice(PLACES)
    return {"text": f"{what} in the {where} of {of}", "important": important, "site": of[-4:]}


def write(path: Path, rows: list[dict[str, Any]]) -> Path:
    """JSON lines."""
    path.write_text("\n".join(map(json.dumps, rows)))
    return path


@pytest.fixture
def labelled(tmp_path: Path) -> Path:
    """600 labelled events."""
    rng = random.Random(1)
    return write(tmp_path / "labelled.jsonl", [line(rng) for _ in range(600)])


@pytest.fixture
def trained(invoke: Invoke, labelled: Path, tmp_path: Path) -> Path:
    """A pack trained on them."""
    result = invoke("train", labelled, "--out", tmp_path / "models" / "own")
    assert result.exit_code == 0, result.stderr
    return tmp_path / "models" / "own"


def test_trained_pack_tells_them_apart(
    invoke: Invoke, labelled: Path, trained: Path, tmp_path: Path
) -> None:
    """The pack is sound, ranks events of another seed, is calibrated, and its card and manifest
    say what it was made from."""
    manifest = load_pack(trained).manifest
    assert [stage.kind for stage in manifest.stages] == ["scout"]
    assert invoke("pack", "verify", trained).exit_code == 0
    rng = random.Random(2)
    other = write(tmp_path / "other.jsonl", [line(rng) for _ in range(400)])
    found = json.loads(invoke("evaluate", trained, other, "--json").stdout)
    pack = found["contenders"]["the pack"]
    assert pack["auc"]["value"] > 0.99
    assert pack["calibration_error"] < 0.1
    quality = {figure.metric: figure for figure in manifest.quality}
    assert quality["auc"].low is not None
    assert quality["auc"].low <= quality["auc"].value <= (quality["auc"].high or 0)
    for figure in manifest.quality:
        assert f"| {figure.metric} | {figure.value:g} |" in (trained / "README.md").read_text()
    texts = {json.loads(each)["text"] for each in labelled.read_text().splitlines()}
    assert manifest.training.texts == len(texts)
    assert all(speed.texts_per_s > 0 for speed in manifest.speed)


def test_the_scores_are_those_that_were_calibrated(trained: Path) -> None:
    """The scout on disk gives important texts high scores and others low ones: the fitted offset
    is in the calibration."""
    scorer = StagedScorer(load_pack(trained), threads=1)
    scores = scorer.score([f"{bad} in the northgate of westhall" for bad in BAD])
    assert scores.min() > 0.5
    scores = scorer.score([f"{good} in the northgate of westhall" for good in GOOD])
    assert scores.max() < 0.5


def test_same_seed_same_scout(
    invoke: Invoke, labelled: Path, trained: Path, tmp_path: Path
) -> None:
    """Trained again, every byte of the scout is the same."""
    again = tmp_path / "again"
    assert invoke("train", labelled, "--out", again).exit_code == 0
    assert (again / "scout.npy").read_bytes() == (trained / "scout.npy").read_bytes()


def test_evaluate_stands_beside_what_is_cheaper(
    invoke: Invoke, labelled: Path, trained: Path
) -> None:
    """Keyword rule and n-grams on the same events; slices add up."""
    found = json.loads(invoke("evaluate", trained, labelled, "--slice", "site", "--json").stdout)
    contenders = found["contenders"]
    known = {"the pack", "keyword rule", "n-grams with a linear model"}
    trained_too = {"n-gram TF-IDF + logistic regression", "frozen encoder + logistic regression"}
    assert known <= set(contenders) <= known | trained_too
    assert set(found["left_out"]) == trained_too - set(contenders)
    assert {c["events"] for c in contenders.values()} == {600}
    assert contenders["keyword rule"]["auc"]["value"] < 0.9
    rows = found["slices"]["site"].values()
    assert sum(row["events"] for row in rows) == 600
    assert sum(row["important"] for row in rows) == contenders["the pack"]["important"]
    shown = invoke("evaluate", trained, labelled, "--slice", "site")
    assert shown.exit_code == 0
    assert "keyword rule" in shown.stdout


def test_evaluate_beside_what_learned_from_the_same_labels(
    invoke: Invoke, labelled: Path, trained: Path, tmp_path: Path
) -> None:
    """With --trained-on, what stands beside the pack learns from that file alone: with its labels
    turned round, it ranks the events the wrong way round."""
    rows = [json.loads(each) for each in labelled.read_text().splitlines()]
    turned = write(
        tmp_path / "turned.jsonl", [row | {"important": not row["important"]} for row in rows]
    )
    rng = random.Random(2)
    other = write(tmp_path / "other.jsonl", [line(rng) for _ in range(100)])
    for path, low, high in ((labelled, 0.95, 1.0), (turned, 0.0, 0.05)):
        found = json.loads(
            invoke("evaluate", trained, other, "--trained-on", path, "--json").stdout
        )
        by_ngrams = found["contenders"]["n-grams with a linear model"]
        assert low <= by_ngrams["auc"]["value"] <= high
        assert by_ngrams["events"] == 100
    assert invoke("evaluate", trained, other, "--trained-on", tmp_path / "none").exit_code == 2


@pytest.mark.parametrize(
    ("options", "code"),
    [
        (("--min-recall", "0.9", "--max-forwarded", "0.5"), 0),
        (("--min-recall", "0.99", "--max-forwarded", "0.05"), 1),
        (("--drop-below", "0.0", "--min-recall", "0.99"), 0),
        (("--drop-below", "0.0", "--max-forwarded", "0.9"), 1),
        (("--drop-below", "1.0", "--min-recall", "0.5"), 1),
        (("--min-recall", "0.9"), 2),
    ],
)
def test_evaluate_as_a_check(
    invoke: Invoke, labelled: Path, trained: Path, options: tuple[str, ...], code: int
) -> None:
    """Exit 1 where a bound is broken, said in words; 2 where the bounds make no sense."""
    result = invoke("evaluate", trained, labelled, *options)
    assert result.exit_code == code
    assert ("FAILED" in result.stdout) == (code == 1)


def test_evaluate_shows_what_attacks_do(invoke: Invoke, labelled: Path, trained: Path) -> None:
    """With a threshold, each attack's share of dropped important events, as table and JSON; without
    one it is refused."""
    asked = ("evaluate", trained, labelled, "--evasion")
    found = json.loads(invoke(*asked, "--drop-below", "0.3", "--json").stdout)["dropped_by_attack"]
    assert found["look-alike letters"] == found["none"] < 0.5
    assert all(0 <= share <= 1 for share in found.values())
    assert "zero-width characters" in invoke(*asked, "--drop-below", "0.3").stdout
    refused = invoke(*asked)
    assert refused.exit_code == 2
    assert "needs a threshold" in refused.stderr


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ([{"text": f"a{c}", "important": True} for c in "bcdefghij"], "too few labels"),
        ([{"text": "a", "important": True}, {"text": "b", "important": False}], "too few labels"),
        ([{"text": "same", "important": n % 2} for n in range(100)], "too few labels"),
        ([{"text": "", "important": 1}], "no event with a text"),
    ],
    ids=["one class", "two labels", "contradiction", "empty texts"],
)
def test_labels_that_do_not_suffice(
    invoke: Invoke, tmp_path: Path, rows: list[dict[str, Any]], said: str
) -> None:
    """One clear line, exit 2, and no pack."""
    result = invoke("train", write(tmp_path / "l.jsonl", rows), "--out", tmp_path / "own")
    assert result.exit_code == 2
    assert said in result.stderr
    assert result.stderr.count("\n") == 1
    assert not (tmp_path / "own").exists()


def test_contradictions_are_kept_and_told(invoke: Invoke, labelled: Path, tmp_path: Path) -> None:
    """A text with both labels stays, and the card says how many there are."""
    rows = [json.loads(each) for each in labelled.read_text().splitlines()]
    rows.append({"text": rows[0]["text"], "important": not rows[0]["important"]})
    path = write(tmp_path / "both.jsonl", rows)
    result = invoke("train", path, "--out", tmp_path / "both", "--json")
    assert json.loads(result.stdout)["contradicted_texts"] == 1
    assert "1 texts have both labels" in (tmp_path / "both" / "README.md").read_text()


@pytest.mark.parametrize("name", ["Upper", "a_b", ".."])
def test_bad_names_are_refused_before_the_work(
    invoke: Invoke, labelled: Path, tmp_path: Path, name: str
) -> None:
    """A folder that cannot be a pack's name: exit 2."""
    result = invoke("train", labelled, "--out", tmp_path / name)
    assert result.exit_code == 2
    assert "name another folder" in result.stderr


def test_evaluate_needs_two_classes(invoke: Invoke, trained: Path, tmp_path: Path) -> None:
    """Events of one class have no AUC: exit 2, in words."""
    path = write(tmp_path / "one.jsonl", [{"text": f"t{n}", "important": True} for n in range(9)])
    result = invoke("evaluate", trained, path)
    assert result.exit_code == 2
    assert "nothing to tell apart" in result.stderr


def test_scores_do_not_depend_on_the_order_of_the_file(
    invoke: Invoke, labelled: Path, trained: Path, tmp_path: Path
) -> None:
    """Lines in another order give nearly the same scout: only the folds are dealt differently."""
    rows = [json.loads(each) for each in labelled.read_text().splitlines()]
    invoke("train", write(tmp_path / "r.jsonl", rows[::-1]), "--out", tmp_path / "reversed")
    texts = sorted({row["text"] for row in rows})
    one, other = (
        StagedScorer(load_pack(folder), threads=1).score(texts)
        for folder in (trained, tmp_path / "reversed")
    )
    assert np.corrcoef(one, other)[0, 1] > 0.99


def test_page_needs_nothing_else(invoke: Invoke, trained: Path, tmp_path: Path) -> None:
    """The HTML page parses, loads nothing, runs nothing, and escapes what events hold."""
    rng = random.Random(3)
    rows = [line(rng) | {"site": "<script>alert(1)</script>"} for _ in range(200)]
    path, page = write(tmp_path / "e.jsonl", rows), tmp_path / "report.html"
    result = invoke("evaluate", trained, path, "--slice", "site", "--html", page)
    assert result.exit_code == 0
    text = page.read_text()
    assert "<script" not in text
    assert "&lt;script&gt;" in text
    assert "http" not in text
    assert text.count("<polyline") in {4, 6}  # precision of each contender, calibration of the pack
    model_id = load_pack(trained).model_id
    assert model_id in text
    missing = invoke("evaluate", trained, path, "--html", tmp_path / "no" / "report.html")
    assert missing.exit_code == 2
    assert "cannot be written" in missing.stderr


def test_distilled_from_a_teacher(invoke: Invoke, trained: Path, tmp_path: Path) -> None:
    """Events without labels, scored by a pack, make another that ranks as it does and is as sure;
    its card names the teacher. Labels that are there are not read."""
    rng = random.Random(4)
    rows = [line(rng) for _ in range(500)]
    wrong = [row | {"important": not row["important"]} for row in rows]
    bare = [{"text": row["text"]} for row in rows]
    made = []
    for name, events in (("bare", bare), ("wrong", wrong)):
        path = write(tmp_path / f"{name}.jsonl", events)
        result = invoke("train", path, "--teacher", trained, "--out", tmp_path / name)
        assert result.exit_code == 0, result.stderr
        made.append((tmp_path / name / "scout.npy").read_bytes())
    assert made[0] == made[1]
    teacher, student = (load_pack(folder) for folder in (trained, tmp_path / "bare"))
    texts = [line(rng)["text"] for _ in range(300)]
    before, after = (StagedScorer(pack, threads=1).score(texts) for pack in (teacher, student))
    assert np.corrcoef(before, after)[0, 1] > 0.95
    assert np.abs(before - after).mean() < 0.1
    assert teacher.model_id in (tmp_path / "bare" / "README.md").read_text()
    assert "have both labels" not in (tmp_path / "bare" / "README.md").read_text()


def test_a_scout_starts_from_one_that_knows_better(
    invoke: Invoke, trained: Path, tmp_path: Path
) -> None:
    """Where that ranks held-out events better, the pack says what it started from, with both
    figures; `none` starts from nothing; a start that does not help is left, and nothing is said."""
    rng = random.Random(3)
    rows = [line(rng) for _ in range(60)]
    few = write(tmp_path / "few.jsonl", rows)
    result = invoke("train", few, "--out", tmp_path / "begun", "--start-from", trained)
    assert result.exit_code == 0, result.stderr
    assert "from the start: forwards" in result.stderr
    begun = load_pack(tmp_path / "begun").manifest
    result = invoke("train", few, "--out", tmp_path / "scratch", "--start-from", "none")
    assert result.exit_code == 0, result.stderr
    assert "from the start" not in result.stderr
    scratch = load_pack(tmp_path / "scratch").manifest
    assert scratch.training.base == "none: character n-grams"
    areas = [next(q.value for q in each.quality if q.metric == "auc") for each in (begun, scratch)]
    assert areas[0] > areas[1]
    own = load_pack(trained)
    assert begun.training.base == f"the scout of own ({own.model_id})"
    assert begun.license.base_weights == own.manifest.license.pack
    card = (tmp_path / "begun" / "README.md").read_text()
    assert f"without that the AUC on the same held-out events is {areas[1]:.4f}" in card


def test_a_start_that_is_none(invoke: Invoke, labelled: Path, tmp_path: Path) -> None:
    """A pack without a scout, and what is no pack, are refused before anything is read."""
    slm = Path(__file__).parents[2] / "models" / "demo-platform"
    for start, problem in (
        (slm, "has no scout to start from"),
        (tmp_path / "none-such", "none-such"),
    ):
        result = invoke("train", labelled, "--out", tmp_path / "pack", "--start-from", start)
        assert result.exit_code == 2
        assert problem in result.stderr
        assert "strength" not in result.stderr
        assert not (tmp_path / "pack").exists()


def test_without_an_slm_nobody_teaches(invoke: Invoke, labelled: Path, tmp_path: Path) -> None:
    """Unlabelled events for a scout alone: the scout is the one that labels alone make, and the
    reason is told."""
    unlabelled = write(tmp_path / "u.jsonl", [{"text": "nobody knows"}])
    asked = ("train", labelled, "--stages", "scout", "--json")
    assert invoke(*asked, "--out", tmp_path / "plain").exit_code == 0
    result = invoke(*asked, "--out", tmp_path / "own", "--unlabelled", unlabelled)
    assert result.exit_code == 0, result.stderr
    assert any("only an SLM" in note for note in json.loads(result.stdout)["notes"])
    assert "unlabelled events were not used" in (tmp_path / "own" / "README.md").read_text()
    made = [(tmp_path / name / "scout.npy").read_bytes() for name in ("plain", "own")]
    assert made[0] == made[1]


@pytest.mark.parametrize("line", ["{", "[]", '{"important": true}', '{"event": {}}', None])
def test_unlabelled_events_that_are_none(
    invoke: Invoke, labelled: Path, tmp_path: Path, line: str | None
) -> None:
    """One line that names the place, exit 2, before any training."""
    path = tmp_path / "u.jsonl"
    if line is not None:
        path.write_text(f'{{"text": "good"}}\n{line}\n')
    result = invoke("train", labelled, "--out", tmp_path / "own", "--unlabelled", path)
    assert result.exit_code == 2
    assert result.stderr.count("\n") == 1
    assert (f"{path}:2: " if line else f"{path}: cannot be read") in result.stderr
