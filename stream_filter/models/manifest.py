"""What a model pack says about itself: the schema of `manifest.json`."""

from pathlib import PurePosixPath
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

MANIFEST_NAME = "manifest.json"
GRAPH_NAME = "model.onnx"
TOKENIZER_NAME = "tokenizer.json"
CARD_NAME = "README.md"
SCOUT_NAME = "scout.npy"
NAME_PATTERN = r"^[a-z0-9][a-z0-9-]{0,62}$"

Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Fraction = Annotated[float, Field(ge=0.0, le=1.0)]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=False, allow_inf_nan=False)


class Affine(_Part):
    """How a stage's raw logits become probabilities: sigmoid(slope · logit + intercept)."""

    method: Literal["temperature", "platt", "none"] = Field(
        description="How slope and intercept were found; `temperature` has no intercept."
    )
    slope: float = Field(default=1.0, gt=0.0)
    intercept: float = 0.0


class ScoutStage(_Part):
    """Hashed character n-grams and a linear model, run with numpy."""

    kind: Literal["scout"]
    weights: str = Field(
        default=SCOUT_NAME,
        description="The file: one float32 array (2, 2^bits) in numpy's .npy format, weights and "
        "rarities of the buckets.",
    )
    shortest: int = Field(ge=1, le=8, description="Bytes of the shortest n-grams.")
    longest: int = Field(ge=1, le=8, description="Bytes of the longest n-grams.")
    bits: int = Field(ge=8, le=22, description="2^bits buckets.")
    window: int | None = Field(
        default=None,
        ge=16,
        le=4096,
        description="A text is read in windows of so many bytes that overlap by half, and the "
        "highest of their logits counts, so that no padding hides a part. Absent: as a whole.",
    )
    calibration: Affine

    @model_validator(mode="after")
    def _has_lengths(self) -> Self:
        if self.shortest > self.longest:
            raise ValueError("shortest is greater than longest")
        return self

    @property
    def needs(self) -> tuple[str, ...]:
        return (self.weights,)


class SlmStage(_Part):
    """An ONNX graph: int64 inputs of shape (texts, tokens), one float output (texts,).

    The graph applies the calibration itself.
    """

    kind: Literal["slm"]
    graph: str = GRAPH_NAME
    tokenizer: str = TOKENIZER_NAME
    input_ids: str = "input_ids"
    attention_mask: str = "attention_mask"
    output: str = "score"
    quantization: str = Field(min_length=1, description="How the weights are stored and run.")
    max_tokens: int = Field(ge=4, le=512)
    window: int | None = Field(
        default=None,
        ge=8,
        le=512,
        description="A text of more tokens is read in windows of so many that overlap by half, and "
        "the highest of their scores counts. Absent: only the first max_tokens are read.",
    )
    calibration: Affine

    @property
    def needs(self) -> tuple[str, ...]:
        return (self.graph, self.tokenizer)


Stage = Annotated[ScoutStage | SlmStage, Field(discriminator="kind")]


class Taught(_Part):
    """What the SLM taught the scout: its scores of texts that nobody had labelled."""

    texts: int = Field(gt=0)
    data_sha256: Sha256
    read_share: Fraction = Field(
        description="Of held-out texts, where the SLM had taught those of one half of the events "
        "and the other half was read: how many the SLM reads."
    )
    auc_loss: float = Field(
        description="AUC on held-out events of `the SLM reads all`, less that of both stages, "
        "where the SLM had taught the scout those of one half, and the other half was read."
    )


class Band(_Part):
    """Which texts the SLM reads: those that are new to the scout."""

    unseen: Fraction = Field(
        description="The SLM reads a text if at least this share of its n-grams, in the window "
        "with the most, is in none of the texts that the scout was trained on. 0: it reads all."
    )
    read_share: Fraction = Field(
        description="Of the held-out texts, which are of kinds that the scout has never seen."
    )
    auc_loss: float = Field(
        description="AUC on held-out events of `the SLM reads all`, less that of both stages."
    )
    taught: Taught | None = Field(
        default=None, description="Absent: the scout learned from labels alone."
    )


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
    low: float | None = Field(default=None, description="95 % interval, where one was computed.")
    high: float | None = None


class Speed(_Part):
    """Texts a second at one length, with the machine that it was measured on."""

    stage: Literal["scout", "slm"] = "slm"
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

    schema_version: Literal[2]
    name: str = Field(pattern=NAME_PATTERN)
    description: str
    files: dict[str, Sha256] = Field(description="SHA-256 of every other file of the pack.")
    stages: tuple[Stage, ...] = Field(
        min_length=1, max_length=2, description="A scout, an SLM, or both in this order."
    )
    band: Band | None = Field(default=None, description="Of a pack with two stages.")
    mask_set: str
    labels: tuple[str, str] = Field(description="Names of score 0 and of score 1.")
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
    def _is_whole(self) -> Self:
        kinds = tuple(stage.kind for stage in self.stages)
        if len(kinds) == 2 and kinds != ("scout", "slm"):
            raise ValueError(f"stages are {' and '.join(kinds)}, not scout and slm")
        if (self.band is not None) != (len(kinds) == 2):
            raise ValueError("a band belongs to a pack with two stages, and only to such a one")
        needed = [CARD_NAME, *(name for stage in self.stages for name in stage.needs)]
        missing = [name for name in needed if name not in self.files]
        if missing:
            raise ValueError(f"files lacks {', '.join(missing)}")
        return self

    @property
    def scout(self) -> ScoutStage | None:
        return next((stage for stage in self.stages if isinstance(stage, ScoutStage)), None)

    @property
    def slm(self) -> SlmStage | None:
        return next((stage for stage in self.stages if isinstance(stage, SlmStage)), None)
