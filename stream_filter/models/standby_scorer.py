"""A scorer that survives its pack: missing, damaged or crashing, it is tried again."""

import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from stream_filter.core.errors import PackError, ScorerError
from stream_filter.models.pack import load_pack
from stream_filter.models.staged_scorer import StagedScorer


class PackWatcher(Protocol):
    """Told what becomes of a pack. Returns at once."""

    def pack_loaded(self, pack: str, model_id: str) -> None:
        """The pack is in force, and on disk as it was loaded."""
        ...

    def pack_failed(self, pack: str, cause: str, retry_in_s: float) -> None: ...

    def pack_vanished(self, pack: str, cause: str) -> None:
        """The pack in force is no longer on disk as it was loaded; it goes on from memory."""
        ...


class StandbyScorer:
    """The `Scorer` port on a pack folder that may not be there, or not always.

    While there is no pack, `score` raises ScorerError at once, and loads again at most every
    `retry_s`. Thread-safe.
    """

    def __init__(
        self,
        folder: Path,
        *,
        expected_id: str | None,
        threads: int,
        watcher: PackWatcher,
        clock_s: Callable[[], float],
        retry_s: float = 10.0,
    ) -> None:
        """`expected_id`: the pack that the thresholds were made for; another is refused."""
        self._folder = folder
        self._expected_id = expected_id
        self._threads = threads
        self._watcher = watcher
        self._clock_s = clock_s
        self._retry_s = retry_s
        self._lock = threading.Lock()
        self._scorer: StagedScorer | None = None
        self._problem = "not loaded yet"
        self._try_at_s = clock_s()
        self._is_intact: Callable[[], bool] = lambda: False
        self._was_intact = False

    @property
    def model_id(self) -> str:
        scorer = self._scorer
        return scorer.model_id if scorer else ""

    @property
    def is_ready(self) -> bool:
        return self._scorer is not None

    def score(self, texts: Sequence[str]) -> NDArray[np.float32]:
        scorer = self._scorer or self.load()
        try:
            return scorer.score(texts)
        except ScorerError as error:
            with self._lock:
                self._fail(str(error))
            raise

    def score_by_scout(self, texts: Sequence[str]) -> NDArray[np.float32]:
        # A pack without a scout says so by ScorerError, and is no worse for it.
        return (self._scorer or self.load()).score_by_scout(texts)

    def load(self) -> StagedScorer:
        """The scorer in force; loads the pack if it is time to. Raises ScorerError."""
        with self._lock:
            if self._scorer is not None:
                return self._scorer
            if self._clock_s() < self._try_at_s:
                raise ScorerError(self._problem)
            try:
                self._scorer = self._open()
            except PackError as error:
                self._fail(str(error))
                raise ScorerError(self._problem) from error
            self._watcher.pack_loaded(self._folder.name, self._scorer.model_id)
            return self._scorer

    def _open(self) -> StagedScorer:
        pack = load_pack(self._folder)
        require_pack_id(pack.folder.name, pack.model_id, self._expected_id)
        scorer = StagedScorer(pack, self._threads)
        self._is_intact, self._was_intact = pack.is_intact, True
        return scorer

    def _fail(self, problem: str) -> None:
        self._scorer = None
        self._problem = problem
        self._try_at_s = self._clock_s() + self._retry_s
        self._watcher.pack_failed(self._folder.name, problem, self._retry_s)

    def inspect(self) -> None:
        """Look whether the pack is on disk, load it if it was not. For every few seconds."""
        if not self.is_ready:
            try:
                self.load()
            except ScorerError:
                pass  # told to the watcher; the next look tries again
            return
        with self._lock:
            scorer, intact = self._scorer, self._is_intact()
            if scorer is not None and intact and not self._was_intact:
                self._watcher.pack_loaded(self._folder.name, scorer.model_id)
            elif scorer is not None and self._was_intact and not intact:
                self._watcher.pack_vanished(
                    self._folder.name,
                    f"{self._folder} is gone or changed: scores go on from memory, but a restart "
                    "will find no pack; put it back",
                )
            self._was_intact = intact


def require_pack_id(pack: str, model_id: str, expected_id: str | None) -> None:
    """Raises PackError where the thresholds were made for another pack."""
    if expected_id is not None and model_id != expected_id:
        raise PackError(
            pack=pack,
            file="manifest.json",
            problem=f"its id is {model_id}, the policy's thresholds were made for {expected_id}",
            way_out="restore that pack, or calibrate for this one (`stream-filter calibrate`)",
        )
