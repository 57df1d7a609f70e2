"""The policy file: validated here, frozen into `core.policy`."""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from stream_filter.app.budget_model import BudgetModel, freeze_budget, freeze_overload
from stream_filter.app.durations import duration_ms
from stream_filter.app.policy_model import (
    HOLDOUT,
    ChallengerModel,
    ForwardToModel,
    PackModel,
    PolicyModel,
    RampModel,
    RuleModel,
    TopicModel,
)
from stream_filter.app.policy_rules import rule_problems
from stream_filter.app.target_model import (
    TARGET_KEYS,
    UNCALIBRATED,
    HoldoutModel,
    freeze_calibration,
    freeze_holdout,
    freeze_signs,
    freeze_target,
)
from stream_filter.app.target_problems import target_problems
from stream_filter.app.yaml_lines import YamlDocument, explain, read_yaml
from stream_filter.core.decision import Reason
from stream_filter.core.errors import ConfigError
from stream_filter.core.holdout_choice import CertifyWithin, choose_holdout
from stream_filter.core.policy import (
    Challenger,
    Fold,
    Format,
    Mode,
    Novelty,
    Policy,
    Rule,
    Thresholds,
    TopicPolicy,
)
from stream_filter.core.targets import Target
from stream_filter.core.template import parse_path, parse_template

LATER = {
    "schedule": "leave it out, and push the policy when it is to hold",
}
"""Keys that have their place in the policy and no meaning yet: refused, never ignored."""


def load_policy(path: Path) -> Policy:
    """Read, validate, freeze. Raises ConfigError with a line for each problem."""
    return freeze_policy(read_yaml(path))


def freeze_policy(document: YamlDocument) -> Policy:
    """Validate and freeze what was read. Raises ConfigError with a line for each problem."""
    _refuse_later(document)
    try:
        parsed = PolicyModel.model_validate(with_defaults(document.values))
    except ValidationError as error:
        raise explain(error, document, PolicyModel) from error
    policy = _bound_to_packs(
        Policy(
            topics=tuple(
                _freeze(name, rules, parsed.budgets) for name, rules in parsed.topics.items()
            )
        )
    )
    problems = [
        document.problem(("topics", name), problem)
        for name in parsed.topics
        for problem in _topic_problems(name, policy)
    ]
    problems += [
        document.problem(("budgets", target), "no topic forwards there: correct the name")
        for target in parsed.budgets
        if target not in policy.targets
    ]
    for rules in policy.topics:
        problems += [*rule_problems(rules, document), *target_problems(rules, document)]
    if problems:
        raise ConfigError(*dict.fromkeys(problems))
    return policy


def _refuse_later(document: YamlDocument) -> None:
    topics = document.values.get("topics")
    blocks: list[tuple[tuple[str, ...], Any]] = [(("defaults",), document.values.get("defaults"))]
    blocks += [(("topics", n), t) for n, t in topics.items()] if isinstance(topics, dict) else []
    problems = [
        document.problem((*place, key), f"not supported by this version yet: {LATER[key]}")
        for place, block in blocks
        if isinstance(block, dict)
        for key in block
        if key in LATER
    ]
    if problems:
        raise ConfigError(*problems)


def with_defaults(values: dict[str, Any]) -> dict[str, Any]:
    """The same policy, with the defaults written into each topic that takes them."""
    defaults, topics = values.get("defaults"), values.get("topics")
    if not isinstance(defaults, dict) or not isinstance(topics, dict):
        return values
    merged = {
        name: {
            **{
                k: v
                for k, v in defaults.items()
                if k in TopicModel.model_fields and _fits(k, rules, defaults)
            },
            **rules,
        }
        if isinstance(rules, dict)
        else rules
        for name, rules in topics.items()
    }
    return {**values, "topics": merged}


def _fits(key: str, rules: dict[str, Any], defaults: dict[str, Any]) -> bool:
    """A default text template is not for topics of plain text, and what belongs to a target not
    for topics without one."""
    if key == "text":
        return rules.get("format") != "text"
    return key not in TARGET_KEYS or {**defaults, **rules}.get("target") is not None


def _freeze(name: str, rules: TopicModel, budgets: Mapping[str, BudgetModel]) -> TopicPolicy:
    pack = _pack(rules.model)
    target = freeze_target(rules) if rules.target else None
    forward_to, by_reason = _freeze_targets(rules.forward_to)
    targets = sorted({forward_to, *(topic for _, topic in by_reason)})
    ramp = rules.ramp if isinstance(rules.ramp, RampModel) else RampModel(percent=rules.ramp)
    wanted = freeze_holdout(rules.holdout) if isinstance(rules.holdout, HoldoutModel) else None
    own = TopicPolicy(
        topic=name,
        format=Format(rules.format),
        text=parse_template(rules.text) if rules.text is not None else None,
        model=pack.pack,
        model_id=pack.id,
        thresholds=Thresholds(drop_below=rules.raw.drop_below, keep_above=rules.raw.keep_above)
        if rules.raw
        else UNCALIBRATED,
        mode=Mode(rules.mode),
        holdout=rules.holdout if isinstance(rules.holdout, float) else _chosen(wanted, target),
        forward_to=forward_to,
        novelty=Novelty(forward_first=rules.novelty.forward_first) if rules.novelty else None,
        fold=Fold(window_ms=duration_ms(rules.fold.window), keep=rules.fold.keep)
        if rules.fold
        else None,
        ramp=ramp.percent,
        ramp_by=ramp.by,
        forward_by_reason=by_reason,
        rules=_rules(rules.rules),
        target=target,
        calibrated_for=freeze_calibration(rules.calibration) if rules.calibration else None,
        is_uncalibrated=rules.raw is None,
        certify_within=wanted,
        signs=freeze_signs(rules.signs) if rules.signs else None,
        budget=freeze_budget(
            rules.budget, {topic: budgets[topic] for topic in targets if topic in budgets}
        ),
        overload=freeze_overload(rules.overload) if rules.overload else None,
        long_texts=rules.long_texts,
        redact=tuple(map(parse_path, rules.redact)),
        undo_for_ms=duration_ms(rules.undo_for) if rules.undo_for else None,
    )
    return replace(own, challenger=_freeze_challenger(rules.challenger, own))


def _freeze_challenger(given: ChallengerModel | None, own: TopicPolicy) -> Challenger | None:
    if given is None:
        return None
    pack = PackModel(pack=own.model, id=own.model_id) if given.model is None else _pack(given.model)
    return Challenger(
        text=own.text if given.text is None else parse_template(given.text),
        model=pack.pack,
        model_id=pack.id,
        thresholds=Thresholds(**given.raw.model_dump()) if given.raw else own.thresholds,
        rules=own.rules if given.rules is None else _rules(given.rules),
    )


def _pack(given: str | PackModel) -> PackModel:
    return PackModel(pack=given) if isinstance(given, str) else given


def _rules(given: Iterable[RuleModel]) -> tuple[Rule, ...]:
    return tuple(Rule(**rule.model_dump()) for rule in given)


def _freeze_targets(
    given: str | ForwardToModel,
) -> tuple[str, tuple[tuple[str, str], ...]]:
    """The default, and what differs from it."""
    if isinstance(given, str):
        return given, ()
    by_reason = [(reason.label, getattr(given, reason.label, None)) for reason in Reason]
    return given.default, tuple(
        (reason, topic) for reason, topic in by_reason if topic not in (None, given.default)
    )


def _chosen(wanted: CertifyWithin | None, target: Target | None) -> float:
    """What is refused afterwards, or follows from nothing known, has the usual holdout."""
    chosen = choose_holdout(wanted, target) if wanted and target else None
    return HOLDOUT if chosen is None else chosen


def _bound_to_packs(policy: Policy) -> Policy:
    """The same policy, each pack with the id that thresholds were calibrated for: it is one pack
    for all topics that name it."""
    ids = {r.model: r.calibrated_for.model_id for r in policy.topics if r.calibrated_for}
    return Policy(
        topics=tuple(
            replace(
                rules,
                model_id=rules.model_id or ids.get(rules.model),
                challenger=rules.challenger
                and replace(
                    rules.challenger,
                    model_id=rules.challenger.model_id or ids.get(rules.challenger.model),
                ),
            )
            for rules in policy.topics
        )
    )


def _topic_problems(name: str, policy: Policy) -> list[str]:
    problems = []
    rules = next(rules for rules in policy.topics if rules.topic == name)
    plain = name if not rules.is_pattern else name.translate({ord(c): "x" for c in "*?[]!"})
    if plain in {"", ".", ".."} or len(plain) > 249 or not set(plain) <= _NAME_CHARACTERS:
        problems.append("not a topic name: letters, digits, '.', '_', '-', or a glob of them")
    for other in policy.topics:
        if name in other.targets:
            problems.append(
                f"{other.topic} forwards to it: a gate that reads what it wrote would feed "
                "itself; use another forward_to"
            )
    for pack, pack_id in rules.packs:
        if "/" in pack or pack in {"", ".", ".."}:
            problems.append(f"model: {pack!r} is not a pack's folder name")
        for other in policy.topics:
            if any(name == pack and an_id != pack_id for name, an_id in other.packs):
                problems.append(f"model: {other.topic} uses the pack {pack} with another id")
    return problems


_NAME_CHARACTERS = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-")
