"""The config file: mistakes are one line with place and way out, and no secret is printed."""

from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner

from stream_filter.analyst.config import load_analyst
from stream_filter.cli.main import main
from stream_filter.core.errors import ConfigError

GOOD: dict[str, Any] = {
    "version": 1,
    "endpoint": {"base_url": "http://localhost:8000/v1", "model": "m"},
    "topics": {"llm.analysis": {}},
}
SECRET = "sk-very-secret-0123456789"


def load(folder: Path, **changes: Any) -> Any:
    path = folder / "analyst.yaml"
    path.write_text(yaml.safe_dump({**GOOD, **changes}))
    return load_analyst(path)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"endpoint": {"base_url": "ftp://x", "model": "m"}}, "endpoint.base_url"),
        (
            {"endpoint": {**GOOD["endpoint"], "base_url": "http://[::1"}},
            "endpoint.base_url: an address",
        ),
        ({"endpont": 1}, "did you mean endpoint?"),
        ({"topics": {}}, "topics"),
        ({"topics": {"a": {"event": "{{ x"}}}, "topics.a.event: no template can be read"),
        ({"topics": {"a": {"redact": [{"pattern": "("}]}}}, "is no RE2 pattern"),
        ({"topics": {"a": {"redact": ["phone"]}}}, "redact"),
        ({"limits": {"budget_per_day": 5}}, "add price"),
        ({"limits": {"tokens_per_minute": 9000}}, "lower batch.tokens"),
        ({"second": {**GOOD["endpoint"], "share": 0.1}}, "is the judge 'm' again"),
        ({"tokenizer": "/nowhere.json"}, "no tokenizer can be read"),
        ({"topics": {"a": {"examples": "/nowhere"}}}, "check the path"),
        ({"topics": {"a": {"examples": 0}}}, "topics.a.examples: give how many"),
        ({"topics": {"a": {"examples": True}}}, "topics.a.examples: give how many"),
    ],
)
def test_a_mistake_is_one_line(tmp_path: Path, changes: dict[str, Any], said: str) -> None:
    """Each says where and what to do."""
    with pytest.raises(ConfigError) as caught:
        load(tmp_path, **changes)
    assert said in str(caught.value)
    assert len(caught.value.problems) >= 1


@pytest.mark.parametrize(
    "key",
    [
        SECRET,
        {"env": SECRET},
        {"value": SECRET},
        {"file": "/nowhere/key"},
        {"env": "NOT_SET_HERE"},
        {},
    ],
)
def test_a_wrong_key_is_refused_and_not_shown(tmp_path: Path, key: Any) -> None:
    """Also where the key itself was written where its name belongs."""
    (tmp_path / "analyst.yaml").write_text(
        yaml.safe_dump({**GOOD, "endpoint": {**GOOD["endpoint"], "key": key}})
    )
    result = CliRunner().invoke(main, ["analyst", "--config", str(tmp_path / "analyst.yaml")])
    assert result.exit_code == 2
    assert "endpoint.key" in result.stderr
    assert SECRET not in result.output + result.stderr
    assert "Traceback" not in result.stderr


@pytest.mark.parametrize("name", ["base_url", "proxy"])
@pytest.mark.parametrize(
    "address",
    [
        f"user:{SECRET}@host",
        f"http://user:{SECRET}@[host",
        f"ftp://{SECRET}@host",
        f"http://host/v1?key={SECRET}",
    ],
)
def test_a_wrong_address_is_refused_and_not_shown(tmp_path: Path, name: str, address: str) -> None:
    """A password may stand in it."""
    with pytest.raises(ConfigError) as caught:
        load(tmp_path, endpoint={**GOOD["endpoint"], name: address})
    assert f"endpoint.{name}: an address" in str(caught.value)
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize("key", ["two\nlines", "schlüssel-geheim", "with space"])
def test_what_cannot_be_a_key_is_refused_and_not_shown(tmp_path: Path, key: str) -> None:
    """It would fail with each request, and look like a server that is down."""
    (tmp_path / "key").write_text(key)
    with pytest.raises(ConfigError, match="visible ASCII") as caught:
        load(tmp_path, endpoint={**GOOD["endpoint"], "key": {"file": str(tmp_path / "key")}})
    assert key not in str(caught.value)


def test_a_key_does_not_print_itself(tmp_path: Path) -> None:
    """Neither the config's repr nor the endpoint's shows it."""
    (tmp_path / "key").write_text(SECRET + "\n")
    key = {"file": str(tmp_path / "key")}
    config = load(tmp_path, endpoint={**GOOD["endpoint"], "key": key})
    assert config.secrets == [SECRET]
    assert SECRET not in repr(config) + repr(config.endpoint)
