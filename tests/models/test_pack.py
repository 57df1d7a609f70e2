"""A model pack is used whole and unchanged, or refused with one clear line."""

import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from stream_filter.core.errors import PackError
from stream_filter.models.onnx_scorer import load_slm
from stream_filter.models.pack import load_pack

SHIPPED = Path(__file__).parents[2] / "models" / "demo-platform"
EVERY = (SHIPPED, SHIPPED.with_name("triage-starter"))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A private copy of the shipped pack."""
    return Path(shutil.copytree(SHIPPED, tmp_path / "demo-platform"))


def rewrite(folder: Path, change: Callable[[dict[str, Any]], None]) -> None:
    """Apply `change` to the manifest's document."""
    path = folder / "manifest.json"
    document = json.loads(path.read_bytes())
    change(document)
    path.write_text(json.dumps(document))


def refusal(folder: Path) -> str:
    """The message of the refusal; fails if the pack is accepted."""
    with pytest.raises(PackError) as caught:
        load_pack(folder)
    message = str(caught.value)
    assert "\n" not in message
    assert folder.name in message
    return message


@pytest.mark.parametrize("shipped", EVERY)
def test_shipped_pack_loads(shipped: Path) -> None:
    """A shipped pack loads, and its id is the head of its manifest's digest."""
    pack = load_pack(shipped)
    digest = hashlib.sha256((shipped / "manifest.json").read_bytes()).hexdigest()
    assert pack.model_id == digest[:16]
    assert pack.is_intact()


@pytest.mark.parametrize("shipped", EVERY)
def test_shipped_pack_is_small(shipped: Path) -> None:
    """A shipped pack stays under 20 MB."""
    assert sum(path.stat().st_size for path in shipped.iterdir()) < 20_000_000


@pytest.mark.parametrize("shipped", EVERY)
def test_card_states_every_figure(shipped: Path) -> None:
    """The model card shows every quality figure of the manifest."""
    card = (shipped / "README.md").read_text()
    for figure in load_pack(shipped).manifest.quality:
        assert f"| {figure.metric} | {figure.value:g} | {figure.split} |" in card


@pytest.mark.parametrize("name", ["model.onnx", "tokenizer.json", "README.md"])
def test_flipped_byte(folder: Path, name: str) -> None:
    """A single changed byte in any file is refused."""
    data = bytearray((folder / name).read_bytes())
    data[len(data) // 2] ^= 1
    (folder / name).write_bytes(data)
    assert name in refusal(folder)


@pytest.mark.parametrize("name", ["model.onnx", "tokenizer.json", "README.md", "manifest.json"])
def test_missing_file(folder: Path, name: str) -> None:
    """A pack that lacks a file is refused, and the file is named."""
    (folder / name).unlink()
    assert name in refusal(folder)


@pytest.mark.parametrize("name", ["notes.txt", "sub/model.onnx"])
def test_extra_file(folder: Path, name: str) -> None:
    """A file that the manifest does not list is refused, at any depth."""
    (folder / name).parent.mkdir(exist_ok=True)
    (folder / name).write_text("x")
    assert name in refusal(folder)


def test_symlinked_file(folder: Path, tmp_path: Path) -> None:
    """A symbolic link is refused even if the bytes behind it are right."""
    moved = tmp_path / "moved.onnx"
    (folder / "model.onnx").rename(moved)
    (folder / "model.onnx").symlink_to(moved)
    assert "symbolic link" in refusal(folder)


def test_symlinked_directory(folder: Path, tmp_path: Path) -> None:
    """A symbolic link to a directory is refused."""
    (folder / "sub").symlink_to(tmp_path, target_is_directory=True)
    assert "symbolic link" in refusal(folder)


@pytest.mark.parametrize(
    "path", ["../outside.txt", "/etc/hostname", "a/../../b", "a\\b", "./model.onnx", "a//b", ""]
)
def test_path_that_leaves_the_pack(folder: Path, path: str) -> None:
    """A manifest whose paths leave the folder, or are not plain, is refused."""
    rewrite(folder, lambda document: document["files"].update({path: "0" * 64}))
    assert "manifest.json" in refusal(folder)


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", "null", "\udcff", '{"schema_version": 1}'])
def test_unreadable_manifest(folder: Path, text: str) -> None:
    """Whatever is not a manifest is refused."""
    (folder / "manifest.json").write_bytes(text.encode("utf-8", "surrogateescape"))
    assert "manifest.json" in refusal(folder)


def test_unknown_manifest_key(folder: Path) -> None:
    """An unknown key in the manifest is refused and named."""
    rewrite(folder, lambda document: document.update(colour="blue"))
    assert "colour" in refusal(folder)


def test_unknown_schema_version(folder: Path) -> None:
    """A manifest of another schema version is refused."""
    rewrite(folder, lambda document: document.update(schema_version=1))
    assert "schema_version" in refusal(folder)


def test_other_mask_set(folder: Path) -> None:
    """A pack trained on another mask set is refused: it would read another text."""
    rewrite(folder, lambda document: document.update(mask_set="masks-0"))
    assert "masks-0" in refusal(folder)


def test_manifest_must_list_the_graph(folder: Path) -> None:
    """A manifest that leaves the graph out is refused."""
    rewrite(folder, lambda document: document["files"].pop("model.onnx"))
    assert "model.onnx" in refusal(folder)


def test_missing_folder(tmp_path: Path) -> None:
    """A folder that does not exist is refused."""
    assert "does not exist" in refusal(tmp_path / "nothing")


def replace(folder: Path, name: str, data: bytes) -> None:
    """Put other bytes in place of a file, and vouch for them in the manifest."""
    (folder / name).write_bytes(data)
    digest = hashlib.sha256(data).hexdigest()
    rewrite(folder, lambda document: document["files"].update({name: digest}))


@pytest.mark.parametrize("name", ["model.onnx", "tokenizer.json"])
@pytest.mark.parametrize("data", [b"", b"garbage", b"\x00" * 1000])
def test_garbage_that_is_vouched_for(folder: Path, name: str, data: bytes) -> None:
    """A graph or tokenizer that does not load is a PackError, whatever its digest."""
    replace(folder, name, data)
    with pytest.raises(PackError, match=name):
        load_slm(load_pack(folder), threads=1)


@pytest.mark.parametrize("key", ["input_ids", "attention_mask", "output"])
def test_graph_without_the_promised_names(folder: Path, key: str) -> None:
    """A graph that lacks an input or the output of the manifest is refused."""
    rewrite(folder, lambda document: document["stages"][0].update({key: "elsewhere"}))
    with pytest.raises(PackError, match="elsewhere"):
        load_slm(load_pack(folder), threads=1)


def test_file_changed_after_loading(folder: Path) -> None:
    """A file changed between verification and use is refused at use."""
    pack = load_pack(folder)
    (folder / "model.onnx").write_bytes(b"other")
    with pytest.raises(PackError, match="digest"):
        load_slm(pack, threads=1)


def test_pack_that_goes_away_is_noticed(folder: Path) -> None:
    """A changed or deleted manifest shows in `is_intact`."""
    pack = load_pack(folder)
    rewrite(folder, lambda document: document.update(description="other"))
    assert not pack.is_intact()
    shutil.rmtree(folder)
    assert not pack.is_intact()
