"""Build the starter pack: `make starter`, or

    python -m models.starter [--public FOLDER] [--target FOLDER]

The same lines, seed and numpy give the same weights. Speed, which a rebuild cannot repeat, and
figures on public logs, where their folder is not given, are taken over from the pack that is
replaced if its weights are the same: so an unchanged pack keeps its id.
"""

import argparse
import platform
from pathlib import Path

import numpy as np

from models.scouts import SEED, MadeScout, figure, make_scout, write_scout
from models.starter.card import card
from models.starter.grammar import read_grammar
from models.starter.public import public_figures
from models.starter.texts import Sample, digest_of, samples
from stream_filter import __version__
from stream_filter.app.pack_bench import measure_speed
from stream_filter.core.errors import PackError
from stream_filter.core.ranking import auc, forwarded_share, reliability
from stream_filter.models.manifest import SCOUT_NAME, Manifest, Quality, Speed, Training
from stream_filter.models.ngrams import Hashing
from stream_filter.models.pack import ModelPack, load_pack
from stream_filter.models.scout import written

TARGET = Path(__file__).parents[1] / "triage-starter"
HASHING = Hashing(shortest=2, longest=5, bits=18)
WINDOW = 64
"""Bytes: about a log line, so that little can be put beside one. It costs 0.01 of macro-averaged
AUC on public logs; 128 bytes cost nothing, and hide three times as much."""
STRENGTH = 1.0
"""How freely weights may grow; 0.3 to 10 were tried on the systems named in `public.py`."""


def build(target: Path, public: Path | None) -> ModelPack:
    """Fit, measure and write the pack."""
    grammar = read_grammar()
    data = samples(grammar, SEED)
    important = np.array([float(sample.important) for sample in data])
    made = make_scout(
        [sample.text for sample in data],
        important,
        [sample.place for sample in data],
        hashing=HASHING,
        window=WINDOW,
        strength=STRENGTH,
        known_share=0.0,
    )
    training = Training(
        base="none: character n-grams",
        data=f"{len(grammar.lines)} lines with choices, written for this purpose "
        "(models/starter/data), filled and dressed at random",
        data_sha256=digest_of(data),
        texts=len(data),
        important_texts=int(important.sum()),
        templates=sum(line.templates for line in grammar.lines),
        seed=SEED,
        libraries={"stream-filter": __version__, "numpy": np.__version__},
    )
    quality, speed = _measured(made, data, target, public)
    weights = np.ones(len(data))
    return write_scout(
        target,
        made,
        description="P(important) of a log line or event of any system, for the first day.",
        card=card(
            target.name,
            training,
            quality,
            speed,
            reliability(made.held_out, important > 0.5, weights),
        ),
        training=training,
        quality=quality,
        speed=speed,
    )


def _measured(
    made: MadeScout, data: list[Sample], target: Path, public: Path | None
) -> tuple[list[Quality], list[Speed]]:
    important = np.array([sample.important for sample in data])
    held_out, weights = made.held_out, np.ones(len(data))
    split = "authored lines held out of training, 5-fold"
    quality = [
        figure("auc", auc(held_out, important, weights), split),
        figure(
            "forwarded share at recall 0.99",
            forwarded_share(held_out, important, weights, 0.99),
            split,
        ),
    ]
    before = _before(target, made)
    if public is not None:
        quality += public_figures(made.scout.score, public)
    elif before is not None:
        quality += before.quality[len(quality) :]
    if before is not None:
        return quality, list(before.speed)
    machine = f"{platform.machine()}, one core"
    return quality, list(measure_speed(scout=made.scout, slm=None, threads=1, machine=machine))


def _before(target: Path, made: MadeScout) -> Manifest | None:
    """The manifest of the pack that is replaced, if its weights and window are the same."""
    try:
        pack = load_pack(target)
    except PackError:
        return None
    weights = written(made.fitted.weights, made.fitted.rarities)
    stage = pack.manifest.scout
    same = stage is not None and stage.window == made.window and pack.read(SCOUT_NAME) == weights
    return pack.manifest if same else None


def main() -> None:
    """Command line entry."""
    parser = argparse.ArgumentParser(description="Build the starter pack.")
    parser.add_argument("--public", type=Path, help="folder with public logs to measure on")
    parser.add_argument("--target", type=Path, default=TARGET)
    arguments = parser.parse_args()
    pack = build(arguments.target, arguments.public)
    for found in pack.manifest.quality:
        print(f"{found.value:8.4f}  {found.metric}  ({found.split})")
    print(f"{arguments.target}: model id {pack.model_id}")


if __name__ == "__main__":
    main()
