"""Writing a model pack: whole and verified, or not at all."""

import hashlib
import json
import os
import re
import shutil
from collections.abc import Mapping
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

from pydantic import ValidationError

from stream_filter.core.errors import PackError
from stream_filter.models.manifest import MANIFEST_NAME, NAME_PATTERN, Manifest
from stream_filter.models.pack import ModelPack, first_problem, load_pack


def manifest_of(facts: Mapping[str, Any], files: Mapping[str, bytes]) -> Manifest:
    """The manifest with these `facts` (its fields but `schema_version` and `files`) for a pack of
    these files. Raises PackError where they do not make one."""
    digests = {name: hashlib.sha256(data).hexdigest() for name, data in sorted(files.items())}
    try:
        return Manifest.model_validate({"schema_version": 2, "files": digests, **facts})
    except ValidationError as error:
        raise PackError(
            pack=str(facts.get("name")),
            file=MANIFEST_NAME,
            problem=first_problem(error),
            way_out="change what the pack is made from",
        ) from error


def require_new(folder: Path) -> None:
    """Raises PackError where no new pack can be put at `folder`: before the work, not after."""
    problem = None
    if folder.exists() or folder.is_symlink():
        problem = f"{folder} is there already"
    elif not re.fullmatch(NAME_PATTERN, folder.name):
        problem = "a pack's name has lower-case letters, digits and dashes, at most 63"
    if problem is not None:
        raise PackError(
            pack=folder.name,
            file=MANIFEST_NAME,
            problem=problem,
            way_out="name another folder, or remove this one",
        )


def write_pack(folder: Path, manifest: Manifest, files: Mapping[str, bytes]) -> ModelPack:
    """Put a new pack at `folder`, which must not exist yet, and load it from there.

    It appears at once and whole. Raises PackError.
    """
    require_new(folder)
    text = json.dumps(manifest.model_dump(mode="json"), indent=2, ensure_ascii=False) + "\n"
    scratch = None
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        scratch = Path(mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
        scratch.chmod(0o755)
        for name, data in {**files, MANIFEST_NAME: text.encode()}.items():
            path = scratch / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
        load_pack(scratch)
        os.rename(scratch, folder)
    except OSError as error:
        raise PackError(
            pack=folder.name,
            file=error.filename or MANIFEST_NAME,
            problem=f"cannot be written ({error.strerror or error})",
            way_out="check the path and the room on the disk",
        ) from error
    finally:
        if scratch is not None:
            shutil.rmtree(scratch, ignore_errors=True)
    return load_pack(folder)
