"""What a model pack says about itself: the schema of `manifest.json`."""

from pathlib import PurePosixPath
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

MANIFEST_NAME = "manifest.json"
GRAPH_NAME = "model.onnx"
TOKENIZER_NAME = "tokenizer.json"
CARD_NAME = "README.md"

Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Fraction = Annotated[float, Field(ge=0.0, le=1.0)]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=False, allow_inf_nan=False)


class Graph(_Part):
    """The ONNX graph's face: int64 inputs of shape (texts, tokens), one float output (texts,)."""

    input_ids: str = "input_ids"
    attention_mask: str = "attention_mask"
    output: str = "score"
    quantization: str = Field(min_length=1, description="How the weights are stored and run.")


class Calibration(_Part):
    """How raw logits became probabilities; the graph already applies it."""

    method: Literal["temperature", "none"]
    temperature: float = Field(default=1.0, gt=0.0)


class Training(_Part):
    """Where the model comes from, in enough detail to build it again."""

    base: str = Field(description="The pretrained weights it starts from.")
    data: str = Field(description="What it was trained on, in words.")
    data_sha256: Sha256
    texts: int = Field(ge=0)
    important_texts: int = Field(ge=0)
    templates: int = Field(ge=0)
    seed: int
    libraries: dict[str, str]


class Quality(_Part):
    """One measured figure and the split that it was measured on."""

    metric: str
    value: float
    split: str


class Speed(_Part):
    """Texts a second at one length, with the machine that it was measured on."""

    tokens: int = Field(gt=0)
    batch_size: int = Field(gt=0)
    threads: int = Field(gt=0)
    texts_per_s: float = Field(gt=0.0)
    machine: str


class License(_Part):
    """The licence of the pack and of the weights that it was made from (SPDX)."""

    pack: str
    base_weights: str


class Manifest(_Part):
    """A model pack's manifest. Unknown keys are refused."""

    schema_version: Literal[1]
    name: str = Field(pattern=r"^[a-z0-9][a-z0-9-]{0,62}$")
    description: str
    files: dict[str, Sha256] = Field(description="SHA-256 of every other file of the pack.")
    graph: Graph
    max_tokens: int = Field(ge=4, le=512)
    mask_set: str
    labels: tuple[str, str] = Field(description="Names of score 0 and of score 1.")
    calibration: Calibration
    training: Training
    quality: tuple[Quality, ...]
    speed: tuple[Speed, ...]
    license: License

    @field_validator("files")
    @classmethod
    def _paths_stay_inside(cls, files: dict[str, str]) -> dict[str, str]:
        for path in files:
            pure = PurePosixPath(path)
            if pure.is_absolute() or ".." in pure.parts or "\\" in path or str(pure) != path:
                raise ValueError(f"path {path!r} does not stay inside the pack")
            if path == MANIFEST_NAME:
                raise ValueError("the manifest cannot hold its own digest")
        return files

    @model_validator(mode="after")
    def _has_the_needed_files(self) -> Self:
        missing = [n for n in (GRAPH_NAME, TOKENIZER_NAME, CARD_NAME) if n not in self.files]
        if missing:
            raise ValueError(f"files lacks {', '.join(missing)}")
        return self
