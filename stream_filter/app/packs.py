"""The model packs that a policy names, opened now: who cannot wait for a pack is told at once."""

from pathlib import Path

from stream_filter.core.errors import ConfigError, PackError
from stream_filter.core.policy import Policy
from stream_filter.models.pack import ModelPack, load_pack
from stream_filter.models.staged_scorer import StagedScorer
from stream_filter.models.standby_scorer import require_pack_id


def open_packs(
    policy: Policy, model_dir: Path, *, threads: int
) -> tuple[dict[str, StagedScorer], list[str]]:
    """The packs that can be used, by name, and what is wrong with the others."""
    scorers: dict[str, StagedScorer] = {}
    problems: list[str] = []
    for name, expected_id in policy.packs:
        if name in scorers:
            continue
        try:
            pack = load_pack(Path(model_dir, name))
            require_pack_id(name, pack.model_id, expected_id)
            require_scout(pack, policy)
            scorers[name] = StagedScorer(pack, threads=threads)
        except PackError as error:
            problems += [problem for problem in error.problems if problem not in problems]
    return scorers, problems


def require_scout(pack: ModelPack, policy: Policy) -> None:
    """Raises PackError where a policy lets the scout decide alone, and the pack has none."""
    if pack.manifest.scout is None and pack.manifest.name in policy.scouts:
        raise PackError(
            pack=pack.manifest.name,
            file="manifest.json",
            problem="names no scout, and overload.then is scout_only",
            way_out="write wait or forward, or take a pack with a scout",
        )


def require_packs(policy: Policy, model_dir: Path, *, threads: int) -> dict[str, StagedScorer]:
    """All packs, by name. Raises ConfigError."""
    scorers, problems = open_packs(policy, model_dir, threads=threads)
    if problems:
        raise ConfigError(*problems)
    return scorers
