"""`stream-filter train`: a stream's own pack, from labelled events."""

from pathlib import Path

import click

from stream_filter.app.distilling import taught
from stream_filter.app.pack_training import Stages, TrainingOrder, quality_of, train_pack
from stream_filter.app.shipped_packs import STARTER, shipped_pack
from stream_filter.app.unlabelled_texts import read_unlabelled
from stream_filter.cli.labelled import labelled_events
from stream_filter.cli.options import json_option
from stream_filter.cli.output import print_json, print_table, runs
from stream_filter.cli.quantities import Figure, OpenShare
from stream_filter.cli.topic_rules import topic_rules
from stream_filter.models.pack import ModelPack, load_pack
from stream_filter.models.pack_writing import require_new
from stream_filter.training.extra import DEFAULT_ENCODER


@click.command()
@click.argument("events_path", metavar="EVENTS", type=click.Path(path_type=Path))
@click.option(
    "--out", type=click.Path(path_type=Path), required=True, help="The new pack's folder."
)
@click.option("--policy", "policy_path", type=click.Path(path_type=Path), help="A policy file.")
@click.option("--topic", help="A topic of the policy: which fields are read.")
@click.option(
    "--recall",
    type=OpenShare(),
    default=0.99,
    help="Settings are chosen by what is forwarded at this recall.  [0.99]",
)
@click.option(
    "--minutes",
    type=Figure(0, min_open=True),
    default=6.0,
    help="Training is over by then; what does not fit is left out, and said.  [6]",
)
@click.option(
    "--stages",
    type=click.Choice([each.value for each in Stages]),
    default=Stages.AUTO.value,
    help="auto: an SLM beside the scout where it forwards less on held-out events.  [auto]",
)
@click.option(
    "--encoder",
    default=DEFAULT_ENCODER,
    metavar="NAME",
    help="What the SLM starts from: this one, a Hugging Face folder, or a name where a hub can be "
    f"reached.  [{DEFAULT_ENCODER}]",
)
@click.option(
    "--layers", type=click.IntRange(1), default=3, help="Of the encoder, its first ones.  [3]"
)
@click.option(
    "--teacher",
    "teacher_path",
    metavar="PACK",
    type=click.Path(path_type=Path),
    help="Distil: learn this pack's scores; EVENTS need no labels, and none are read.",
)
@click.option(
    "--start-from",
    "start_path",
    metavar="PACK",
    type=click.Path(path_type=Path),
    help="A scout without an SLM begins from this pack's where that ranks held-out events better; "
    f"`none`: from nothing.  [{STARTER}, where models/ has it]",
)
@click.option(
    "--unlabelled",
    "unlabelled_paths",
    metavar="FILE",
    multiple=True,
    type=click.Path(path_type=Path),
    help="Events of the stream without labels, read as EVENTS are: the SLM teaches the scout what "
    "they say, and then reads fewer texts. May be given more than once.",
)
@click.option("--seed", type=click.IntRange(0), default=7, help="Of the split.  [7]")
@click.option("--license", "license_name", default="proprietary", help="The pack's.  [proprietary]")
@json_option
@runs
async def train(
    events_path: Path,
    out: Path,
    policy_path: Path | None,
    topic: str | None,
    recall: float,
    minutes: float,
    stages: str,
    encoder: str,
    layers: int,
    teacher_path: Path | None,
    start_path: Path | None,
    unlabelled_paths: tuple[Path, ...],
    seed: int,
    license_name: str,
    as_json: bool,
) -> None:
    """Train a model pack from the labelled EVENTS of one stream.

    EVENTS: JSON lines with `event` (with --policy and --topic) or `text`, and `important`
    (docs/packs.md). The pack has a scout: character n-grams and a linear model. With enough labels,
    and the train extra, it also gets an SLM where that forwards less. It is measured on events
    whose texts, groups and, with times, hours it was not trained on.

    Broken off and begun again with the same EVENTS and settings, it goes on after the last epoch.

    \b
    stream-filter train labelled.jsonl --policy policy.yaml --topic a.logs --out models/a-logs
    stream-filter train labelled.jsonl --unlabelled stream.jsonl.gz --out models/own
    stream-filter train unlabelled.jsonl --teacher models/large --out models/small
    """
    require_new(out)
    rules = topic_rules(policy_path, topic)
    teacher = load_pack(teacher_path) if teacher_path else None
    start = _start(start_path)
    events = labelled_events(events_path, rules=rules, needs_labels=teacher is None)
    unlabelled = read_unlabelled(unlabelled_paths, rules=rules) if unlabelled_paths else None
    source = f"labelled events of {topic or 'one stream'}"
    if teacher is not None:
        events = taught(teacher, events, seed=seed)
        source = (
            f"events of {topic or 'one stream'}, labelled by the scores of the pack "
            f"{teacher.manifest.name} ({teacher.model_id}); figures take these for chances"
        )
    trained = train_pack(
        out,
        events,
        TrainingOrder(
            data=source,
            license_name=license_name,
            recall=recall,
            seed=seed,
            seconds=minutes * 60,
            stages=Stages(stages),
            encoder=encoder,
            layers=layers,
            told=lambda line: click.echo(line, err=True),
            start=start,
        ),
        unlabelled,
    )
    quality = quality_of(trained.held_out, trained.split)
    manifest = trained.pack.manifest
    by_slm = manifest.band.taught if manifest.band else None
    if as_json:
        print_json(
            {
                "ok": True,
                "model_id": trained.pack.model_id,
                "folder": str(out),
                "events": len(events.codes),
                "texts": len(events.texts),
                "events_without_text": events.without_text,
                "contradicted_texts": events.contradicted,
                "tried_all": trained.tried_all,
                "stages": [stage.kind for stage in manifest.stages],
                "taught_texts": by_slm.texts if by_slm else 0,
                "notes": trained.notes,
                "quality": [figure.model_dump(mode="json") for figure in quality],
            }
        )
        return
    click.echo(
        f"{out}: model id {trained.pack.model_id}, from {len(events.codes):,} events, "
        f"{len(events.texts):,} distinct texts ({events.contradicted:,} with both labels); "
        f"{events.without_text:,} events had no text\n"
    )
    print_table(("held out", "value"), [(figure.metric, f"{figure.value:g}") for figure in quality])
    click.echo(f"\n{trained.split}")
    for note in trained.notes:
        click.echo(f"- {note}")


def _start(given: Path | None) -> ModelPack | None:
    if given == Path("none"):
        return None
    path = given or shipped_pack(STARTER)
    return load_pack(path) if path else None
