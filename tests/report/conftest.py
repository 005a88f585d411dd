"""A finished run with made-up results."""

from __future__ import annotations

import pytest
from report_fake_run import build_run

from overton.report.files import RunFiles, read_run
from overton.rundir import RunDir


@pytest.fixture(scope="session")
def run(tmp_path_factory: pytest.TempPathFactory) -> RunDir:
    return build_run(tmp_path_factory.mktemp("parts") / "run", situations=80)


@pytest.fixture(scope="session")
def files(run: RunDir) -> RunFiles:
    return read_run(run)
