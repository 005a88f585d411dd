"""One command at a time writes to a run, also after one was killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from overton.cli import main
from overton.errors import RunError
from overton.jsonio import write_text
from overton.lock import LOCK, locked
from overton.pipeline import run_stages
from overton.recipe import Recipe
from overton.rundir import RunDir

pytest.importorskip("fcntl")

# Holds the lock until its input ends; with `fork`, a child of it lives on after a kill.
HOLDER = """
import os, sys, time
from pathlib import Path
from overton.lock import locked
with locked(Path(sys.argv[1])):
    child = os.fork() if "fork" in sys.argv else 1
    if not child:
        time.sleep(60)
        os._exit(0)
    print(child, flush=True)
    sys.stdin.read()
"""


@contextmanager
def holder(folder: Path, *how: str) -> Iterator[tuple[subprocess.Popen[str], int]]:
    """A process that has the lock, and its child's number."""
    command = [sys.executable, "-c", HOLDER, str(folder), *how]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        yield process, int(process.stdout.readline())
        if process.poll() is None:
            process.communicate()


def test_a_run_in_use_is_refused_and_left_as_it_is(fake_stages: list[str], tmp_path: Path) -> None:
    run = RunDir(tmp_path / "a")
    run_stages(Recipe(name="a"), run)
    fake_stages.clear()
    stored = (run.path / "recipe.yaml").read_bytes()
    changed = Recipe.model_validate({"name": "a", "seed": 5})
    with holder(run.path) as (process, _):
        with pytest.raises(RunError, match=rf"another command \(pid {process.pid}\) is using this run.*--run-dir"):
            run_stages(changed, run)
        assert fake_stages == [] and (run.path / "recipe.yaml").read_bytes() == stored
    run_stages(changed, run)
    assert fake_stages[0] == "data"


def test_a_killed_command_holds_nothing_though_its_workers_live_on(tmp_path: Path) -> None:
    with holder(tmp_path, "fork") as (process, child):
        try:
            process.send_signal(signal.SIGKILL)
            process.wait()
            with locked(tmp_path):
                assert (tmp_path / LOCK).read_text() == f"{os.getpid()}\n"
                os.kill(child, 0)  # it is still there
        finally:
            os.kill(child, signal.SIGKILL)


def test_a_lock_ends_with_its_block_also_by_an_error(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="inside"), locked(tmp_path):
        raise ValueError("inside")
    with holder(tmp_path):
        pass


def test_only_the_first_of_several_processes_takes_it(
    fake_stages: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = RunDir(tmp_path / "a")
    run_stages(Recipe(name="a"), run)
    fake_stages.clear()
    with holder(run.path) as (process, _):
        monkeypatch.setenv("WORLD_SIZE", "2")
        monkeypatch.setenv("RANK", "1")
        run_stages(Recipe(name="a"), run, last="data")
        assert fake_stages == [] and (run.path / LOCK).read_text() == f"{process.pid}\n"


def test_a_search_for_settings_holds_it_too(
    fake_stages: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = []

    def search(recipe: Recipe, run: RunDir, trials: int, timeout: float | None) -> dict[str, object]:
        other = [sys.executable, "-c", HOLDER, str(run.path)]
        said.append(subprocess.run(other, input="", capture_output=True, text=True, check=False).stderr)
        return {"best": {}, "average_precision": 0.5, "trials": []}

    monkeypatch.setattr("overton.estimator.search.search", search)
    (tmp_path / "a.yaml").write_text("name: a\n", encoding="utf-8")
    assert main(["estimator", "search", str(tmp_path / "a.yaml"), "--run-dir", str(tmp_path / "run")]) == 0
    assert f"(pid {os.getpid()}) is using this run" in said[0]


def test_a_folder_of_something_else_gets_no_lock(fake_stages: list[str], tmp_path: Path) -> None:
    write_text(tmp_path / "a" / "thesis.tex", "x")
    with pytest.raises(RunError, match="not a run directory"):
        run_stages(Recipe(name="a"), RunDir(tmp_path / "a"))
    assert not (tmp_path / "a" / LOCK).exists()


def test_a_command_killed_before_its_first_file_leaves_a_folder_that_can_be_used(
    fake_stages: list[str], tmp_path: Path
) -> None:
    with holder(tmp_path / "a") as (process, _):
        process.send_signal(signal.SIGKILL)
        process.wait()
    run_stages(Recipe(name="a"), RunDir(tmp_path / "a"), last="data")
    assert fake_stages == ["data"]


def test_a_folder_that_cannot_be_made_is_a_message(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(RunError, match="cannot be written"), locked(tmp_path / "file" / "run"):
        pass


def test_a_link_in_the_place_of_the_lock_is_not_followed(tmp_path: Path) -> None:
    """A run from elsewhere may bring one along, and the file it leads to would be emptied."""
    (tmp_path / "mine").write_text("keep")
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / LOCK).symlink_to(tmp_path / "mine")
    with pytest.raises(RunError, match="cannot be written"), locked(tmp_path / "run"):
        pass
    assert (tmp_path / "mine").read_text() == "keep"
