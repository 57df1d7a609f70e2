"""What the command line's tests build on."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from stream_filter.cli.main import main

SHIPPED = Path(__file__).parents[2] / "models" / "demo-platform"
POLICY = """\
version: 1
topics:
  payments.logs:
    text: "{level} {message}"
    model: demo-platform
    raw: {drop_below: 0.2, keep_above: 0.8}
"""


@pytest.fixture
def invoke(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    """Runs a command in this process, without settings from the environment."""
    for name in list(os.environ):
        if name.startswith("STREAM_FILTER_"):
            monkeypatch.delenv(name)

    def run(*arguments: str | Path) -> Result:
        result = CliRunner().invoke(main, [str(argument) for argument in arguments])
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception  # a user would see a traceback
        return result

    return run


@pytest.fixture
def policy(tmp_path: Path) -> Path:
    """A sound policy file."""
    path = tmp_path / "policy.yaml"
    path.write_text(POLICY)
    return path


@pytest.fixture
def models(tmp_path: Path) -> Path:
    """A private model folder with the shipped pack."""
    if not (SHIPPED / "manifest.json").exists():
        pytest.skip("models/demo-platform is not built")
    shutil.copytree(SHIPPED, tmp_path / "models" / "demo-platform")
    return tmp_path / "models"
