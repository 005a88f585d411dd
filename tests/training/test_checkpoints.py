"""Which checkpoints are whole, what the console says of others, and which are kept."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from overton.jsonio import read_json, sha256
from overton.training.checkpoints import LIST, damage, last_checkpoint, rotate, seal

FILES = {"model.safetensors": b"weights", "optimizer.pt": b"moments" * 100, "trainer_state.json": b'{"global_step": 1}'}


def checkpoint(folder: Path, step: int, sealed: bool = True) -> Path:
    path = folder / f"checkpoint-{step}"
    (path / "pytorch_model_fsdp_0").mkdir(parents=True)  # shards lie in folders
    for name, content in {**FILES, "pytorch_model_fsdp_0/__0_0.distcp": b"shard"}.items():
        (path / name).write_bytes(content)
    if sealed:
        seal(path)
    return path


def steps(folder: Path) -> list[int]:
    return sorted(int(path.name.removeprefix("checkpoint-")) for path in folder.glob("checkpoint-*"))


def test_the_newest_whole_checkpoint_is_taken(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert last_checkpoint(tmp_path / "absent", 100) is None
    assert last_checkpoint(tmp_path, 100) is None
    nine, ten = checkpoint(tmp_path, 9), checkpoint(tmp_path, 10)
    (tmp_path / "checkpoint-best").mkdir()
    (tmp_path / "checkpoint-99").write_text("a file")
    assert last_checkpoint(tmp_path, 100) == str(ten)  # by number, not by name
    assert capsys.readouterr().err == ""
    checkpoint(tmp_path, 11, sealed=False)
    assert last_checkpoint(tmp_path, 100) == str(ten)
    assert capsys.readouterr().err == f"{tmp_path / 'checkpoint-11'}: passed over, it was not finished\n"
    assert last_checkpoint(tmp_path, 10) == str(nine)  # all steps done: the trainer would add another


def test_the_list_is_that_of_the_files(tmp_path: Path) -> None:
    path = checkpoint(tmp_path, 3)
    listed = read_json(path / LIST)
    assert set(listed) == {*FILES, "pytorch_model_fsdp_0/__0_0.distcp"}
    for name, entry in listed.items():
        assert entry == {"bytes": (path / name).stat().st_size, "sha256": sha256(path / name)}


def cut(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


def empty(path: Path) -> None:
    path.write_bytes(b"")


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(bytes(content))


@pytest.mark.parametrize("name", [*FILES, "pytorch_model_fsdp_0/__0_0.distcp"])
@pytest.mark.parametrize(
    ("harm", "said"),
    [(cut, "bytes"), (empty, " has 0 of "), (flip, "has changed since it was written"), (Path.unlink, "is missing")],
)
def test_a_damaged_file_is_noticed_and_the_checkpoint_before_taken(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str, harm: Callable[[Path], None], said: str
) -> None:
    before, newest = checkpoint(tmp_path, 5), checkpoint(tmp_path, 10)
    harm(newest / name)
    assert last_checkpoint(tmp_path, 100) == str(before)
    message = capsys.readouterr().err
    assert message.startswith(f"{newest}: passed over, ") and Path(name).name in message and said in message
    assert message.count("\n") == 1
    harm(before / name)
    assert last_checkpoint(tmp_path, 100) is None


@given(content=st.one_of(st.binary(max_size=40), st.sampled_from([b"{}", b"[]", b'{"optimizer.pt": 1}'])))
@settings(max_examples=50, deadline=None)
def test_a_list_that_is_broken_is_a_reason_and_no_error(
    tmp_path_factory: pytest.TempPathFactory, content: bytes
) -> None:
    path = checkpoint(tmp_path_factory.mktemp("c"), 1)
    whole = (path / LIST).read_bytes()
    (path / LIST).write_bytes(content)
    assert damage(path)
    (path / LIST).write_bytes(whole[:-3])
    assert damage(path)


def test_a_changed_byte_shows_in_the_hashes_alone(tmp_path: Path) -> None:
    path = checkpoint(tmp_path, 5)
    flip(path / "optimizer.pt")
    assert damage(path, hashes=False) is None
    assert damage(path) == "the content of optimizer.pt has changed since it was written"


def test_the_newest_two_are_kept(tmp_path: Path) -> None:
    for step in (2, 9, 10, 11):
        checkpoint(tmp_path, step)
        rotate(tmp_path, step)
    assert steps(tmp_path) == [10, 11]


def test_what_is_not_whole_takes_no_place_of_what_is(tmp_path: Path) -> None:
    for step in (5, 10, 15, 20, 25):
        checkpoint(tmp_path, step, sealed=step != 15)
    cut(tmp_path / "checkpoint-20" / "optimizer.pt")
    rotate(tmp_path, 25)
    assert steps(tmp_path) == [10, 25]


def test_a_damaged_checkpoint_that_was_passed_over_does_not_push_out_good_ones(tmp_path: Path) -> None:
    checkpoint(tmp_path, 10)
    flip(checkpoint(tmp_path, 20) / "optimizer.pt")  # of the same size: only its hash tells
    assert last_checkpoint(tmp_path, 100) == str(tmp_path / "checkpoint-10")
    checkpoint(tmp_path, 15)  # the training went on from 10, with another save_steps
    rotate(tmp_path, 15)
    assert steps(tmp_path) == [10, 15]


def test_half_of_a_removed_checkpoint_does_not_look_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for step in (1, 2, 3):
        checkpoint(tmp_path, step)

    def killed(path: Path, **_: bool) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(shutil, "rmtree", killed)
        rotate(tmp_path, 3)
    assert damage(tmp_path / "checkpoint-1") == "it was not finished"
    assert [damage(tmp_path / f"checkpoint-{step}") for step in (2, 3)] == [None, None]
