"""Keys of `review`, from a real terminal and without one."""

import os
import subprocess
import sys
import termios
import time

import pytest

_PRESSED = """
from stream_filter.cli.review import _pressed
from stream_filter.core.errors import ConfigError
try:
    print(_pressed())
except ConfigError as error:
    print(error)
"""


@pytest.mark.parametrize(
    ("typed", "key"), [(b"I", "i"), (b"\x03", "q"), (b"\x04", "q")], ids=["I", "Ctrl-C", "Ctrl-D"]
)
def test_a_terminal(typed: bytes, key: str) -> None:
    """Ctrl-C and Ctrl-D quit, so that what was answered is sent."""
    ours, theirs = os.openpty()
    command = [sys.executable, "-c", _PRESSED]
    with subprocess.Popen(command, stdin=theirs, stdout=subprocess.PIPE, text=True) as process:
        while termios.tcgetattr(theirs)[3] & termios.ICANON:  # typed earlier, it is thrown away
            assert process.poll() is None
            time.sleep(0.05)
        os.write(ours, typed)
        said, _ = process.communicate(timeout=60)
    os.close(ours)
    os.close(theirs)
    assert said.strip() == key


def test_no_terminal() -> None:
    """A service or a CI job is told what is missing."""
    done = subprocess.run(
        [sys.executable, "-c", _PRESSED],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=True,
        start_new_session=True,
    )
    assert "run it in a terminal" in done.stdout
