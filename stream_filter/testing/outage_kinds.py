"""The kinds of made outages."""

from enum import StrEnum


class OutageKind(StrEnum):
    """What happens. A closed list."""

    ROOT = "root"
    """One service fails, and hardly anybody else says so."""
    CASCADE = "cascade"
    """One fails, and those that depend on it follow, louder than it."""
    FLAPPING = "flapping"
    """It fails, recovers, fails again."""
    DEPLOY = "deploy"
    """A new version says many things that were never said before."""
    SLOW_LEAK = "slow_leak"
    """Something runs full over a quarter of an hour; in the end others time out."""
    QUIET = "quiet"
    """Nothing but noise."""
