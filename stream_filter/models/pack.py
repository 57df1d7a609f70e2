"""A model pack: a folder whose every byte is vouched for by its manifest."""

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from stream_filter.core.canonical import MASK_SET_VERSION
from stream_filter.core.errors import PackError
from stream_filter.models.manifest import MANIFEST_NAME, Manifest

_REBUILD = "restore the pack from its source or build it again"


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelPack:
    """A verified pack. `model_id` is the head of the digest of the manifest's bytes.

    The manifest holds the digest of every other file, so the id stands for the whole pack.
    """

    folder: Path
    manifest: Manifest
    manifest_bytes: bytes
    model_id: str

    def read(self, name: str) -> bytes:
        """The bytes of one file, checked against the manifest. Raises `PackError`."""
        data = _read(self.folder, name)
        if hashlib.sha256(data).hexdigest() != self.manifest.files.get(name):
            raise _error(self.folder, name, "its bytes differ from the manifest's digest", _REBUILD)
        return data

    def is_intact(self) -> bool:
        """Cheap: the manifest is unchanged and every other file is there. Reads none of them."""
        try:
            unchanged = (self.folder / MANIFEST_NAME).read_bytes() == self.manifest_bytes
        except OSError:
            return False
        return unchanged and all((self.folder / name).is_file() for name in self.manifest.files)


def load_pack(folder: Path) -> ModelPack:
    """Read and verify the pack in `folder`.

    Refuses, as `PackError`: an unreadable or invalid manifest, another mask
    set, a missing, extra or changed file, a symbolic link inside the folder and
    paths that leave it. The folder itself may be a link.
    """
    if not folder.is_dir():
        raise _error(folder, MANIFEST_NAME, "the folder does not exist", "check the model's path")
    links, present = _inventory(folder)
    if links:
        raise _error(folder, links[0], "is a symbolic link", "put a copy of the file in its place")
    data = _read(folder, MANIFEST_NAME)
    try:
        manifest = Manifest.model_validate_json(data)
    except ValidationError as error:
        raise _error(folder, MANIFEST_NAME, first_problem(error), _REBUILD) from error
    if manifest.mask_set != MASK_SET_VERSION:
        raise _error(
            folder,
            MANIFEST_NAME,
            f"it was trained on mask set {manifest.mask_set!r}, this version reads "
            f"{MASK_SET_VERSION!r}",
            "train the pack again with this version",
        )
    listed = {MANIFEST_NAME, *manifest.files}
    for name in sorted(listed - present):
        raise _error(folder, name, "is missing", _REBUILD)
    for name in sorted(present - listed):
        raise _error(folder, name, "is not in the manifest", "remove it from the pack")
    pack = ModelPack(
        folder=folder,
        manifest=manifest,
        manifest_bytes=data,
        model_id=hashlib.sha256(data).hexdigest()[:16],
    )
    for name in manifest.files:
        pack.read(name)
    return pack


def _inventory(folder: Path) -> tuple[list[str], set[str]]:
    """The symbolic links and the regular files below `folder`, as relative paths."""
    links: list[str] = []
    present: set[str] = set()
    for parent, directories, files in os.walk(folder, followlinks=False):
        for name in (*directories, *files):
            path = Path(parent, name)
            relative = path.relative_to(folder).as_posix()
            if path.is_symlink():
                links.append(relative)
            elif name in files:
                present.add(relative)
    return sorted(links), present


def _read(folder: Path, name: str) -> bytes:
    try:
        return (folder / name).read_bytes()
    except OSError as error:
        problem = f"cannot be read ({error.strerror or error})"
        raise _error(folder, name, problem, _REBUILD) from error


def first_problem(error: ValidationError) -> str:
    """Where and what, in one line."""
    first = error.errors(include_url=False)[0]
    where = ".".join(str(part) for part in first["loc"]) or "manifest"
    message = " ".join(str(first["msg"]).split())
    return f"{where}: {message}"


def _error(folder: Path, file: str, problem: str, way_out: str) -> PackError:
    return PackError(pack=folder.name, file=file, problem=problem, way_out=way_out)
