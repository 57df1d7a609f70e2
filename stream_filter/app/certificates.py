"""The certificates that hold, as the certificate topic says: known on every worker alike."""

import asyncio
from collections.abc import Callable, Iterable
from typing import Protocol

from stream_filter.core.errors import StreamFilterError
from stream_filter.core.statement import Statement
from stream_filter.kafka.board import BoardRecord, KafkaBoard
from stream_filter.kafka.errors import translate
from stream_filter.store.statement_json import decode_statement

_AGAIN_S = (0.5, 10.0)
_WATCHED_EVERY_S = 10.0


class CertificateWatcher(Protocol):
    """Told what is stated. Returns at once."""

    def certificate_stated(self, statement: Statement, last: Statement | None) -> None: ...

    def certificate_unreadable(self, position: str, problem: str) -> None: ...

    def certificates_lost(self, error: Exception) -> None:
        """They cannot be read; what was read holds, and it is tried again."""
        ...


class Certificates:
    """The latest statement of each certificate."""

    def __init__(
        self,
        board: KafkaBoard,
        watcher: CertificateWatcher,
        *,
        changed: Callable[["Certificates"], None],
        clock_ms: Callable[[], int],
    ) -> None:
        """`changed` is told after each statement heard, and now and then by `keep_watch`."""
        self._board = board
        self._watcher = watcher
        self._changed = changed
        self._clock_ms = clock_ms
        self._latest: dict[tuple[str, str, str], Statement] = {}

    @property
    def latest(self) -> list[Statement]:
        """By topic, the newest last."""
        return sorted(self._latest.values(), key=lambda s: (s.topic, s.at_ms))

    @property
    def fallen(self) -> dict[tuple[str, str], float]:
        """Topics and entries of the policy whose newest certificate has fallen, or stands and was
        not stated again for so long that nobody can be there who would withdraw it; with
        `Statement.drops_below`."""
        newest = {(s.topic, s.entry_id): s for s in self.latest}
        now_ms = self._clock_ms()
        return {
            place: statement.drops_below
            for place, statement in newest.items()
            if statement.has_fallen or statement.is_abandoned(now_ms)
        }

    def last(self, key: tuple[str, str, str]) -> Statement | None:
        """What was stated last of one certificate."""
        return self._latest.get(key)

    async def begin(self) -> None:
        """Read what holds now. Raises BrokerError or ConfigError."""
        self.hear(await self._board.read())

    async def follow(self) -> None:
        """Until cancelled."""
        again_s = _AGAIN_S[0]
        while True:
            try:
                async for records in self._board.follow():
                    again_s = _AGAIN_S[0]
                    self.hear(records)
            except Exception as error:  # whatever it is, the next try may do better
                self._watcher.certificates_lost(translate(error, "reading certificates"))
            await asyncio.sleep(again_s)
            again_s = min(2 * again_s, _AGAIN_S[1])

    async def keep_watch(self) -> None:
        """Until cancelled: time alone may make a certificate fall."""
        while True:
            await asyncio.sleep(_WATCHED_EVERY_S)
            self._changed(self)

    def hear(self, records: Iterable[BoardRecord]) -> None:
        """Statements in the order in which they stand in the topic; again is as once."""
        is_changed = False
        for record in records:
            try:
                statement = decode_statement(record.value)
            except StreamFilterError as error:
                self._watcher.certificate_unreadable(record.position, str(error))
                continue
            last = self._latest.get(statement.key)
            if last is not None and statement.at_ms <= last.at_ms:
                continue
            self._latest[statement.key] = statement
            self._watcher.certificate_stated(statement, last)
            is_changed = True
        if is_changed:
            self._changed(self)
