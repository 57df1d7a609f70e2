"""Where the demo plays: a broker, topics, and the files that worker and analyst start from."""

import os
import secrets
import shutil
import tempfile
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import yaml

from stream_filter.app.policy_file import load_policy
from stream_filter.app.settings import SecurityModel, Settings, WebModel
from stream_filter.app.shipped_packs import shipped_pack
from stream_filter.core.policy import Policy
from stream_filter.demo.child import DemoChild
from stream_filter.demo.language_model import LanguageModel, ModelOptions
from stream_filter.testing.broker_process import HOST, free_port
from stream_filter.testing.brokers import EmbeddedBroker

PACK = "demo-platform"
_POLICY_FILE = Path(__file__).with_name("policy.yaml")
# The embedded broker lets a new group wait for half of the session timeout.
_SESSION_MS, _EMBEDDED_SESSION_MS = 10_000, 3_000
_ENV = "STREAM_FILTER_"
_SECURITY_ENV = "STREAM_FILTER_SECURITY__"


@dataclass(frozen=True, slots=True, kw_only=True)
class DemoOptions:
    """What the user asked for."""

    seconds: float
    rate: int
    seed: int
    bootstrap: str | None
    """An existing cluster; None starts the embedded broker."""
    model_dir: Path
    language_model: ModelOptions


def find_model_dir() -> Path:
    """Where the demo's pack is; else `models`, which the error then names."""
    pack = shipped_pack(PACK)
    return pack.parent if pack else Path("models").absolute()


class Stage:
    """The set of one demo. A context: on leaving it, worker, analyst and broker have ended.

    On an existing cluster all names get a prefix of their own.
    """

    def __init__(self, options: DemoOptions) -> None:
        self._exits = ExitStack()
        self._options = options
        self._broker = None if options.bootstrap else EmbeddedBroker()
        prefix = f"sf-demo-{secrets.token_hex(4)}." if options.bootstrap else ""
        self.folder = Path(tempfile.mkdtemp(prefix="stream-filter-demo-"))
        self.keeps_folder = False
        """Set where the logs are worth reading after the end."""
        policy_file = self.folder / "policy.yaml"
        policy_file.write_text(_prefixed_policy(prefix))
        self.policy: Policy = load_policy(policy_file)
        given = self._settings_values(prefix)
        settings_file = self.folder / "settings.yaml"
        settings_file.write_text(yaml.safe_dump(given))
        # Given as arguments, which win over our environment; its credentials count elsewhere only.
        if self._broker:
            given["security"] = SecurityModel()
        self.settings = Settings(**given)
        self.language_model = LanguageModel(
            options.language_model, os.environ, seconds=options.seconds
        )
        self.analyst_file = self.folder / "analyst.yaml"
        self.analyst_file.write_text(yaml.safe_dump(self.language_model.config(prefix)))
        self._policy_file, self._settings_file = policy_file, settings_file

    @property
    def source(self) -> str:
        """The topic that the generator writes to."""
        return self.policy.topics[0].topic

    @property
    def analysis(self) -> str:
        """The topic that the gate forwards to."""
        return self.policy.topics[0].forward_to

    @property
    def is_embedded(self) -> bool:
        return self._broker is not None

    @property
    def has_pack(self) -> bool:
        return (self._options.model_dir / PACK).is_dir()

    def start_worker(self) -> DemoChild:
        """Start the worker's process; it imports and waits to be told to begin."""
        return self._start("worker", ["run", "--policy", str(self._policy_file)], os.environ)

    def start_analyst(self) -> DemoChild:
        """Start the analyst's process; it imports and waits to be told to begin."""
        command = ["analyst", "--config", str(self.analyst_file), "--web-port", str(free_port())]
        return self._start("analyst", command, self.language_model.environment(os.environ))

    def _start(self, name: str, command: list[str], ours: Mapping[str, str]) -> DemoChild:
        child = DemoChild(
            name,
            [*command, "--settings", str(self._settings_file)],
            log_file=self.folder / f"{name}.log",
            env=_environment(ours, keeps_security=not self.is_embedded),
        )
        self._exits.callback(child.kill)
        return child

    def start_broker(self) -> None:
        """Start the embedded broker, if it is to be one. Raises ConfigError."""
        if self._broker:
            self._exits.enter_context(self._broker)

    def _settings_values(self, prefix: str) -> dict[str, Any]:
        return {
            "bootstrap": self._broker.bootstrap if self._broker else self._options.bootstrap,
            "group": f"{prefix}stream-filter",
            "worker": "demo",
            "key": secrets.token_hex(32),
            "model_dir": str(self._options.model_dir),
            "ledger_topic": f"{prefix}stream-filter.ledger",
            "memory_topic": f"{prefix}stream-filter.memory",
            "dead_letter_topic": f"{prefix}stream-filter.dead-letters",
            "deferred_topic": f"{prefix}stream-filter.deferred",
            "audit_topic": f"{prefix}stream-filter.audit",
            "replay_topic": f"{prefix}stream-filter.replays",
            "evidence": True,
            "verdict_topic": f"{prefix}stream-filter.verdicts",
            "certificate_topic": f"{prefix}stream-filter.certificates",
            "incidents_topic": f"{prefix}stream-filter.incidents",
            "delivery": "auto",
            "start_at": "earliest",
            "session_timeout_ms": _EMBEDDED_SESSION_MS if self._broker else _SESSION_MS,
            "web": WebModel(host=HOST, port=free_port()).model_dump(),
            "log": {"format": "json", "level": "info"},
        }

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._exits.close()
        if not self.keeps_folder:
            shutil.rmtree(self.folder, ignore_errors=True)


def _prefixed_policy(prefix: str) -> str:
    """The demo's policy with a prefix on each topic."""
    if not prefix:
        return _POLICY_FILE.read_text()
    policy = yaml.safe_load(_POLICY_FILE.read_text())
    topics = {}
    for name, rules in policy["topics"].items():
        topics[prefix + name] = {**rules, "forward_to": prefix + rules["forward_to"]}
    return str(yaml.safe_dump({**policy, "topics": topics}))


def _environment(ours: Mapping[str, str], *, keeps_security: bool) -> dict[str, str]:
    """Our environment without settings: they would win over the demo's file."""
    return {
        name: value
        for name, value in ours.items()
        if not name.upper().startswith(_ENV)
        or (keeps_security and name.upper().startswith(_SECURITY_ENV))
    }
