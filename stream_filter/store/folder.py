"""A folder of the store, local or S3-compatible: files appear whole or not at all."""

import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pyarrow as pa
from pyarrow import fs

from stream_filter.core.errors import ConfigError, StreamFilterError

_STAGING = ".staging"


class Folder:
    """Paths are relative to it and have `/` between their parts. All methods but the first raise
    StreamFilterError where the storage does not answer."""

    def __init__(self, where: str) -> None:
        """`where`: a path, or a URI that pyarrow knows: `s3://bucket/path?region=…`. Raises
        ConfigError."""
        self.where = where
        try:
            if "://" in where:
                self.filesystem, self.root = fs.FileSystem.from_uri(where)
            else:
                path = str(Path(where).expanduser().absolute())
                self.filesystem, self.root = fs.LocalFileSystem(), path
        except (pa.ArrowException, OSError, ValueError) as error:
            raise ConfigError(
                f"store {where!r}: {_said(error)}: give a folder or s3://…"
            ) from error
        if "\0" in self.root or not self.root.strip("/"):
            raise ConfigError(
                f"store {where!r}: names no folder: give a folder or s3://bucket/path"
            )
        self.is_local = self.filesystem.type_name == "local"

    def path(self, name: str) -> str:
        """As the filesystem knows a file."""
        return f"{self.root}/{name}"

    def holds_a_store(self) -> bool:
        """Whether it is a folder, and either what an archiver made or still empty."""
        with _translated(self.where):
            (root,) = self.filesystem.get_file_info([self.root])
            if root.type != fs.FileType.Directory:
                return False
            inside = self.filesystem.get_file_info(fs.FileSelector(self.root))
            names = {each.base_name for each in inside if not each.base_name.startswith(".")}
            return not names or bool(names & {"decisions", "progress"})

    def files(self, under: str) -> list[str]:
        """Names of all files below, sorted; none where there is no such folder."""
        return [name for name, _ in self._listed(under)]

    def sizes(self, under: str) -> dict[str, int]:
        """Bytes of all files below, by name."""
        return dict(self._listed(under))

    def read(self, name: str) -> bytes | None:
        """None where there is no such file."""
        with _translated(name):
            try:
                with self.filesystem.open_input_stream(self.path(name)) as stream:
                    return bytes(stream.read())
            except FileNotFoundError:
                return None

    def put(self, name: str, data: "bytes | pa.Buffer") -> None:
        """Write a file or replace it: durable and whole when this returns; a crash leaves what was
        there before."""
        path = self.path(name)
        with _translated(name):
            if not self.is_local:  # an object appears when its upload is complete
                with self.filesystem.open_output_stream(path) as stream:
                    stream.write(data)
                return
            staged = Path(self.path(f"{_STAGING}/{uuid.uuid4().hex}"))
            for folder in (staged.parent, Path(path).parent):
                folder.mkdir(parents=True, exist_ok=True)
            with staged.open("xb") as out:
                out.write(data)
                out.flush()
                os.fsync(out.fileno())
            staged.replace(path)
            _sync(Path(path).parent)

    def delete(self, name: str) -> None:
        """Nothing happens where there is no such file."""
        with _translated(name):
            try:
                self.filesystem.delete_file(self.path(name))
            except FileNotFoundError:
                pass

    @contextmanager
    def held(self) -> Iterator[None]:
        """Be the folder's only writer: raises ConfigError where another process is. A local
        folder's lock ends with its process; object storage has none."""
        if not self.is_local:
            yield
            return
        import fcntl

        try:
            lock = Path(self.path(".lock"))
            lock.parent.mkdir(parents=True, exist_ok=True)
            opened = lock.open("a")
        except OSError as error:
            raise ConfigError(
                f"store {self.where!r}: cannot be written: {error.strerror}"
            ) from error
        with opened:
            try:
                fcntl.flock(opened, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise ConfigError(
                    f"store {self.where!r}: another process archives into it: one is enough"
                ) from error
            self._clear_staging()
            yield

    def _listed(self, under: str) -> list[tuple[str, int]]:
        path = self.path(under) if under else self.root
        selector = fs.FileSelector(path, allow_not_found=True, recursive=True)
        with _translated(self.where):
            found = self.filesystem.get_file_info(selector)
        cut = len(self.root) + 1
        return sorted((e.path[cut:], e.size) for e in found if e.type == fs.FileType.File)

    def _clear_staging(self) -> None:
        for left in Path(self.path(_STAGING)).glob("*"):
            left.unlink(missing_ok=True)


@contextmanager
def _translated(what: str) -> Iterator[None]:
    try:
        yield
    except (OSError, pa.ArrowException) as error:
        raise StreamFilterError(f"store: {what}: {_said(error)}") from error


def _said(error: Exception) -> str:
    return " ".join(str(error).split())[:300]


def _sync(folder: Path) -> None:
    """A rename is durable when its folder is."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
