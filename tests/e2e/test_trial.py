"""`stream-filter try` on a topic decides as the worker does, and leaves no trace."""

import json
from collections import Counter
from typing import Any

from tests.e2e.conftest import GateUnderTest
