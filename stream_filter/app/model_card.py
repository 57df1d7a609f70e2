"""The model card of a trained pack: its manifest in words, so that the two cannot disagree."""

from stream_filter.core.ranking import ReliabilityBin
from stream_filter.models.manifest import Quality, Training


def model_card(
    *,
    name: str,
    description: str,
    stages: str,
    mask_set: str,
    training: Training,
    quality: tuple[Quality, ...],
    reliability: list[ReliabilityBin],
    notes: list[str],
) -> str:
    """README.md of a pack, in Markdown."""
    figures = "\n".join(
        f"| {q.metric} | {q.value:g} | {_interval(q)} | {q.split} |" for q in quality
    )
    bins = "\n".join(
        f"| {b.share:.1%} | {b.mean_score:.3f} | {b.important_share:.3f} |" for b in reliability
    )
    libraries = ", ".join(f"{library} {version}" for library, version in training.libraries.items())
    said = "\n".join(f"- {note}" for note in notes)
    return f"""# {name}

{description}

Reads canonical text (mask set `{mask_set}`) with {stages}; answers with the
probability that an event is important, in [0, 1].

Made by `stream-filter train` from labelled events of one stream. What is important does not carry
over to another: use it where it was trained, in shadow mode until it is calibrated.

## Quality

| metric | value | 95 % interval | measured on |
|---|---|---|---|
{figures}

The choice between settings was made on the same held-out events, which flatters a little.

## Calibration

Held-out events by tenths of the score: what it says, and what is true.

| of events | mean score | important |
|---|---|---|
{bins}

## How it was made

- Data: {training.data}; {training.texts:,} distinct texts, {training.important_texts:,} with
  important events; SHA-256 of the file `{training.data_sha256}`.
- Seed {training.seed}; {libraries}.
{said}
"""


def _interval(figure: Quality) -> str:
    if figure.low is None or figure.high is None:
        return ""
    return f"{figure.low:g} – {figure.high:g}"
