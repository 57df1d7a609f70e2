"""Where the project's own packs are."""

from pathlib import Path

STARTER = "triage-starter"
_CHECKOUT = Path(__file__).parents[2]


def shipped_pack(name: str) -> Path | None:
    """In `models` here or beside the checkout; None where it is in neither."""
    for folder in (Path("models"), _CHECKOUT / "models"):
        if (folder / name).is_dir():
            return (folder / name).absolute()
    return None
