"""The files that deploy the gate fit each other and the code."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from stream_filter import __version__
from stream_filter.app.policy_file import load_policy
from stream_filter.app.settings import Settings, load_settings
from stream_filter.cli.main import main

REPO = Path(__file__).parents[2]
COMPOSE: dict[str, Any] = yaml.safe_load((REPO / "docker-compose.yml").read_text())
SERVICES: dict[str, Any] = COMPOSE["services"]
WORKERS = [name for name in SERVICES if name.startswith("worker-")]
OWN = [*WORKERS, "topics"]


def environment(service: str) -> dict[str, str]:
    """A service's variables, with `${NAME:-default}` as without NAME."""
    given = SERVICES[service]["environment"]
    return {k: re.sub(r"\$\{\w+:-(.*?)\}", r"\1", v) for k, v in given.items()}


def seconds(duration: str) -> int:
    """`45s` in seconds."""
    assert duration.endswith("s")
    return int(duration[:-1])


def test_two_workers_kafka_topics_and_prometheus() -> None:
    """The services are those that the documentation promises."""
    assert set(SERVICES) == {"kafka", "topics", "worker-1", "worker-2", "prometheus"}
    assert SERVICES["kafka"]["image"].startswith("apache/kafka:4.")


def test_every_value_is_a_string() -> None:
    """Compose wants strings in an environment: no number or truth value slips through."""
    for name, service in SERVICES.items():
        for key, value in service.get("environment", {}).items():
            assert isinstance(value, str), f"{name}: {key}"


def test_named_volumes_are_declared_and_files_exist() -> None:
    """What is mounted is there, and what is there only to be read is mounted so."""
    for service in SERVICES.values():
        for volume in service.get("volumes", []):
            source, _, rest = volume.partition(":")
            if source.startswith("."):
                assert (REPO / source).is_file(), source
                assert rest.endswith(":ro")
            else:
                assert source in COMPOSE["volumes"]


def test_ports_are_published_once_and_on_this_machine_only() -> None:
    """No two services publish one port, and none publishes it to the network."""
    published = [port for service in SERVICES.values() for port in service.get("ports", [])]
    hosts = [port.rsplit(":", 1)[0] for port in published]
    assert len(hosts) == len(set(hosts))
    assert all(host.startswith("127.0.0.1:") for host in hosts)


def test_every_service_that_stays_has_a_healthcheck_and_a_limit() -> None:
    """Kafka, workers and Prometheus are watched, restarted and bounded."""
    for name in ("kafka", "prometheus", *WORKERS):
        assert SERVICES[name]["healthcheck"]["test"]
        assert SERVICES[name]["mem_limit"]
        assert SERVICES[name]["restart"] != "no"


def test_dependencies_exist_and_have_what_they_wait_for() -> None:
    """A service that waits for health waits for one that has a health check."""
    for service in SERVICES.values():
        for name, condition in service.get("depends_on", {}).items():
            if condition["condition"] == "service_healthy":
                assert "test" in SERVICES[name]["healthcheck"]
            else:
                assert SERVICES[name]["restart"] == "no"


@pytest.mark.parametrize("service", OWN)
def test_variables_are_settings(service: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every STREAM_FILTER_ variable is a setting or an option, and its value is valid."""
    variables = environment(service)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    settings = load_settings(None, {})
    assert settings.bootstrap == "kafka:9092"
    for name in variables:
        key = name.removeprefix("STREAM_FILTER_").lower().split("__")
        assert key == ["policy"] or key[0] in Settings.model_fields, name
        if len(key) == 2:
            assert key[1] in type(getattr(settings, key[0])).model_fields, name
    if service in WORKERS:
        assert settings.key is not None
        assert seconds(SERVICES[service]["stop_grace_period"]) >= settings.stop_timeout_s + 30
        assert settings.group_instance_id == settings.worker == service
        assert str(settings.web.port) in str(SERVICES[service]["healthcheck"]["test"])


@pytest.mark.parametrize("service", OWN)
def test_commands_exist(service: str) -> None:
    """What a service runs is a command with these options."""
    words = SERVICES[service]["command"]
    with pytest.raises(SystemExit) as ended:
        main([*words, "--help"], prog_name="stream-filter")
    assert ended.value.code == 0


@pytest.mark.parametrize("service", OWN)
def test_mounted_policy_loads(service: str) -> None:
    """The policy is mounted where the variable says, and is sound."""
    (mount,) = SERVICES[service]["volumes"]
    source, target, _ = mount.split(":")
    assert environment(service)["STREAM_FILTER_POLICY"] == target
    policy = load_policy(REPO / source)
    assert [rules.model for rules in policy.topics] == ["triage-starter"]


def test_prometheus_scrapes_the_workers() -> None:
    """Prometheus asks every worker, and nobody else, on its web port."""
    config = yaml.safe_load((REPO / "deploy/prometheus.yml").read_text())
    (job,) = config["scrape_configs"]
    ports = {name: environment(name)["STREAM_FILTER_WEB__PORT"] for name in WORKERS}
    (targets,) = [static["targets"] for static in job["static_configs"]]
    assert targets == [f"{name}:{port}" for name, port in ports.items()]
    assert job["metrics_path"] == "/metrics"


def test_image_is_slim_and_not_root() -> None:
    """The last stage is slim, has no package installer's work in it, and runs as a user."""
    stages = re.split(r"^FROM ", (REPO / "Dockerfile").read_text(), flags=re.M)[1:]
    last = stages[-1]
    assert last.startswith("python:3.12-slim\n")
    assert "pip" not in last
    assert "apt-get" not in last
    assert re.search(r"^USER [1-9]", last, re.M)
    assert 'ENTRYPOINT ["stream-filter"]' in last
    assert "HEALTHCHECK" in last
    assert "/models" in last
    assert {SERVICES[name]["image"] for name in OWN} == {f"stream-filter:{__version__}"}


def test_image_gets_the_files_that_it_copies() -> None:
    """Everything that the Dockerfile copies exists and is let through by .dockerignore."""
    text = (REPO / "Dockerfile").read_text()
    copied = [
        word
        for line in re.findall(r"^COPY (?!--from)(.+)$", text, re.M)
        for word in line.split()[:-1]
    ]
    allowed = {
        line[1:]
        for line in (REPO / ".dockerignore").read_text().splitlines()
        if line.startswith("!")
    }
    assert copied
    for path in copied:
        assert (REPO / path).exists()
        assert path in allowed
