"""Who holds the evidence states the certificates: at each change at once, and their numbers now
and then."""

import asyncio
from collections.abc import Callable, MutableMapping
from dataclasses import asdict, replace
from typing import Any, Protocol

import msgspec

from stream_filter.core.certificate import CertificateState, StaleCause
from stream_filter.core.drift import DriftState, RecallWatch, update
from stream_filter.core.evidence_book import EvidenceBook, Found
from stream_filter.core.ledger import Block
from stream_filter.core.policy import Policy, TopicPolicy
from stream_filter.core.signs import Readings, SignState, passing, watch_signs
from stream_filter.core.statement import Extent, Statement, state
from stream_filter.core.targets import OnFailure, SignLimits
from stream_filter.core.widening import Widening, widening
from stream_filter.store.statement_json import encode_statement

_EVERY_S = 0.5
_SPARINGLY = 10
_WITHIN_MAX_AGE = 4
_REFRESH_MS = 5_000
_DRIFT_FAILURE = 1e-4
"""On average 10,000 important events to a false alarm; the delays are in docs/evidence.md."""


class Board(Protocol):
    async def write(self, key: bytes, value: bytes) -> None:
        """Raises BrokerError or ConfigError."""
        ...


class Stated(Protocol):
    """What was stated until now, by whomever."""

    def last(self, key: tuple[str, str, str]) -> Statement | None: ...


class StatementWatcher(Protocol):
    def statement_failed(self, error: Exception) -> None: ...


class Certifier:
    """Judges a book. One of the workers has it; the others hear what it states."""

    def __init__(
        self,
        board: Board,
        stated: Stated,
        watcher: StatementWatcher,
        *,
        policy: Callable[[], Policy],
        model_id: Callable[[str], str],
        clock_ms: Callable[[], int],
    ) -> None:
        """`policy`: in force; `model_id`: of a pack in force, by its name; empty: it is away."""
        self._board = board
        self._stated = stated
        self._watcher = watcher
        self._policy = policy
        self._model_id = model_id
        self._clock_ms = clock_ms

    def found(self, notes: MutableMapping[str, Any], found: Found) -> None:
        """An important event was found: the drift alarm's next step. `notes` are kept with the
        evidence."""
        rules = self._policy().for_topic(found.epoch.topic)
        if rules is None or rules.target is None or rules.entry_id != found.epoch.policy_id:
            return
        watch = _watch(rules)
        if watch is None:
            return
        place = f"drift/{found.epoch.topic}/{found.epoch.policy_id}/{found.epoch.model_id}"
        before = _drift_state(notes.get(place))
        notes[place] = asdict(update(before, [found.is_drop], watch=watch))

    def passed(self, notes: MutableMapping[str, Any], block: Block) -> None:
        """A block of the ledger was read: the next step of the signs that need no verdict. What
        the scout alone has scored is left out: its scores are others."""
        header = block.header
        if not (header.entry_id and header.model_id) or header.overload:
            return
        rules = self._policy().for_topic(header.topic)
        if rules is None or rules.signs is None or rules.entry_id != header.entry_id:
            return
        of = [header.entry_id, header.model_id]
        place = _signs_place(header.topic)
        before = _sign_state(notes.get(place), of)
        after = watch_signs(before, passing(block), window_ms=rules.signs.window_ms)
        notes[place] = {"of": of, "state": asdict(after)}

    async def run(self, holder: "Holder") -> None:
        """Until cancelled."""
        took_s = 0.0
        while True:
            # Slices by the hundred take a while to judge: the gate comes first.
            await asyncio.sleep(max(_EVERY_S, _SPARINGLY * took_s))
            began_s = asyncio.get_running_loop().time()
            book = holder.book
            if book is None:
                continue
            for topic in book.topics:
                try:
                    statement = self.statement(book, holder.notes, topic, read=holder.read)
                    if statement is None:
                        continue
                    key = "/".join(statement.key).encode()
                    await self._board.write(key, encode_statement(statement))
                except Exception as error:  # whatever it is, the next try may do better
                    self._watcher.statement_failed(error)
            took_s = asyncio.get_running_loop().time() - began_s

    def statement(
        self,
        book: EvidenceBook,
        notes: MutableMapping[str, Any],
        topic: str,
        *,
        read: tuple[dict[int, int], int],
    ) -> Statement | None:
        """What is to be stated of a topic now; None where there is nothing new. `read`: how far
        ledger and verdicts were read for the book, as in `Extent`."""
        rules = self._policy().for_topic(topic)
        model_id = self._model_id(rules.model) if rules else ""
        if rules is None or rules.target is None or not model_id:
            return None
        key = (topic, rules.entry_id, model_id)
        last, now_ms = self._stated.last(key), self._clock_ms()
        drift = _drift_state(notes.get("drift/" + "/".join(key)))
        (ledger_next, verdict_next), patience_ms = read, rules.target.patience_ms
        signs = None
        if rules.signs is not None:
            signs = _sign_state(notes.get(_signs_place(topic)), list(key[1:])).readings
        found = state(
            book.all_epochs(topic, patience_ms=patience_ms),
            of=key,
            target=rules.target.certified,
            on_failure=rules.target.on_failure,
            alarms=_alarms(drift, signs, rules.signs),
            now_ms=now_ms,
            last=last,
            extent=Extent(
                ledger_next=ledger_next, verdict_next=verdict_next, patience_ms=patience_ms
            ),
            signs=signs,
        )
        found = replace(found, widened=_widened(book, found, last, patience_ms))
        has_dropped = any(stratum.events for epoch in found.evidence for stratum in epoch.dropped)
        if found.state is CertificateState.CERTIFIED and not has_dropped and last is None:
            # In the first moments: that nothing is missed while nothing is dropped is no claim.
            return None
        if last is None or (found.state, found.has_fallen) != (last.state, last.has_fallen):
            return found
        age_ms = now_ms - last.at_ms
        if found.widened != last.widened:
            return found
        is_news = found.evidence_digest != last.evidence_digest and age_ms >= _REFRESH_MS
        # Nothing new is said again all the same: else it would count as abandoned.
        return found if is_news or age_ms >= rules.target.max_age_ms / _WITHIN_MAX_AGE else None


class Holder(Protocol):
    """The evidence, while this worker holds it."""

    @property
    def book(self) -> EvidenceBook | None: ...

    @property
    def notes(self) -> MutableMapping[str, Any]: ...

    @property
    def read(self) -> tuple[dict[int, int], int]:
        """How far ledger and verdicts have been read for what the book says now."""
        ...


def _watch(rules: TopicPolicy) -> RecallWatch | None:
    """None where the holdout leaves nothing to test: nothing is held out, or everything."""
    holdouts = [rules.holdout, *(rule.holdout for rule in rules.rules if rule.holdout is not None)]
    if rules.target is None or not 0.0 < max(holdouts) < 1.0:
        return None
    return RecallWatch(
        recall=rules.target.recall, holdout=max(holdouts), failure_probability=_DRIFT_FAILURE
    )


def _widened(
    book: EvidenceBook, now: Statement, last: Statement | None, patience_ms: int
) -> Widening | None:
    """Found once after each fall, and kept until the certificate stands again."""
    if now.on_failure is not OnFailure.WIDEN or not now.has_fallen:
        return None
    if last is not None and last.has_fallen and last.widened is not None:
        return last.widened
    pages = [
        page
        for page in book.pages.values()
        if (page.epoch.topic, page.epoch.policy_id, page.epoch.model_id) == now.key
    ]
    return widening(pages, now.target, patience_ms=patience_ms)


def _alarms(
    drift: DriftState, signs: Readings | None, limits: SignLimits | None
) -> frozenset[StaleCause]:
    """The signs that are up."""
    found = {StaleCause.DRIFT} if drift.is_alarmed else set()
    if signs is not None and limits is not None:
        found |= {StaleCause.SCORES} if signs.score_shift >= limits.score_shift else set()
        found |= {StaleCause.NOVELTY} if signs.novelty_growth >= limits.novelty_growth else set()
    return frozenset(found)


def _signs_place(topic: str) -> str:
    """Of one topic only the newest is kept: texts take room."""
    return f"signs/{topic}"


def _sign_state(saved: Any, of: list[str]) -> SignState:
    """Another entry of the policy, or another pack, begins anew."""
    if saved is None or saved["of"] != of:
        return SignState()
    return msgspec.convert(saved["state"], SignState)


def _drift_state(saved: Any) -> DriftState:
    if saved is None:
        return DriftState()
    return DriftState(
        sums=tuple(saved["sums"]), events=saved["events"], alarmed_at=saved["alarmed_at"]
    )
