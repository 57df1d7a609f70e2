"""The model card of the demo's pack, written from its manifest so that the two cannot disagree."""

from stream_filter.models.manifest import Manifest


def card(manifest: Manifest) -> str:
    """README.md of the pack, in Markdown."""
    training, slm = manifest.training, manifest.slm
    assert slm is not None, "the demo's pack is an SLM"
    quality = "\n".join(f"| {q.metric} | {q.value:g} | {q.split} |" for q in manifest.quality)
    speed = "\n".join(
        f"| {s.tokens} | {s.texts_per_s:,.0f} | {s.batch_size} | {s.threads} | {s.machine} |"
        for s in manifest.speed
    )
    is_beside = any("in float32" in each.metric for each in manifest.quality)
    beside = "; the same in float32 is in the table above" if is_beside else ""
    libraries = ", ".join(f"{name} {number}" for name, number in training.libraries.items())
    return f"""# {manifest.name}

{manifest.description}

Reads canonical text (mask set `{manifest.mask_set}`), in windows of {slm.window} tokens, and
answers with one number in [0, 1]: the probability that a person on call would want to read the
line. 0 is *{manifest.labels[0]}*, 1 is *{manifest.labels[1]}*.

## What it is for

The demo (`make demo`), and measuring: it was trained on the demo's own stream, a make-believe web
shop, and is of no use elsewhere.

- **Failures of a new kind** it mostly misses; see the recall on held-out kinds. The demo's story
  rests on that.
- **Differences in a number**: digits are masked, `disk usage at 70%` and `disk usage at 99%` are
  the same text. Write a rule for those.

## Quality

| metric | value | measured on |
|---|---|---|
{quality}

AUC 0.5 is chance. The figures on the demo stream flatter: its templates were in the training set,
and all of its texts were written by the same hand. Templates and kinds held out say what to expect
of lines like those that it does not know; there, character n-grams with a linear model do about as
well.

The thresholds `drop_below: 0.2`, `keep_above: 0.8` suit the demo. They promise nothing elsewhere.

## Speed

Tokenizer included, all tokens real{beside}.

| tokens | texts/s | batch | threads | machine |
|---|---|---|---|---|
{speed}

## How it was made

- Base: {training.base} ({manifest.license.base_weights}). The last layer is computed for the
  `[CLS]` position alone; word pieces rare in English and in logs were removed.
- Data: {training.data}. {training.texts:,} texts ({training.important_texts:,} important) of
  {training.templates} templates, SHA-256 `{training.data_sha256}`, seed {training.seed}.
  No log of any real system was used.
- Calibration: temperature {1 / slm.calibration.slope:g}, fitted on held-out and
  known templates, half each; part of the graph.
- Quantization: {slm.quantization}. Ranges do not depend on the batch, so the score of
  a text does not depend on the texts beside it.
- Libraries: {libraries}.

Rebuild: `pip install stream-filter[train]`, then `make demo-pack`.
Licence: {manifest.license.pack}.
"""
