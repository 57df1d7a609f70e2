"""Settings: which source wins, and that no secret is ever printed."""

from collections.abc import Callable
from pathlib import Path

import pytest
from pydantic import SecretStr

from stream_filter.app.settings import Settings, load_settings
from stream_filter.core.errors import ConfigError

Write = Callable[[str | bytes], Path]
SECRET = "hunter2-hunter2"


def test_defaults(clean_environment: pytest.MonkeyPatch) -> None:
    """Without any source every setting has its documented default."""
    settings = load_settings(None, {})
    assert settings.bootstrap == "localhost:9092"
    assert (settings.group, settings.delivery) == ("stream-filter", "auto")
    assert settings.dead_letters.max_run == 1000


def test_precedence(write: Write, clean_environment: pytest.MonkeyPatch) -> None:
    """A flag wins over the environment, the environment over the file, the file over defaults."""
    path = write("group: from-file\nbootstrap: file:1\nstart_at: latest\n")
    clean_environment.setenv("STREAM_FILTER_GROUP", "from-environment")
    clean_environment.setenv("STREAM_FILTER_BOOTSTRAP", "environment:2")
    settings = load_settings(path, {"group": "from-flag", "bootstrap": None})
    assert settings.group == "from-flag"
    assert settings.bootstrap == "environment:2"
    assert settings.start_at == "latest"
    assert settings.batch_records == 10_000


def test_nested_keys_join(write: Write, clean_environment: pytest.MonkeyPatch) -> None:
    """One key of a block from the environment leaves the file's other keys of it."""
    clean_environment.setenv("STREAM_FILTER_SECURITY__SASL_PASSWORD", SECRET)
    path = write("security: {protocol: SASL_SSL, sasl_username: me}\nweb: {port: 7000}\n")
    settings = load_settings(path, {})
    assert settings.security.protocol == "SASL_SSL"
    assert settings.security.sasl_username == "me"
    assert settings.web.port == 7000
    password = settings.connection().sasl_password
    assert password is not None
    assert password.reveal() == SECRET


def test_secrets_are_not_printed(write: Write, clean_environment: pytest.MonkeyPatch) -> None:
    """Neither the settings nor the connection made of them print a secret."""
    path = write(f"key: {SECRET}\nsecurity: {{sasl_password: {SECRET}}}\n")
    settings = load_settings(path, {})
    assert settings.secret_key == SECRET.encode()
    connection = settings.connection()
    for thing in (settings, settings.security, connection, connection.sasl_password):
        for shown in (repr(thing), str(thing), f"{thing}", f"{thing!r:.500}"):
            assert SECRET not in shown
    assert SECRET not in settings.model_dump_json()


@pytest.mark.parametrize(
    "content",
    [
        f"key: [{SECRET}]",
        f"key: {{a: {SECRET}}}",
        f"security: {{sasl_password: [{SECRET}]}}",
        f"security: {SECRET}",
        f"security: {{sasl_pasword: {SECRET}}}",
        f"kye: {SECRET}",
    ],
)
def test_refusals_show_no_secret(
    write: Write, clean_environment: pytest.MonkeyPatch, content: str
) -> None:
    """Where a secret stands in the wrong place or shape, the refusal does not repeat it."""
    with pytest.raises(ConfigError) as caught:
        load_settings(write(content), {})
    assert SECRET not in str(caught.value)
    assert caught.value.problems[0].count("file.yaml:1: ") == 1


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("grup: x", "grup: unknown key: did you mean group?"),
        ("group: ''", "group: string should have at least 1"),
        (
            "delivery: exactly",
            "delivery: input should be 'auto', 'exactly_once' or 'at_least_once'",
        ),
        ("web: {port: 99999}", "web.port: input should be less than or equal to 65535"),
        ("web: 8080", "web: expected keys and values, not 8080"),
        ("batch_records: many", "batch_records: input should be a valid integer"),
        ("batch_records: 0", "batch_records: input should be greater than or equal to 1"),
        ("dead_letters: {max_share: 2}", "dead_letters.max_share: input should be less than"),
        ("log: {level: loud}", "log.level: input should be"),
        ("security: {protocol: TLS}", "security.protocol: input should be"),
        ("bootstrap: 'host:port'", "bootstrap: 'host:port' is not HOST:PORT"),
        ("bootstrap: ''", "bootstrap: '' is not HOST:PORT"),
        ("bootstrap: 'a:1,,b:2'", "bootstrap: '' is not HOST:PORT"),
        ("bootstrap: 'a:70000'", "bootstrap: 'a:70000' is not HOST:PORT"),
        ("bootstrap: '::1'", "bootstrap: '::1' is not HOST:PORT"),
        ("group: [a", "not YAML"),
    ],
)
def test_broken(
    write: Write, clean_environment: pytest.MonkeyPatch, content: str, said: str
) -> None:
    """A broken setting is refused in one line with file, line and key."""
    path = write("# settings\n" + content + "\n")
    with pytest.raises(ConfigError) as caught:
        load_settings(path, {})
    (problem,) = caught.value.problems
    assert problem.startswith(f"{path}:")
    assert said in problem
    assert "\n" not in problem


@pytest.mark.parametrize("bootstrap", ["a", "a:1", "a.b-c_d:9092, e:2", "[::1]:9092", "10.0.0.1:1"])
def test_addresses(clean_environment: pytest.MonkeyPatch, bootstrap: str) -> None:
    """Names, IPv4 and bracketed IPv6 addresses are taken, with or without a port, several too."""
    assert load_settings(None, {"bootstrap": bootstrap}).bootstrap == bootstrap


def test_broken_environment(clean_environment: pytest.MonkeyPatch) -> None:
    """A variable that is no JSON, or out of range, is refused, and its value is not shown."""
    clean_environment.setenv("STREAM_FILTER_SECURITY", f"{{broken {SECRET}")
    with pytest.raises(ConfigError, match="environment") as caught:
        load_settings(None, {})
    assert SECRET not in str(caught.value)
    clean_environment.delenv("STREAM_FILTER_SECURITY")
    clean_environment.setenv("STREAM_FILTER_BATCH_RECORDS", "0")
    with pytest.raises(ConfigError, match="batch_records"):
        load_settings(None, {})


def test_without_a_key(clean_environment: pytest.MonkeyPatch) -> None:
    """Without a key, workers of one group still share one, and another group has another."""
    one, same = load_settings(None, {"group": "a"}), load_settings(None, {"group": "a"})
    assert one.secret_key == same.secret_key != load_settings(None, {"group": "b"}).secret_key
    assert 0 < len(one.secret_key) <= 64
    long = Settings(key=SecretStr("k" * 200))
    assert len(long.secret_key) <= 64


def test_settings_are_frozen(clean_environment: pytest.MonkeyPatch) -> None:
    """Settings do not change once they are read."""
    settings = load_settings(None, {})
    with pytest.raises(ValueError, match="frozen"):
        settings.group = "other"
