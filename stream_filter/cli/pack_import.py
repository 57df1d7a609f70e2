"""`stream-filter pack import`: a classifier that others have trained, as a pack."""

from pathlib import Path

import click

from stream_filter.app.pack_import import import_pack
from stream_filter.cli.labelled import labelled_events
from stream_filter.cli.options import json_option
from stream_filter.cli.output import print_json, printable, runs
from stream_filter.cli.topic_rules import topic_rules


@click.command("import")
@click.argument("source", metavar="MODEL", type=click.Path(path_type=Path))
@click.option(
    "--out", type=click.Path(path_type=Path), required=True, help="The new pack's folder."
)
@click.option(
    "--tokenizer", type=click.Path(path_type=Path), help="A tokenizer.json.  [beside the model]"
)
@click.option("--important", metavar="LABEL", help="What the score is the probability of.")
@click.option(
    "--max-tokens", type=click.IntRange(4, 512), default=128, help="Read of a text.  [128]"
)
@click.option(
    "--int8",
    "events_path",
    metavar="EVENTS",
    type=click.Path(path_type=Path),
    help="Make it int8, with the ranges that these events need.",
)
@click.option("--policy", "policy_path", type=click.Path(path_type=Path), help="A policy file.")
@click.option("--topic", help="A topic of the policy: which fields of EVENTS are read.")
@click.option("--license", "license_name", default="unknown", help="The model's.  [unknown]")
@json_option
@runs
async def import_model(
    source: Path,
    out: Path,
    tokenizer: Path | None,
    important: str | None,
    max_tokens: int,
    events_path: Path | None,
    policy_path: Path | None,
    topic: str | None,
    license_name: str,
    as_json: bool,
) -> None:
    """Make a pack of MODEL: a Hugging Face sequence classifier's folder, or an ONNX file.

    The folder has config.json, *.safetensors and tokenizer.json; pickled weights are refused. An
    ONNX file takes input_ids and attention_mask and gives logits (texts, labels). LABEL is a name
    or a number; of two labels, the second is taken. Needs the train extra.

    With --int8 the pack is smaller and faster. EVENTS are those of your stream, as `train` reads
    them; labels are not needed. Half of their texts say which ranges the model's activations have,
    so that a score never depends on the texts beside it; on the other half int8 is compared with
    float32, which is kept where they differ too much.

    \b
    stream-filter pack import downloads/log-classifier --out models/imported --important ERROR
    stream-filter pack import classifier.onnx --tokenizer tokenizer.json --out models/imported
    stream-filter pack import downloads/log-classifier --out models/imported --int8 events.jsonl
    """
    rules = topic_rules(policy_path, topic)
    if rules is not None and events_path is None:
        raise click.UsageError("--policy says what is read of the events of --int8: give both")
    texts = None
    if events_path is not None:
        texts = labelled_events(events_path, rules=rules, needs_labels=False).texts
    made = import_pack(
        out,
        source,
        tokenizer=tokenizer,
        important=important,
        max_tokens=max_tokens,
        license_name=license_name,
        texts=texts,
    )
    if as_json:
        print_json(
            {
                "ok": True,
                "model_id": made.pack.model_id,
                "folder": str(out),
                "important": made.label,
                "notes": made.notes,
            }
        )
        return
    click.echo(
        f"{out}: model id {made.pack.model_id}; the score is the probability of "
        f"{printable(made.label)}\nNothing is known of its quality here: measure it "
        "(`stream-filter evaluate`)"
    )
    for note in made.notes:
        click.echo(f"- {note}")
