"""What services say in made outages: `{n}` stands for a number, `{word}` for a word, `{peer}` for
the service that is called."""

import random
from typing import Final

from stream_filter.testing.outage_kinds import OutageKind

NAMES: Final = (
    "edge", "web", "mobile-api", "checkout", "cart", "payments", "pricing", "auth", "profile",
    "search", "catalog", "inventory", "shipping", "mailer", "ledger", "orders-db", "users-db",
    "queue", "cache", "blob-store", "dns", "config",
)  # fmt: skip

WORDS: Final = (
    "orders", "users", "items", "prices", "sessions", "invoices", "images", "events", "labels",
    "stocks", "carts", "refunds",
)  # fmt: skip

_SUBJECTS = (
    "worker", "job", "request", "client", "handler", "session", "batch", "import", "export",
    "webhook", "upload", "token", "index", "replica", "shard", "timer", "lease", "snapshot",
    "thread", "buffer", "certificate", "cookie", "plan", "rule",
)  # fmt: skip
_VERBS = (
    "was retried", "was slow", "was rejected", "was truncated", "was skipped", "ran twice",
    "took too long", "was restarted", "was refreshed late", "gave no answer", "was out of date",
    "could not be parsed", "was larger than usual", "was cancelled by its owner", "lost its lock",
    "has an unknown field", "was moved to another host", "is close to its limit",
)  # fmt: skip
_ENDS = (
    "", " after {n} ms", " for account {n}", " in region {n}", ": attempt {n} of 3",
    " while reading {word}", " while writing {word}, {n} rows so far",
    " because the caller had gone; nothing to do, will be looked at by the nightly run {n}",
    " (code {n}), see the page of known problems before you wake anybody up about this one",
)  # fmt: skip

SYMPTOMS: Final = (
    "call to {peer} failed: timeout after {n} ms",
    "circuit opened for {peer} after {n} failures",
    "no healthy instance of {peer}, returning 503 for request {n}",
    "cannot finish {word} {n}: {peer} unavailable",
    "queue of {word} grows, {n} waiting for {peer}",
    "request {n} failed with status 502",
    "falling back to stale {word}, {n} seconds old",
    "retries used up for {word} {n}",
)

_HARD = (
    (
        "no space left on device, segment {n} not written",
        "commit log cannot be opened, going read-only",
        "write of {word} {n} failed: disk full",
    ),
    (
        "too many connections, client {n} refused",
        "connection pool exhausted, {n} callers waiting",
        "deadlock detected on {word}, transaction {n} rolled back",
    ),
    (
        "lost quorum, {n} of 5 members left, writes refused",
        "leader election failed in term {n}",
        "partition {n} of {word} has no leader",
    ),
    (
        "certificate expired {n} seconds ago, handshake refused",
        "upstream handshake failed: unknown authority",
        "signing key {n} not found, no tokens are issued",
    ),
    (
        "process killed: out of memory at {n} MB",
        "instance did not start within {n} seconds",
        "health check failed {n} times, instance taken out",
    ),
)
_DEPLOYED = (
    (
        "version {n} started, schema migration pending",
        "column {word}_total does not exist",
        "uncaught exception in handler of {word}: no attribute currency",
        "cannot decode message of {word}: unknown version {n}",
        "feature flag new_{word} has no default",
        "request {n} to /v2/{word} failed: method not allowed",
    ),
    (
        "release {n} rolled out to all hosts",
        "panic: index out of range in {word} mapper",
        "configuration key {word}.limit is missing, request {n} refused",
        "incompatible client of {word}, protocol {n}",
        "response of {word} is empty since the release",
    ),
)
_LEAKING = (
    ("heap at {n} MB, collection freed nothing", "pause of {n} ms for collection", "heap grows"),
    ("{n} file descriptors open and not closed", "cannot accept: descriptors near the limit"),
    ("connection {n} not returned to the pool", "pool of {word} nearly empty, {n} waited"),
    ("disk usage at {n} per mille and growing", "compaction of {word} fell behind by {n} segments"),
)

FAILURES: Final = {
    OutageKind.ROOT: _HARD,
    OutageKind.CASCADE: _HARD,
    OutageKind.FLAPPING: _HARD,
    OutageKind.DEPLOY: _DEPLOYED,
    OutageKind.SLOW_LEAK: _LEAKING,
}
"""By kind, what the cause may say: one of these."""


def noise_texts(dice: random.Random, count: int) -> list[str]:
    """Lines that mean little."""
    return [
        f"{dice.choice(_SUBJECTS)} of {dice.choice(WORDS)} {dice.choice(_VERBS)}"
        f"{dice.choice(_ENDS)}"
        for _ in range(count)
    ]
