"""Packs of every shape, made from the shipped SLM and a scout that knows one word."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from stream_filter.models.manifest import Manifest
from stream_filter.models.ngrams import Hashing, hashed_texts
from stream_filter.models.pack import ModelPack, load_pack
from stream_filter.models.pack_writing import manifest_of, write_pack
from stream_filter.models.scout import written

SHIPPED = Path(__file__).parents[2] / "models" / "demo-platform"
HASHING = Hashing(shortest=4, longest=4, bits=12)
SCOUT_STAGE = {
    "kind": "scout",
    "shortest": 4,
    "longest": 4,
    "bits": 12,
    "calibration": {"method": "platt", "slope": 0.7, "intercept": -2.5},
}
BAND = {"unseen": 0.3, "read_share": 0.5, "auc_loss": 0.0}


def scout_file(word: str = "dead") -> bytes:
    """A scout that takes a text for important by how much of it is `word`."""
    weights = np.zeros(HASHING.buckets, np.float32)
    (word_only,) = hashed_texts([word], HASHING)
    weights[word_only.codes[0, 1]] = 20.0
    return written(weights, np.ones(HASHING.buckets, np.float32))


def facts(**changed: Any) -> dict[str, Any]:
    """The shipped pack's facts, changed."""
    shipped = load_pack(SHIPPED).manifest.model_dump(mode="json")
    return {
        key: shipped[key] for key in shipped if key not in {"schema_version", "files"}
    } | changed


MakePack = Callable[..., ModelPack]


@pytest.fixture
def make_pack(tmp_path: Path) -> MakePack:
    """`make_pack("scout")`, `("slm")`, `("scout", "slm")`; `files`, `facts` override."""

    def make(
        *kinds: str, name: str = "made", files: Mapping[str, bytes] | None = None, **changed: Any
    ) -> ModelPack:
        stages: list[Any] = []
        found = {"README.md": b"# made\n"}
        if "scout" in kinds:
            stages.append(SCOUT_STAGE)
            found["scout.npy"] = scout_file()
        if "slm" in kinds:
            stages.append(facts()["stages"][0])
            found |= {n: (SHIPPED / n).read_bytes() for n in ("model.onnx", "tokenizer.json")}
        found |= files or {}
        band = BAND if len(kinds) == 2 else None
        manifest: Manifest = manifest_of(
            facts(**{"name": name, "stages": stages, "band": band} | changed), found
        )
        return write_pack(tmp_path / name, manifest, found)

    return make
