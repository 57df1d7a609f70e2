"""Options that several commands share."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from stream_filter.app.settings import Settings, load_settings

Command = TypeVar("Command", bound=Callable[..., Any])


def policy_option(command: Command) -> Command:
    return _policy_option("The policy file.", required=True)(command)


def optional_policy(purpose: str) -> Callable[[Command], Command]:
    """--policy, which may be left out. `purpose`: the help's text."""
    return _policy_option(purpose, required=False)


def _policy_option(purpose: str, *, required: bool) -> Callable[[Command], Command]:
    return click.option(
        "--policy",
        "policy_path",
        type=click.Path(path_type=Path),
        required=required,
        envvar="STREAM_FILTER_POLICY",
        show_envvar=True,
        help=purpose,
    )


def analysis_topics_option(command: Command) -> Command:
    return click.option(
        "--topic",
        "topics",
        multiple=True,
        metavar="TOPIC",
        help="The analysis topic; may be given several times.  [those of --policy]",
    )(command)


def settings_option(command: Command) -> Command:
    return click.option(
        "--settings",
        "settings_path",
        type=click.Path(path_type=Path),
        envvar="STREAM_FILTER_SETTINGS",
        show_envvar=True,
        help="Settings file. Flags win over environment (STREAM_FILTER_…), file, defaults.",
    )(command)


def connection_options(command: Command) -> Command:
    """--settings, --bootstrap and --group: where to connect."""
    for option in reversed(
        (
            settings_option,
            click.option("--bootstrap", metavar="HOST:PORT", help="The broker.  [localhost:9092]"),
            click.option("--group", help="The gate's consumer group.  [stream-filter]"),
        )
    ):
        command = option(command)
    return command


def model_dir_option(command: Command) -> Command:
    return click.option(
        "--model-dir", type=click.Path(path_type=Path), help="Folder of packs.  [models]"
    )(command)


def control_option(command: Command) -> Command:
    return click.option(
        "--control/--no-control",
        default=None,
        help="Policies are pushed while workers run (`stream-filter policy`).  [no]",
    )(command)


def evidence_option(command: Command) -> Command:
    return click.option(
        "--evidence/--no-evidence",
        default=None,
        help="The analyst's verdicts are read and certificates stated.  [no]",
    )(command)


def json_option(command: Command) -> Command:
    return click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout.")(
        command
    )


def settings_of(path: Path | None, **flags: Any) -> Settings:
    """Settings from the shared options. Raises ConfigError."""
    return load_settings(path, flags)
