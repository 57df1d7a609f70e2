"""Who has looked at payloads: each use is a record of the audit topic, written before anything is
shown. Published in schemas/audit-use.schema.json."""

import getpass
import socket
import time
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from stream_filter.app.settings import Settings
from stream_filter.core.errors import BrokerError, ConfigError
from stream_filter.kafka.topic_writer import TopicWriter
from stream_filter.kafka.topics import TopicAdmin


class AuditUse(BaseModel):
    """One use of a command that shows or sends payloads."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    use_version: str = Field(default="1", description="Version of this schema.")
    at_ms: int = Field(description="When, Unix milliseconds.")
    user: str = Field(description="The user's name on the machine: said, not proven.")
    host: str = Field(description="The machine.")
    command: str = Field(description="What was used.", examples=["audit explain"])
    topic: str = Field(description="Whose payloads.")
    events: int = Field(description="How many were asked for.")
    detail: dict[str, Any] = Field(
        default={}, description="What the command was asked for: positions, window, condition."
    )


async def record_use(
    settings: Settings, *, command: str, topic: str, events: int, detail: dict[str, Any]
) -> None:
    """Durable when this returns. Raises BrokerError, or ConfigError where the audit topic does not
    exist: what cannot be recorded is not shown."""
    connection = settings.connection()
    async with TopicAdmin(connection) as admin:
        if settings.audit_topic not in await admin.partitions():
            raise ConfigError(
                f"audit topic {settings.audit_topic!r} does not exist, and each look at payloads "
                "is recorded there: run `stream-filter topics create`"
            )
    use = AuditUse(
        at_ms=int(time.time() * 1000),
        user=user_name(),
        host=socket.gethostname(),
        command=command,
        topic=topic,
        events=events,
        detail=detail,
    )
    writer = TopicWriter(connection, topic=settings.audit_topic, acks="all")
    try:
        await writer.write(topic.encode(), use.model_dump_json().encode())
    except BrokerError as error:
        raise BrokerError(
            f"nothing is shown, because its use cannot be recorded: {error}", retriable=True
        ) from error
    finally:
        await writer.close()


def user_name() -> str:
    """The user's name on the machine."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a user without a name
        return "unknown"
