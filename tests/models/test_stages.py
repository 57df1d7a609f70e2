"""A pack's stages: the scout alone, the SLM alone, and the scout with the SLM for what it is
unsure of."""

import io
import time
from pathlib import Path

import numpy as np
import pytest

from stream_filter.core.canonical import clipped
from stream_filter.core.errors import PackError, ScorerError
from stream_filter.models.manifest import Affine
from stream_filter.models.ngrams import Hashing, hashed_texts
from stream_filter.models.onnx_scorer import load_slm
from stream_filter.models.pack import load_pack
from stream_filter.models.pack_writing import write_pack
from stream_filter.models.scout import Scout, load_scout, written
from stream_filter.models.staged_scorer import StagedScorer
from tests.models.conftest import BAND, HASHING, SCOUT_STAGE, SHIPPED, MakePack, facts

TEXTS = (
    "dead",
    "the disk of node-0 is dead",
    "payments INFO order ORD-0 placed",
    "payments ERROR order ORD-0 charged twice",
    "",
    "\ud800 lone surrogate",
    "日本語のログ",
    "a" * 100_000,
)


def test_ngrams_are_those_of_each_text() -> None:
    """The n-grams hashed are exactly each text's, padded and in lower case: checked one by one."""
    hashing = Hashing(shortest=2, longest=4, bits=20)
    texts = ["Ab c", "", "é", "abc" * 40_000, "x"]

    def bucket(gram: bytes) -> int:
        value = 0
        for byte in gram:
            value = (value * 0x9E3779B1 + byte + 1) % 2**32
        value = (value ^ (value >> 15)) * 0x85EBCA6B % 2**32
        value = (value ^ (value >> 13)) * 0x9E3779B1 % 2**32
        return value >> 12

    found: dict[int, list[list[int]]] = {}
    for chunk in hashed_texts(texts, hashing):
        ends = [*chunk.starts[1:], chunk.codes.shape[1]]
        for place, (start, end) in enumerate(zip(chunk.starts, ends, strict=True)):
            rows = chunk.codes[:, start:end]
            found[chunk.first + place] = [row[row < hashing.buckets].tolist() for row in rows]
    for index, text in enumerate(texts):
        data = f" {clipped(text).lower()} ".encode()
        wanted = [[bucket(data[at : at + n]) for at in range(len(data) - n + 1)] for n in (2, 3, 4)]
        assert found[index] == wanted


def test_scout_score_depends_on_its_text_alone(make_pack: MakePack) -> None:
    """Alone, among others, and in any chunk, a text has the same score, in [0, 1]."""
    scout = load_scout(make_pack("scout"))
    crowd = list(TEXTS) * 300
    together = scout.score(crowd)
    assert together.dtype == np.float32
    assert ((together >= 0) & (together <= 1)).all()
    alone = np.array([scout.score([text])[0] for text in TEXTS])
    assert np.array_equal(together, np.tile(alone, 300))
    assert scout.score([]).shape == (0,)


def test_a_window_is_as_good_as_a_text(make_pack: MakePack) -> None:
    """With a window, a text's logit is the highest of any `window` bytes that begin at a multiple
    of half a window, or end with the text: each checked as a text of its own would be."""
    window, weights = 32, np.random.default_rng(1).normal(size=1 << 12).astype(np.float32)
    rarities = np.abs(weights[::-1]) + 0.1
    hashing = Hashing(shortest=1, longest=1, bits=12)
    whole = Scout(weights, rarities, hashing, Affine(method="none"))
    reading = Scout(weights, rarities, hashing, Affine(method="none"), window)
    texts = ["", "short", "x" * 30, "y" * 31, *("abcdefgh " * n for n in (4, 9, 40)), "é" * 90]
    for text, found in zip(texts, reading.read(texts).logits, strict=True):
        data = f" {text} ".encode()
        begins = [*range(0, max(1, len(data) - window), window // 2), max(0, len(data) - window)]
        # One byte n-grams: a window's are those of its bytes, whatever stands beside it.
        codes = [
            next(iter(hashed_texts([text], hashing))).codes[0, begin : begin + window]
            for begin in begins
        ]
        wanted = max(
            (weights * rarities)[code].sum() / np.sqrt((rarities[code] ** 2).sum())
            for code in codes
        )
        assert found == pytest.approx(wanted, rel=1e-4)
        if len(data) <= window:
            assert found == whole.read([text]).logits[0]


def test_a_scout_with_a_window_reads_each_text_alone(make_pack: MakePack) -> None:
    """Alone and among others, in any chunk, a text has the same score; padding lowers none."""
    pack = make_pack("scout", stages=[SCOUT_STAGE | {"window": 32}])
    scout = load_scout(pack)
    texts = [*TEXTS, "calm " * 50 + "dead" + " calm" * 50]
    together = scout.score(texts * 300)
    alone = np.array([scout.score([text])[0] for text in texts])
    assert np.array_equal(together, np.tile(alone, 300))
    assert alone[-1] > 3 * load_scout(make_pack("scout", name="whole")).score(texts)[-1]


def test_scout_is_cheap() -> None:
    """On one core the scout reads at least 20,000 log lines a second, with its largest tables."""
    tables = np.ones(1 << 18, np.float32)
    hashing = Hashing(shortest=1, longest=5, bits=18)
    scout = Scout(tables, tables, hashing, Affine(method="none"), 128)
    texts = [f"payments ERROR order ORD-{n} was charged twice by worker {n}" for n in range(5_000)]
    scout.score(texts)
    before = time.thread_time()
    scout.score(texts)
    assert len(texts) / (time.thread_time() - before) > 20_000


def test_one_stage_is_the_whole_score(make_pack: MakePack) -> None:
    """A pack with the scout alone scores by it; one with the SLM alone by that, and has no
    scout."""
    scout_only = StagedScorer(make_pack("scout", name="a"), threads=1)
    assert np.array_equal(scout_only.score(TEXTS), scout_only.score_by_scout(TEXTS))
    slm_only = StagedScorer(make_pack("slm", name="b"), threads=1)
    assert np.array_equal(
        slm_only.score(TEXTS), load_slm(load_pack(SHIPPED), threads=1).score(TEXTS)
    )
    with pytest.raises(ScorerError, match="no scout"):
        slm_only.score_by_scout(TEXTS)
    with pytest.raises(PackError, match="no slm"):
        load_slm(make_pack("scout", name="c"), threads=1)


def test_slm_reads_what_the_scout_has_not_seen(make_pack: MakePack) -> None:
    """A text with more n-grams that no training text had than the band allows has the SLM's score,
    however sure the scout is; padding of the familiar kind does not make it familiar."""
    seen = "payments INFO order ORD-0 placed"
    hidden = f"{seen} " * 20 + "the disk of node-0 is dead" + f" {seen}" * 20
    weights = np.zeros((2, HASHING.buckets), np.float32)
    for chunk in hashed_texts([f"{seen} " * 3], HASHING):
        weights[1, chunk.codes[chunk.codes < HASHING.buckets]] = 1.0
    pack = make_pack(
        "scout",
        "slm",
        stages=[SCOUT_STAGE | {"window": 64}, facts()["stages"][0]],
        files={"scout.npy": written(weights[0], weights[1])},
    )
    staged = StagedScorer(pack, threads=1)
    texts = [seen, "the disk of node-0 is dead", hidden, f"{seen} " * 30, ""]
    assert staged.unsure(texts).tolist() == [False, True, True, False, False]
    assert staged.scout is not None
    shares = staged.scout.read(texts).unseen
    assert shares[0] == shares[3] == 0
    assert 0.8 < shares[1] <= 1
    by_stage = staged.score_by_stage(texts)
    wanted = np.where(staged.unsure(texts), by_stage["its SLM alone"], by_stage["its scout alone"])
    assert np.allclose(staged.score(texts), wanted, atol=1e-5)


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"band": BAND}, "band"),
        ({"stages": []}, "stages"),
        ({"stages": [SCOUT_STAGE, SCOUT_STAGE], "band": BAND}, "scout and scout"),
        ({"stages": [SCOUT_STAGE | {"shortest": 5}]}, "shortest"),
        ({"stages": [SCOUT_STAGE | {"weights": "other.npy"}]}, "other.npy"),
        ({"stages": [SCOUT_STAGE | {"kind": "oracle"}]}, "oracle"),
        ({"stages": [SCOUT_STAGE | {"bits": 40}]}, "bits"),
    ],
)
def test_unsound_stages(make_pack: MakePack, change: dict[str, object], problem: str) -> None:
    """Stages that do not make a pack are refused, and the fault is named."""
    with pytest.raises(PackError, match=problem):
        make_pack("scout", **change)


def array(value: object, **options: object) -> bytes:
    """A .npy file."""
    buffer = io.BytesIO()
    np.save(buffer, np.asarray(value), **options)  # type: ignore[arg-type]
    return buffer.getvalue()


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"garbage",
        b"\x80\x04K\x01.",
        array([{"a": object}], allow_pickle=True),
        array(np.zeros((2, 4096))),
        array(np.zeros((2, 8), np.float32)),
        array(np.full((2, 4096), np.nan, np.float32)),
        array(np.full((2, 4096), -1, np.float32)),
    ],
    ids=["empty", "garbage", "pickle", "objects", "float64", "shape", "nan", "negative"],
)
def test_scout_file_that_is_none(make_pack: MakePack, data: bytes) -> None:
    """Whatever is not the scout's array is a PackError, and nothing is ever unpickled."""
    pack = make_pack("scout", files={"scout.npy": data})
    with pytest.raises(PackError, match=r"scout\.npy"):
        StagedScorer(pack, threads=1)


def test_a_pack_appears_whole_or_not_at_all(make_pack: MakePack, tmp_path: Path) -> None:
    """A pack is never written over what is there, and nothing is left of one that fails."""
    pack = make_pack("scout")
    with pytest.raises(PackError, match="there already"):
        make_pack("scout")
    assert load_pack(pack.folder).model_id == pack.model_id
    with pytest.raises(PackError):
        write_pack(tmp_path / "other", pack.manifest, {"README.md": b"changed"})
    assert sorted(path.name for path in tmp_path.iterdir()) == ["made"]
