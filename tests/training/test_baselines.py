"""What stands beside a pack learns fold by fold, and never from the fold that it scores."""

import json
import random
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from stream_filter.cli.main import main
from stream_filter.core.errors import ConfigError
from stream_filter.training.extra import DEFAULT_ENCODER

pytestmark = pytest.mark.train

STARTER = Path(__file__).parents[2] / "models" / "triage-starter"
BROKEN = ("disk broken", "order lost", "charged twice", "node vanished", "data corrupted")
FINE = ("request served", "cache warmed", "job done", "user logged in", "page rendered")
TEXTS = [f"{what} in zone {chr(97 + n)}" for n in range(12) for what in (*BROKEN, *FINE)]
IMPORTANT = np.array([float(text.split(" in ")[0] in BROKEN) for text in TEXTS])
FOLD = np.arange(len(TEXTS)) // 10 % 4
HELD_OUT = [number == FOLD for number in range(4)]


def by_ngrams(important: np.ndarray) -> np.ndarray:
    """Scores of TEXTS."""
    from stream_filter.training.baselines import ngram_scores

    return ngram_scores(TEXTS, important, HELD_OUT)


def by_vectors(important: np.ndarray) -> np.ndarray:
    """Scores of vectors that tell the classes apart."""
    from stream_filter.training.baselines import linear_scores

    rng = np.random.default_rng(1)
    noise = rng.normal(0, 0.1, (len(TEXTS), 3)).astype(np.float32)
    return linear_scores(noise + IMPORTANT[:, None].astype(np.float32), important, HELD_OUT)


@pytest.mark.parametrize("scored", [by_ngrams, by_vectors])
def test_learns_from_other_folds_only(scored: Callable[[np.ndarray], np.ndarray]) -> None:
    """Texts that others resemble are told apart; the labels of a fold, turned round, do not move
    its own scores, and move those of others."""
    scores = scored(IMPORTANT)
    assert scores[IMPORTANT == 1].min() > scores[IMPORTANT == 0].max()
    turned = np.where(FOLD == 0, 1 - IMPORTANT, IMPORTANT)
    moved = scored(turned)
    assert np.array_equal(moved[FOLD == 0], scores[FOLD == 0])
    assert np.abs(moved - scores)[FOLD != 0].min() > 0


def test_a_text_with_both_labels_counts_for_both() -> None:
    """Half important: it pulls its like to the middle."""
    half = np.where(IMPORTANT == 1, 0.5, 0.0)
    scores = by_ngrams(half)
    assert (scores[IMPORTANT == 1] < by_ngrams(IMPORTANT)[IMPORTANT == 1]).all()
    assert scores[IMPORTANT == 1].min() > scores[IMPORTANT == 0].max()


def test_frozen_vectors_depend_on_their_text_alone() -> None:
    """Of length 1, in the order of the texts, whatever stands beside them."""
    from stream_filter.training.encoders import frozen_vectors

    later = time.monotonic() + 600
    few, many = (
        frozen_vectors(DEFAULT_ENCODER, texts, max_tokens=32, until_s=later)
        for texts in (TEXTS[:3], TEXTS[:40])
    )
    assert few is not None
    assert many is not None
    assert np.allclose(np.linalg.norm(many, axis=1), 1, atol=1e-5)
    assert np.allclose(few, many[:3], atol=1e-5)
    near, far = many[0] @ many[10], many[0] @ many[5]
    assert near > far, "the same fault in another zone is nearer than another message"


def test_encoder_that_is_none(tmp_path: Path) -> None:
    """One line; and none of it where the time is up."""
    from stream_filter.training.encoders import frozen_vectors

    with pytest.raises(ConfigError, match="cannot be loaded") as caught:
        frozen_vectors(str(tmp_path), TEXTS, max_tokens=32, until_s=time.monotonic() + 9)
    assert "\n" not in str(caught.value)
    assert frozen_vectors(DEFAULT_ENCODER, TEXTS, max_tokens=32, until_s=0.0) is None


def test_evaluate_shows_all_of_them(tmp_path: Path) -> None:
    """With the extra, a pack stands beside four others, on the same events."""
    rng = random.Random(1)
    rows = [
        {"text": text, "important": bool(label)}
        for text, label in zip(TEXTS, IMPORTANT, strict=True)
    ]
    rng.shuffle(rows)
    path = tmp_path / "events.jsonl"
    path.write_text("\n".join(map(json.dumps, rows)))
    result = CliRunner().invoke(main, ["evaluate", str(STARTER), str(path), "--json"])
    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout)
    assert found["left_out"] == {}
    assert {each["events"] for each in found["contenders"].values()} == {len(TEXTS)}
    for name in ("n-gram TF-IDF + logistic regression", "frozen encoder + logistic regression"):
        assert found["contenders"][name]["auc"]["value"] > 0.95
