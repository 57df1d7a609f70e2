"""The packs in use: loaded before a policy that names them is put in force, kept while one does."""

import time
from collections.abc import Mapping
from pathlib import Path

from stream_filter.app.packs import require_scout
from stream_filter.app.settings import Settings
from stream_filter.core.errors import PackError, ScorerError
from stream_filter.core.policy import Policy
from stream_filter.models.pack import load_pack
from stream_filter.models.standby_scorer import PackWatcher, StandbyScorer, require_pack_id


class PacksInUse:
    """Scorers by pack and expected id: policies that agree on both share one."""

    def __init__(self, settings: Settings, watcher: PackWatcher) -> None:
        self._settings = settings
        self._watcher = watcher
        self._scorers: dict[tuple[str, str | None], StandbyScorer] = {}

    @property
    def in_use(self) -> Mapping[tuple[str, str | None], StandbyScorer]:
        return self._scorers

    def are_ready(self, policy: Policy) -> bool:
        """Whether every champion's pack gives scores: a worker need not wait for a challenger's."""
        return all(
            scorer.is_ready
            for pack, scorer in self._scorers.items()
            if pack in policy.champion_packs
        )

    def load(self, policy: Policy, *, must_be_there: bool) -> dict[str, StandbyScorer]:
        """Scorers of a policy by pack name. Blocks: reads files.

        Raises PackError where one cannot be used now and `must_be_there`; else such a scorer
        tries again with every batch.
        """
        found = {}
        for name, expected_id in policy.packs:
            scorer = self._scorers.get((name, expected_id))
            if scorer is None or (must_be_there and not scorer.is_ready):
                if must_be_there:
                    pack = load_pack(Path(self._settings.model_dir, name))
                    require_pack_id(name, pack.model_id, expected_id)
                    require_scout(pack, policy)
                scorer = self._open(name, expected_id, must_be_there=must_be_there)
            found[name, expected_id] = scorer
        self._scorers |= found
        return {name: scorer for (name, _), scorer in found.items()}

    def keep_only(self, policy: Policy) -> None:
        """Let go of the packs that a policy does not name."""
        self._scorers = {key: s for key, s in self._scorers.items() if key in policy.packs}

    def inspect(self) -> None:
        """Look at each pack on disk. Blocks."""
        for scorer in list(self._scorers.values()):
            scorer.inspect()

    def _open(self, name: str, expected_id: str | None, *, must_be_there: bool) -> StandbyScorer:
        scorer = StandbyScorer(
            Path(self._settings.model_dir, name),
            expected_id=expected_id,
            threads=self._settings.model_threads,
            watcher=self._watcher,
            clock_s=time.monotonic,
        )
        try:
            scorer.load()
        except ScorerError as error:
            # Told to the watcher; without a pack the gate forwards everything until it loads.
            if must_be_there:
                raise PackError(
                    pack=name, file="model.onnx", problem=str(error), way_out="restore the pack"
                ) from error
        return scorer
