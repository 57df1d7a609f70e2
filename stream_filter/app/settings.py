"""Settings: where to connect and how to run. Flags win over environment, file and defaults."""

import os
import re
import socket
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError, field_validator
from pydantic_settings import (
    BaseSettings,
    InitSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    SettingsError,
)

from stream_filter.app.yaml_lines import YamlDocument, explain, read_yaml
from stream_filter.core.errors import ConfigError
from stream_filter.kafka.connection import Connection, Secret

_ADDRESS = re.compile(r"(?:\[[0-9a-fA-F:.]+\]|[A-Za-z0-9._-]+)(?::(?P<port>[0-9]{1,5}))?")


class _Closed(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class SecurityModel(_Closed):
    """How to authenticate at the broker."""

    protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = Field(
        default="PLAINTEXT", description="Of the brokers' listener."
    )
    sasl_mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] = Field(
        default="PLAIN", description="Where the protocol has SASL."
    )
    sasl_username: str | None = Field(default=None, description="Where the protocol has SASL.")
    sasl_password: SecretStr | None = Field(
        default=None, description="Where the protocol has SASL; best by environment."
    )
    ssl_ca_file: str | None = Field(
        default=None, description="PEM file of the authorities to trust; unset: the system's."
    )
    ssl_cert_file: str | None = Field(
        default=None, description="PEM file of the client's certificate."
    )
    ssl_key_file: str | None = Field(
        default=None, description="PEM file of the client's key, without a passphrase."
    )


class WebModel(_Closed):
    """Health and metrics."""

    host: str = Field(
        default="0.0.0.0",  # noqa: S104  a probe and a scraper come from outside the container
        description="Address to listen on.",
    )
    port: int = Field(
        default=6066, ge=1, le=65535, description="Port of /healthz, /readyz and /metrics."
    )


class DeadLettersModel(_Closed):
    """Past this, the worker stops instead of dead-lettering a whole topic. For one partition."""

    max_run: int = Field(default=1000, ge=1, description="Dead letters in a row.")
    max_share: float = Field(default=0.5, gt=0, le=1, description="Share of the last records.")
    window: int = Field(default=10_000, ge=1, description="How many records the share is of.")


class ArchiveModel(_Closed):
    """Where the ledger is kept as Parquet, for the questions of `stream-filter audit`."""

    store: str | None = Field(
        default=None,
        description="Folder or s3://bucket/path; one of the workers then archives into it.",
    )
    every_s: float = Field(default=60.0, gt=0, description="From one pass to the next.")
    keep_days: int | None = Field(
        default=None, ge=1, description="Days older than that are dropped; unset: kept."
    )


class LogModel(_Closed):
    """Logs go to stderr."""

    format: Literal["json", "console", "auto"] = Field(
        default="auto", description="auto: console on a terminal, else JSON."
    )
    level: Literal["debug", "info", "warning", "error"] = Field(
        default="info", description="The least level that is written."
    )


class Settings(BaseSettings):
    """Settings of a worker. Every key can be set by environment: STREAM_FILTER_GROUP,
    STREAM_FILTER_SECURITY__SASL_PASSWORD."""

    model_config = SettingsConfigDict(
        env_prefix="STREAM_FILTER_", env_nested_delimiter="__", extra="forbid", frozen=True
    )

    bootstrap: str = Field(default="localhost:9092", description="host:port, comma separated.")
    security: SecurityModel = Field(
        default=SecurityModel(), description="How to authenticate at the broker."
    )
    group: str = Field(default="stream-filter", min_length=1, description="Consumer group.")
    group_instance_id: str | None = Field(
        default=None, description="Static membership: one stable name a worker."
    )
    worker: str = Field(
        default_factory=lambda: f"{socket.gethostname()}-{os.getpid()}",
        description="The worker's name in the ledger.",
    )
    key: SecretStr | None = Field(
        default=None,
        description="Secret of the gate, equal on all workers: draws the holdout, makes sf-ids.",
    )
    model_dir: Path = Field(default=Path("models"), description="Folder of the model packs.")
    delivery: Literal["auto", "exactly_once", "at_least_once"] = Field(
        default="auto", description="auto: exactly once where the broker has transactions."
    )
    start_at: Literal["earliest", "latest"] = Field(
        default="earliest", description="Where to begin without a committed offset."
    )
    isolation_level: Literal["read_committed", "read_uncommitted"] = Field(
        default="read_committed",
        description="Which source records count, where producers use transactions.",
    )
    ledger_topic: str = Field(default="stream-filter.ledger", description="Takes the blocks.")
    memory_topic: str = Field(
        default="stream-filter.memory", description="Takes what partitions remember; compacted."
    )
    dead_letter_topic: str = Field(
        default="stream-filter.dead-letters",
        description="Takes what cannot be decoded or is too large to forward.",
    )
    deferred_topic: str = Field(
        default="stream-filter.deferred",
        description="Takes what a budget defers, until `stream-filter drain` releases it.",
    )
    control: bool = Field(
        default=False,
        description="Policies are pushed to running workers; the policy file is the first one.",
    )
    policy_topic: str = Field(
        default="stream-filter.policies", description="With control: takes every order given."
    )
    worker_topic: str = Field(
        default="stream-filter.workers",
        description="With control: takes what the workers say they have in force.",
    )
    evidence: bool = Field(
        default=False,
        description="The analyst's verdicts are read, and certificates are stated.",
    )
    verdict_topic: str = Field(
        default="stream-filter.verdicts", description="With evidence: the analyst writes to it."
    )
    certificate_topic: str = Field(
        default="stream-filter.certificates",
        description="With evidence: takes every certificate; compacted.",
    )
    incidents_topic: str = Field(
        default="stream-filter.incidents",
        description="The analyst's, with outage: takes every incident; compacted.",
    )
    audit_topic: str = Field(
        default="stream-filter.audit",
        description="Takes a record for each use of a command that shows or sends payloads.",
    )
    replay_topic: str = Field(
        default="stream-filter.replays",
        description="Takes a record of what `stream-filter replay` sent, with what it sent.",
    )
    compression: Literal["gzip", "snappy", "lz4", "zstd"] | None = Field(
        default=None, description="Of the record batches that the gate writes."
    )
    batch_records: int = Field(
        default=10_000, ge=1, le=1_000_000, description="Most records in one unit of work."
    )
    fetch_min_bytes: int = Field(
        default=1, ge=1, description="The broker answers a fetch when so many bytes are there."
    )
    fetch_max_wait_ms: int = Field(
        default=20, ge=1, le=5_000, description="Or when it has waited for so long."
    )
    max_partition_fetch_bytes: int = Field(
        default=2 << 20, ge=1024, description="Most bytes that one fetch asks of a partition."
    )
    max_in_flight_bytes: int = Field(
        default=64 << 20, ge=1024, description="Most bytes of records in the worker at once."
    )
    cache_bytes: int = Field(default=32 << 20, ge=0, description="Scores remembered, in bytes.")
    threads: int = Field(default=1, ge=1, le=64, description="Batches decided at once.")
    model_threads: int = Field(
        default_factory=lambda: os.cpu_count() or 1, ge=1, le=64, description="onnxruntime's."
    )
    session_timeout_ms: int = Field(
        default=10_000, ge=1000, description="Without a heartbeat for so long, a worker is dead."
    )
    transaction_timeout_ms: int = Field(
        default=60_000, ge=1000, description="The broker aborts a transaction open for longer."
    )
    stop_timeout_s: float = Field(default=20.0, gt=0, description="To finish what is in hand.")
    startup_timeout_s: float = Field(default=60.0, ge=0, description="To wait for the broker.")
    dead_letters: DeadLettersModel = Field(
        default=DeadLettersModel(), description="When the worker stops over dead letters."
    )
    web: WebModel = Field(default=WebModel(), description="Health and metrics.")
    archive: ArchiveModel = Field(
        default=ArchiveModel(), description="The store that `stream-filter audit` asks."
    )
    log: LogModel = Field(default=LogModel(), description="Logs, on stderr.")

    @field_validator("bootstrap")
    @classmethod
    def _names_hosts(cls, value: str) -> str:
        for address in value.split(","):
            found = _ADDRESS.fullmatch(address.strip())
            if found is None or not 0 < int(found["port"] or 9092) < 65536:
                raise ValueError(f"{address.strip()!r} is not HOST:PORT")
        return value

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        # The file's values arrive as one init argument; they yield to flags and environment.
        given = dict(init_settings.init_kwargs)  # type: ignore[attr-defined]  # InitSettingsSource
        from_file = given.pop("from_file", {})
        return (
            InitSettingsSource(settings_cls, init_kwargs=given),
            env_settings,
            InitSettingsSource(settings_cls, init_kwargs=from_file),
        )

    def connection(self) -> Connection:
        security = self.security
        password = security.sasl_password
        return Connection(
            bootstrap=self.bootstrap,
            security_protocol=security.protocol,
            sasl_mechanism=security.sasl_mechanism,
            sasl_username=security.sasl_username,
            sasl_password=Secret(password.get_secret_value()) if password else None,
            ssl_ca_file=security.ssl_ca_file,
            ssl_cert_file=security.ssl_cert_file,
            ssl_key_file=security.ssl_key_file,
        )

    @property
    def evidence_app(self) -> str:
        """Name of the evidence's own group, and the prefix of its changelog topic."""
        return f"{self.group}-evidence"

    @property
    def has_key(self) -> bool:
        return self.key is not None and bool(self.key.get_secret_value())

    @property
    def secret_key(self) -> bytes:
        """The gate's key; without one, a key that anyone who knows the group can guess."""
        given = self.key.get_secret_value() if self.key and self.has_key else f"unset/{self.group}"
        return given.encode()[:64]


def load_settings(path: Path | None, flags: dict[str, Any]) -> Settings:
    """Settings from a file, the environment and flags. Raises ConfigError."""
    document = read_yaml(path) if path else YamlDocument("settings", {}, {})
    given = {name: value for name, value in flags.items() if value is not None}
    try:
        return Settings(**{"from_file": document.values, **given})
    except SettingsError as error:
        raise ConfigError(f"environment: {error}: write JSON, or one variable a key") from None
    except ValidationError as error:
        raise explain(error, document, Settings) from error
