"""Standard output that is a pipe which nobody reads, a full disk, or in another encoding."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

FAKES = Path(__file__).parents[1] / "fake_stages.py"


def started(recipe: Path, stdout: int, **environment: str) -> subprocess.CompletedProcess[bytes]:
    command = [sys.executable, str(FAKES), "run", str(recipe)]
    given = {**os.environ, **environment}
    return subprocess.run(command, stdout=stdout, stderr=subprocess.PIPE, env=given, check=False)


@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_a_reader_that_leaves_costs_nothing(recipe: Path, unbuffered: str) -> None:
    read, write = os.pipe()
    os.close(read)
    done = started(recipe, write, PYTHONUNBUFFERED=unbuffered)
    os.close(write)
    assert (done.returncode, b"rror" in done.stderr) == (0, False), done.stderr
    assert Path("runs/mine/report/manifest.json").is_file()


def test_a_full_standard_output_is_no_full_run_directory(recipe: Path) -> None:
    if not Path("/dev/full").exists():
        pytest.skip("no /dev/full here")
    with open("/dev/full", "wb") as full:
        done = started(recipe, full.fileno(), PYTHONUNBUFFERED="")
    said = done.stderr.decode()
    assert done.returncode == 1
    assert said.count("error: ") == 1 and "error: standard output cannot be written (No space left" in said
    assert "Traceback" not in said and "--run-dir" not in said and "Exception ignored" not in said


@pytest.mark.parametrize("encoding", ["ascii", "latin-1"])
def test_characters_that_the_encoding_lacks_are_marked(tmp_path: Path, encoding: str) -> None:
    recipe = tmp_path / "mine.yaml"
    recipe.write_text("seed: 1\n")
    command = [sys.executable, str(FAKES), "run", str(recipe), "--run-dir", "läuft ☺"]
    given = {**os.environ, "PYTHONIOENCODING": encoding}
    done = subprocess.run(command, capture_output=True, env=given, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.decode(encoding).splitlines()[-1].endswith("ft ?/report/index.html")
