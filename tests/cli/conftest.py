from __future__ import annotations

import os
import sys
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1]))

from cli_material import ANSWER

from overton.cli import main
from overton.testing import scripted_policy, tiny_encoder


@pytest.fixture(autouse=True)
def in_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Each test starts in an empty folder and leaves no setting behind."""
    monkeypatch.chdir(tmp_path)
    before = dict(os.environ)
    with warnings.catch_warnings():
        yield
    os.environ.clear()
    os.environ.update(before)


@pytest.fixture
def overton(capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str, str]]:
    """The command line: arguments -> exit code, stdout, stderr."""

    def call(*arguments: object) -> tuple[int, str, str]:
        capsys.readouterr()
        code = main([str(a) for a in arguments])
        out = capsys.readouterr()
        return code, out.out, out.err

    return call


@pytest.fixture
def fails(overton: Callable[..., tuple[int, str, str]]) -> Callable[..., str]:
    """A command that must fail with one message: arguments -> the message."""

    def call(*arguments: object) -> str:
        code, out, err = overton(*arguments)
        assert code == 1, (out, err)
        assert err.count("error: ") == 1
        assert "Traceback" not in err
        message = err[err.index("error: ") :]
        assert len(message.strip().splitlines()) == 1, message
        return message

    return call


@pytest.fixture(scope="session")
def policy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model that always gives ANSWER."""
    return scripted_policy(tmp_path_factory.mktemp("policy"), ANSWER)


@pytest.fixture(scope="session")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_encoder(tmp_path_factory.mktemp("encoder"))


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    path = tmp_path / "mine.yaml"
    path.write_text("seed: 1\n")
    return path
