"""The starter: built from what the project wrote, and better than a keyword rule on new words."""

import random
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from models.scouts import SEED
from models.starter.grammar import Grammar, parse, read_grammar
from models.starter.texts import Sample, digest_of, samples
from stream_filter.core.canonical import canonicalize
from stream_filter.models.pack import load_pack
from stream_filter.models.staged_scorer import StagedScorer

PACK = Path(__file__).parents[2] / "models" / "triage-starter"
PAIRS = (
    ("{a}: errors while reading block 7", "{a}: no errors while reading block 7"),
    ("{a}: write of segment 9 failed, giving up", "{a}: write of segment 9 done in 12 ms"),
    ("{a}: connection to 10.0.0.7 lost", "{a}: connection to 10.0.0.7 established"),
    ("{a}: retries exhausted, upload not saved", "{a}: retry 2 succeeded, upload saved"),
    ("{a}: disk sdb is failing, data may be lost", "{a}: disk sdb passed its self test"),
    ("{a}: out of memory, killed", "{a}: memory usage 40 MB"),
    ("{a}: permission denied for alice", "{a}: permission granted to alice"),
    ("{a}: unrecoverable parity error", "{a}: parity error corrected"),
    ("{a}: restore failed, archive truncated", "{a}: restore finished, archive verified"),
    ("{a}: java.io.IOException: Broken pipe", "{a}: stream closed normally by client"),
    ("{a}: node 12 is unreachable", "{a}: node 12 joined"),
    ("{a}: crash loop, 14 restarts", "{a}: error counter reset by operator"),
)
"""Trouble, and what looks like it or comes beside it. Not `14 errors` and `0 errors`: digits are
masked, so these are one text."""
SPEAKERS = ("", "quux-agent", "org.zeta.Frobnicator", "kernel")


@cache
def grammar() -> Grammar:
    return read_grammar()


@cache
def data() -> list[Sample]:
    return samples(grammar(), SEED)


def test_the_pack_was_built_from_the_authored_lines() -> None:
    """The manifest's digest and counts are those of the texts that the lines give today."""
    training = load_pack(PACK).manifest.training
    assert training.data_sha256 == digest_of(data())
    assert training.texts == len(data())
    assert training.templates == sum(line.templates for line in grammar().lines) >= 3000


def test_the_texts_are_canonical_and_of_one_truth() -> None:
    """No text stands twice or with both truths, and the masks leave each as it is."""
    texts = [sample.text for sample in data()]
    assert len(set(texts)) == len(texts)
    drawn = random.Random(3).sample(texts, 500)
    assert [canonicalize(text) for text in drawn] == drawn


@pytest.mark.parametrize(("trouble", "routine"), PAIRS)
def test_trouble_ranks_above_its_like(trouble: str, routine: str) -> None:
    """Whoever speaks, the line of trouble has the higher score."""
    scorer = StagedScorer(load_pack(PACK), threads=1)
    for speaker in SPEAKERS:
        said = [line.replace("{a}: ", f"{speaker} ".lstrip()) for line in (trouble, routine)]
        texts = [canonicalize(line) for line in said]
        high, low = scorer.score(texts)
        assert high > low, texts


def test_a_choice_may_be_empty_hold_choices_and_arrows() -> None:
    """The notation: choices multiply, an arrow closes none."""
    parts = parse("a <b|c <d|e>|> f <x -> y|z>")
    made = {Grammar(lines=(), lists={})._chosen(parts, random.Random(seed)) for seed in range(200)}
    assert made == {
        f"a {first} f {last}" for first in ("b", "c d", "c e", "") for last in ("x -> y", "z")
    }


@pytest.mark.parametrize("text", ["<a|b", "a <b|<c>", "<"])
def test_an_open_choice_is_refused(text: str) -> None:
    """A choice that is not closed is a mistake, not a text."""
    with pytest.raises(ValueError, match="not closed"):
        parse(text)


@pytest.mark.parametrize(
    ("file", "said"),
    [
        ("[important]\n{nonesuch} failed\n", "x.txt:2: no list and no slot is called nonesuch"),
        ("disk failed\n", r"x.txt:1: a line before \[important\]"),
        ("[routine]\n\n# fine\n<a|b\n", "x.txt:4: a choice is not closed"),
    ],
)
def test_a_mistake_in_a_line_is_named_with_its_place(tmp_path: Path, file: str, said: str) -> None:
    """Who adds a line that does not parse is told which."""
    (tmp_path / "x.txt").write_text(file)
    with pytest.raises(ValueError, match=said):
        read_grammar(tmp_path)


def test_scores_spread() -> None:
    """The pack is no constant: authored trouble and routine lie far apart."""
    scorer = StagedScorer(load_pack(PACK), threads=1)
    drawn = random.Random(5).sample(data(), 1000)
    scores = scorer.score([sample.text for sample in drawn])
    important = np.array([sample.important for sample in drawn])
    assert scores[important].mean() > 0.7
    assert scores[~important].mean() < 0.3
