"""`stream-filter pack`: what a model pack is, whether it is sound, how fast, and how it differs."""

import os
import platform
from dataclasses import asdict
from pathlib import Path

import click

from stream_filter.app.pack_bench import measure_speed, measure_texts
from stream_filter.app.pack_diff import PackDiff, Shift, compare
from stream_filter.cli.labelled import labelled_events
from stream_filter.cli.options import json_option
from stream_filter.cli.output import print_json, print_table, printable, runs
from stream_filter.cli.pack_import import import_model
from stream_filter.cli.quantities import Figure
from stream_filter.cli.topic_rules import topic_rules
from stream_filter.core.errors import ConfigError
from stream_filter.core.policy import Thresholds, TopicPolicy
from stream_filter.models.pack import ModelPack, load_pack
from stream_filter.models.staged_scorer import StagedScorer

_THREADS = os.cpu_count() or 1
pack_argument = click.argument("pack_path", metavar="PACK", type=click.Path(path_type=Path))


@click.group()
def pack() -> None:
    """Model packs: folders that give events their scores (docs/packs.md).

    \b
    stream-filter pack inspect models/triage-starter
    stream-filter pack verify models/triage-starter
    stream-filter pack bench models/triage-starter
    stream-filter pack diff models/old models/new events.jsonl --policy policy.yaml --topic a.logs
    stream-filter pack import downloads/log-classifier --out models/imported
    """


pack.add_command(import_model)


@pack.command()
@pack_argument
@json_option
@runs
async def inspect(pack_path: Path, as_json: bool) -> None:
    """What the manifest says: stages, training, quality, speed, licences.

    \b
    stream-filter pack inspect models/triage-starter
    """
    found = load_pack(pack_path)
    manifest = found.manifest
    if as_json:
        print_json({"ok": True, "model_id": found.model_id, **manifest.model_dump(mode="json")})
        return
    stages = " + ".join(stage.kind for stage in manifest.stages)
    click.echo(f"{manifest.name}  model id {found.model_id}  {_size_bytes(found):,} bytes")
    click.echo(printable(manifest.description))
    click.echo(f"\nstages   {stages}, mask set {manifest.mask_set}")
    if manifest.band is not None:
        band = manifest.band
        click.echo(
            f"band     the slm reads texts with at least {band.unseen:.1%} of n-grams that the "
            f"scout has not seen: {band.read_share:.1%} of held-out texts, at {band.auc_loss:.4f} "
            "AUC less"
        )
        if band.taught is not None:
            taught = band.taught
            click.echo(
                f"taught   the slm taught the scout {taught.texts:,} texts without a label; so "
                f"taught of held-out kinds, it reads {taught.read_share:.1%}, at "
                f"{taught.auc_loss:.4f} AUC less"
            )
    training = manifest.training
    click.echo(
        f"trained  on {training.texts:,} texts, {training.important_texts:,} important, seed "
        f"{training.seed}; base {printable(training.base)}"
    )
    click.echo(
        f"licence  {printable(manifest.license.pack)}; base weights "
        f"{printable(manifest.license.base_weights)}\n"
    )
    print_table(
        ("figure", "value", "95 % interval", "measured on"),
        [
            (printable(q.metric), f"{q.value:g}", _interval(q.low, q.high), printable(q.split))
            for q in manifest.quality
        ],
    )
    click.echo()
    print_table(
        ("stage", "tokens", "texts/s", "threads", "machine"),
        [
            (s.stage, s.tokens, f"{s.texts_per_s:,.0f}", s.threads, printable(s.machine))
            for s in manifest.speed
        ],
    )


@pack.command()
@pack_argument
@json_option
@runs
async def verify(pack_path: Path, as_json: bool) -> None:
    """Check every byte against the manifest, load all stages and score with them.

    Nothing in a pack is ever executed or unpickled. Exit code 2 and one line if it is unsound.

    \b
    stream-filter pack verify models/triage-starter
    """
    found = load_pack(pack_path)
    StagedScorer(found, threads=1).score(("", "probe of all stages"))
    if as_json:
        print_json({"ok": True, "model_id": found.model_id, "files": len(found.manifest.files)})
        return
    click.echo(
        f"{pack_path}: sound: {len(found.manifest.files)} files, {_size_bytes(found):,} bytes, "
        f"model id {found.model_id}"
    )


@pack.command()
@pack_argument
@click.argument("events_path", metavar="[EVENTS]", required=False, type=click.Path(path_type=Path))
@click.option("--policy", "policy_path", type=click.Path(path_type=Path), help="A policy file.")
@click.option("--topic", help="A topic of the policy: which fields of EVENTS are read.")
@click.option(
    "--threads", type=click.IntRange(1), default=_THREADS, help="Threads of the SLM.  [all CPUs]"
)
@json_option
@runs
async def bench(
    pack_path: Path,
    events_path: Path | None,
    policy_path: Path | None,
    topic: str | None,
    threads: int,
    as_json: bool,
) -> None:
    """Measure texts a second, by stage, at 16 and 32 tokens, tokenizer included.

    With EVENTS (JSON lines with `event` or `text`, labels are not needed): on their distinct texts,
    the whole pack beside each of its stages, and how many texts its SLM reads.

    \b
    stream-filter pack bench models/triage-starter
    stream-filter pack bench models/own events.jsonl --policy policy.yaml --topic a.logs
    """
    rules = topic_rules(policy_path, topic)
    found = load_pack(pack_path)
    scorer = StagedScorer(found, threads=threads)
    if events_path is not None:
        events = labelled_events(events_path, rules=rules, needs_labels=False)
        on_texts = measure_texts(scorer, events.texts)
        if as_json:
            print_json({"ok": True, "model_id": found.model_id, **asdict(on_texts)})
            return
        click.echo(
            f"{on_texts.texts:,} distinct texts, of which the SLM reads {on_texts.read_share:.1%}\n"
        )
        print_table(
            ("reads", "texts/s"),
            [(name, f"{pace:,.0f}") for name, pace in on_texts.texts_per_s.items()],
        )
        return
    speed = measure_speed(
        scout=scorer.scout, slm=scorer.slm, threads=threads, machine=platform.machine()
    )
    if as_json:
        rows = [each.model_dump(mode="json") for each in speed]
        print_json({"ok": True, "model_id": found.model_id, "speed": rows})
        return
    print_table(
        ("stage", "tokens", "texts/s", "threads"),
        [(s.stage, s.tokens, f"{s.texts_per_s:,.0f}", s.threads) for s in speed],
    )


@pack.command()
@click.argument("before", type=click.Path(path_type=Path))
@click.argument("after", type=click.Path(path_type=Path))
@click.argument("events_path", metavar="EVENTS", type=click.Path(path_type=Path))
@click.option("--policy", "policy_path", type=click.Path(path_type=Path), help="A policy file.")
@click.option("--topic", help="A topic of the policy: its fields, and its thresholds.")
@click.option("--drop-below", type=Figure(0, 1), help="Instead of the policy's.")
@click.option("--keep-above", type=Figure(0, 1), help="Instead of the policy's.")
@click.option("--slice", "slices", multiple=True, metavar="KEY", help="Show by this key, too.")
@click.option("--threads", type=click.IntRange(1), default=_THREADS, help="  [all CPUs]")
@json_option
@runs
async def diff(
    before: Path,
    after: Path,
    events_path: Path,
    policy_path: Path | None,
    topic: str | None,
    drop_below: float | None,
    keep_above: float | None,
    slices: tuple[str, ...],
    threads: int,
    as_json: bool,
) -> None:
    """How pack AFTER differs from BEFORE on EVENTS: scores, and verdicts by the same thresholds.

    EVENTS: JSON lines with `event` (with --policy and --topic) or `text`; labels are not needed,
    and where they are there, lost important events are counted.

    \b
    stream-filter pack diff models/old models/new events.jsonl --policy policy.yaml --topic a.logs
    stream-filter pack diff models/old models/new events.jsonl --drop-below 0.2 --slice service
    """
    rules = topic_rules(policy_path, topic)
    thresholds = _thresholds(rules, drop_below, keep_above)
    packs = [load_pack(path) for path in (before, after)]
    events = labelled_events(events_path, rules=rules, slices=slices, needs_labels=False)
    first, second = (StagedScorer(each, threads).score(events.texts) for each in packs)
    found = compare(first, second, events, thresholds)
    if as_json:
        print_json(
            {
                "ok": True,
                "before": packs[0].model_id,
                "after": packs[1].model_id,
                "drop_below": thresholds.drop_below,
                "keep_above": thresholds.keep_above,
                "events_without_text": events.without_text,
                **_as_document(found),
            }
        )
        return
    _print_diff(found, packs, thresholds)


def _print_diff(found: PackDiff, packs: list[ModelPack], thresholds: Thresholds) -> None:
    whole = found.whole
    click.echo(
        f"{whole.events:,} events, {packs[0].model_id} → {packs[1].model_id}, drop below "
        f"{thresholds.drop_below:g}, keep from {thresholds.keep_above:g}\n"
    )
    shifts = ", ".join(f"{q:.0%} within {value:.3f}" for q, value in whole.quantiles.items())
    click.echo(f"scores move by {whole.mean:+.3f} on average; {shifts}")
    click.echo(
        f"verdicts change for {whole.changed:,} events ({whole.changed / whole.events:.1%})\n"
    )
    print_table(
        ("before", "after", "events", "important"),
        [
            (one.name.lower(), other.name.lower(), count, whole.important.get((one, other), 0))
            for (one, other), count in whole.verdicts.items()
        ],
    )
    for key, by_value in found.slices.items():
        click.echo()
        print_table(
            (printable(key), "events", "mean shift", "changed"),
            [
                (printable(value, width=40) or "(none)", s.events, f"{s.mean:+.3f}", s.changed)
                for value, s in by_value.items()
            ],
        )
    if found.examples:
        click.echo("\ntexts whose verdict changes, the farthest first:")
        for each in found.examples:
            click.echo(
                f"  {each.before:.3f} → {each.after:.3f}  ×{each.events:,}  "
                f"{printable(each.text, width=100)}"
            )


def _as_document(found: PackDiff) -> dict[str, object]:
    return {
        **_shift_document(found.whole),
        "slices": {
            key: {value: _shift_document(shift) for value, shift in by_value.items()}
            for key, by_value in found.slices.items()
        },
        "examples": [
            {"text": e.text, "before": e.before, "after": e.after, "events": e.events}
            for e in found.examples
        ],
    }


def _shift_document(shift: Shift) -> dict[str, object]:
    return {
        "events": shift.events,
        "mean_shift": shift.mean,
        "shift_quantiles": {f"{q:g}": value for q, value in shift.quantiles.items()},
        "changed": shift.changed,
        "verdicts": [
            {
                "before": one.name.lower(),
                "after": other.name.lower(),
                "events": count,
                "important": shift.important.get((one, other), 0),
            }
            for (one, other), count in shift.verdicts.items()
        ],
    }


def _thresholds(
    rules: TopicPolicy | None, drop_below: float | None, keep_above: float | None
) -> Thresholds:
    own = rules.thresholds if rules is not None and not rules.is_uncalibrated else None
    low = own.drop_below if drop_below is None and own is not None else drop_below
    if low is None:
        raise ConfigError("no thresholds: give --drop-below, or a policy that has them")
    high = keep_above if keep_above is not None else max(own.keep_above if own else low, low)
    if high < low:
        raise ConfigError(f"--keep-above {high:g} is below --drop-below {low:g}: raise it")
    return Thresholds(drop_below=low, keep_above=high)


def _size_bytes(found: ModelPack) -> int:
    names = found.manifest.files
    return len(found.manifest_bytes) + sum((found.folder / n).stat().st_size for n in names)


def _interval(low: float | None, high: float | None) -> str:
    return "" if low is None or high is None else f"{low:.4f} – {high:.4f}"
