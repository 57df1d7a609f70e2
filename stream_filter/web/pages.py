"""/healthz, /readyz and /metrics, as plain values."""

from collections.abc import Mapping

import orjson


def status_page(checks: Mapping[str, bool], facts: Mapping[str, object]) -> tuple[int, bytes]:
    """HTTP status and JSON body: 200 if every check holds, else 503. The body names each."""
    fine = all(checks.values())
    body = {"status": "ok" if fine else "failing", "checks": dict(checks), **facts}
    return (200 if fine else 503), orjson.dumps(body)
