"""Folders appear whole or not at all, and are emptied or say what could not be removed."""

from __future__ import annotations

import errno
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from overton.errors import DiskFullError, RunError
from overton.folders import atomic_folder, empty_folder, shown_model
from overton.jsonio import write_text
from overton.rundir import RunDir


def names(folder: Path) -> list[str]:
    return sorted(p.name for p in folder.iterdir())


def test_a_folder_appears_whole_and_in_place_of_the_old_one(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "model"
    for content in ("one", "two"):
        with atomic_folder(path) as temporary:
            (temporary / content).write_text(content)
            assert not (path / content).exists()
        assert names(path) == [content]
        assert names(path.parent) == ["model"]


@pytest.mark.parametrize("umask", [0o022, 0o077])
def test_weights_can_be_read_by_whom_the_umask_lets(tmp_path: Path, umask: int) -> None:
    import numpy as np
    from safetensors.numpy import save_file

    before = os.umask(umask)
    try:
        with atomic_folder(tmp_path / "model") as temporary:
            (temporary / "deep").mkdir()
            for name in ("a.safetensors", "deep/b.safetensors"):
                save_file({"a": np.zeros(2)}, temporary / name)
    finally:
        os.umask(before)
    for name in ("a.safetensors", "deep/b.safetensors"):
        assert (tmp_path / "model" / name).stat().st_mode & 0o777 == 0o666 & ~umask


def test_a_folder_takes_the_place_of_a_link(tmp_path: Path) -> None:
    (tmp_path / "far").mkdir()
    (tmp_path / "model").symlink_to(tmp_path / "far")
    with atomic_folder(tmp_path / "model") as temporary:
        (temporary / "weights").write_text("new")
    assert names(tmp_path / "model") == ["weights"]
    assert names(tmp_path / "far") == []


@pytest.fixture
def shared() -> Iterator[Path]:
    """A folder that all may read, while this process has only the rights of any user."""
    root = os.geteuid() == 0
    with tempfile.TemporaryDirectory() as name:
        os.chmod(name, 0o755)
        try:
            if root:
                os.seteuid(65534)
            yield Path(name)
        finally:
            if root:
                os.seteuid(0)


def test_what_cannot_be_removed_is_named(shared: Path) -> None:
    user = os.geteuid()
    os.seteuid(os.getuid())
    for name in ("a/open.txt", "a/.hidden", "a/locked/b.txt"):
        write_text(shared / name, "old")
    for folder, mode in (("a", 0o777), ("a/locked", 0o555)):
        (shared / folder).chmod(mode)
    os.seteuid(user)
    with pytest.raises(RunError, match=r"locked/b\.txt: cannot be removed"):
        empty_folder(shared / "a")
    assert names(shared / "a") == ["locked"]
    os.seteuid(os.getuid())
    (shared / "a" / "locked").chmod(0o755)
    empty_folder(shared / "a")
    empty_folder(shared / "not there")
    assert names(shared) == ["a"]
    assert names(shared / "a") == []


@pytest.mark.parametrize("error", [ValueError("no"), OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))])
def test_a_folder_that_could_not_be_filled_leaves_the_old_one(tmp_path: Path, error: Exception) -> None:
    path = tmp_path / "model"
    path.mkdir()
    (path / "weights").write_text("old")
    wanted = DiskFullError if isinstance(error, OSError) else ValueError
    with pytest.raises(wanted), atomic_folder(path) as temporary:
        (temporary / "weights").write_text("half")
        raise error
    assert names(tmp_path) == ["model"]
    assert (path / "weights").read_text() == "old"


def test_what_a_link_leads_to_is_emptied_only_where_it_was_made_here(tmp_path: Path) -> None:
    """A run from elsewhere may hold a link to a folder of the user's own."""
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis").write_text("keep")
    (tmp_path / "data").symlink_to(tmp_path / "mine")
    with pytest.raises(RunError, match=r"were not made here, as there is no manifest\.json"):
        RunDir(tmp_path).begin("data", {"seed": 1})
    assert (tmp_path / "mine" / "thesis").read_text() == "keep"
    (tmp_path / "mine" / "thesis").unlink()
    RunDir(tmp_path).begin("data", {"seed": 1})  # an empty folder of another disk
    (tmp_path / "mine" / "old").write_text("")
    RunDir(tmp_path).begin("data", {"seed": 2})
    assert [path.name for path in (tmp_path / "mine").iterdir()] == ["manifest.json"]


def test_a_folder_is_shown_without_where_it_lies(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    assert shown_model(str(tmp_path / "mine")) == "./mine"
    assert shown_model("Qwen/Qwen2.5-3B-Instruct") == "Qwen/Qwen2.5-3B-Instruct"
