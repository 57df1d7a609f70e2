"""The Faust application that keeps the evidence: one of the workers holds it, whichever the group
has given the verdict topic to; its table is what the next holder begins with."""

import asyncio
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import faust
from faust.app.base import BootStrategy
from faust.types import TP

TABLE = "evidence"
_BATCH, _WITHIN_S = 1_000, 0.1
_FLUSH_S = 1.0
_AGAIN_S = (1.0, 30.0)


class VerdictRecord(NamedTuple):
    """A record of the verdict topic."""

    offset: int
    timestamp_ms: int
    value: bytes | None


Changes = Mapping[bytes, bytes | None]
"""What is to be saved, in this order; None deletes."""


class EvidenceHolder(Protocol):
    """Keeps the evidence while this worker holds it. Every call but `open` returns at once."""

    async def open(self, saved: Mapping[bytes, bytes]) -> None:
        """This worker holds the evidence from now on: what was saved, and all verdicts that the
        topic holds beyond it. What Faust has committed does not matter."""
        ...

    def take(self, records: Sequence[VerdictRecord]) -> None:
        """The next records of the verdict topic. Some may have been taken before."""
        ...

    def changes(self) -> Changes:
        """What is not saved yet. The caller saves it before anything else is taken."""
        ...

    def close(self) -> None:
        """Another worker holds the evidence from now on, or none."""
        ...


class EvidenceWatcher(Protocol):
    def evidence_failed(self, error: Exception, retry_in_s: float) -> None:
        """The evidence is not kept by this worker; it is tried again."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class EvidenceConfig:
    """Where the evidence is kept."""

    app_id: str
    """Name of the group and of the table's changelog topic."""
    bootstrap: str
    verdict_topic: str
    client_options: Mapping[str, Any]
    """How aiokafka's clients authenticate."""
    session_timeout_s: float


def changelog_topic(app_id: str) -> str:
    """The table's changelog: of one partition, compacted."""
    return f"{app_id}-{TABLE}-changelog"


def _credentials(options: Mapping[str, Any]) -> Any:
    """Faust's, from aiokafka's options; None for a plain connection."""
    context = options.get("ssl_context")
    if options["security_protocol"].startswith("SASL"):
        return faust.SASLCredentials(
            username=options["sasl_plain_username"],
            password=options["sasl_plain_password"],
            mechanism=options["sasl_mechanism"],
            ssl_context=context,
        )
    return faust.SSLCredentials(context) if context is not None else None


async def keep_evidence(
    config: EvidenceConfig, holder: EvidenceHolder, watcher: EvidenceWatcher
) -> None:
    """Until cancelled. Whatever fails is begun anew from what was saved: the gate goes on."""
    again_s = _AGAIN_S[0]
    while True:
        failed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        app = _evidence_app(config, holder, failed)
        began_s = asyncio.get_running_loop().time()
        try:
            await app.start()
            crashed = asyncio.ensure_future(app.wait_for_stopped(failed))
            await asyncio.wait({failed, crashed}, return_when=asyncio.FIRST_COMPLETED)
            crashed.cancel()
            if failed.done():
                failed.result()
            raise RuntimeError(f"Faust stopped: {app.crash_reason!r}")
        except Exception as error:  # whatever it is, the next try may do better
            if asyncio.get_running_loop().time() - began_s > _AGAIN_S[1]:
                again_s = _AGAIN_S[0]
            watcher.evidence_failed(error, again_s)
        finally:
            holder.close()
            await app.stop()
        await asyncio.sleep(again_s)
        again_s = min(2 * again_s, _AGAIN_S[1])


class _NoWeb(BootStrategy):  # type: ignore[misc]  # Faust has no types
    enable_web = False


def _evidence_app(
    config: EvidenceConfig, holder: EvidenceHolder, failed: "asyncio.Future[None]"
) -> faust.App:
    app = faust.App(
        config.app_id,
        broker=";".join(f"kafka://{server}" for server in config.bootstrap.split(",")),
        broker_credentials=_credentials(config.client_options),
        broker_session_timeout=config.session_timeout_s,
        broker_heartbeat_interval=config.session_timeout_s / 5,
        store="memory://",
        autodiscover=False,
        datadir=Path(tempfile.gettempdir(), f"{config.app_id}-data"),
        web_enabled=False,
        topic_disable_leader=True,
        topic_partitions=1,
    )
    app.boot_strategy = _NoWeb(app)
    verdicts = app.topic(
        config.verdict_topic,
        key_type=bytes,
        value_type=bytes,
        key_serializer="raw",
        value_serializer="raw",
    )
    # Also written between two verdicts, as the ledger is read: so by Faust's partitioner.
    table = app.Table(
        TABLE,
        key_type=bytes,
        value_type=bytes,
        partitions=1,
        use_partitioner=True,
        recovery_buffer_size=1,
        standby_buffer_size=1,
    )
    source = TP(config.verdict_topic, 0)
    holding = False

    def save() -> None:
        for key, value in holder.changes().items():
            if value is None:
                table.pop(key, None)
            else:
                table[key] = value

    def fail(error: BaseException) -> None:
        if not failed.done():
            failed.set_exception(error)

    async def assigned(*_: Any, **__: Any) -> None:
        """After each rebalance, when the table is as its last owner left it."""
        nonlocal holding
        if source not in app.assignor.assigned_actives():
            return
        try:
            await holder.open(dict(table.items()))
            holding = True
        except Exception as error:  # whatever it is, the app is begun anew
            fail(error)

    async def revoked(*_: Any, **__: Any) -> None:
        nonlocal holding
        holding = False
        holder.close()

    app.on_rebalance_complete.connect(assigned, weak=False)
    app.on_partitions_revoked.connect(revoked, weak=False)

    @app.agent(verdicts, name=f"{config.app_id}.verdicts")  # type: ignore[untyped-decorator]
    async def take_verdicts(stream: Any) -> None:
        async for events in stream.take_events(_BATCH, within=_WITHIN_S):
            if not holding:
                continue  # whoever opens the evidence reads them by itself
            try:
                holder.take(
                    [
                        VerdictRecord(
                            offset=event.message.offset,
                            timestamp_ms=int(event.message.timestamp * 1000),
                            value=event.message.value,
                        )
                        for event in events
                    ]
                )
                # Saved before the events are acknowledged, and sent before that is committed.
                save()
            except Exception as error:  # whatever it is, the app is begun anew
                fail(error)

    @app.timer(_FLUSH_S, name=f"{config.app_id}.save")  # type: ignore[untyped-decorator]
    async def save_in_time() -> None:
        if holding:
            try:
                save()
            except Exception as error:  # whatever it is, the app is begun anew
                fail(error)

    return app
