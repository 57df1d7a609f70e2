"""A command of `stream-filter` that imports first and starts when told: `python -m … run …`.

Importing takes longer than the demo's broker and topics do, so the two happen side by side. A
line on stdin starts the command; the end of stdin, whenever it comes, ends it: no child outlives
its demo.
"""

import importlib
import os
import runpy
import signal
import sys
import threading
import time

_GRACE_S = 5.0
_TAKES_TIME = {"run": "stream_filter.app.worker", "analyst": "stream_filter.analyst.worker"}
"""By command, what takes the time."""


def _stop_at_end_of_stdin() -> None:
    while os.read(0, 64):
        pass
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(_GRACE_S)  # its broker may be gone too, and then there is nothing to finish
    os._exit(1)


def main() -> None:
    """Wait, then be the command line."""
    importlib.import_module(_TAKES_TIME[sys.argv[1]])
    if not os.read(0, 64):
        sys.exit(0)
    threading.Thread(target=_stop_at_end_of_stdin, daemon=True).start()
    runpy.run_module("stream_filter", run_name="__main__")


if __name__ == "__main__":
    main()
