"""The adapters read the settings of the machine; these tests want the default reward."""

from __future__ import annotations

import pytest

from overton.integrations import common


@pytest.fixture(autouse=True)
def default_reward(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OVERTON_REWARD", raising=False)
    monkeypatch.setattr(common, "_said", set())  # what was logged once is logged again
    monkeypatch.setattr(common.first_rows, "_read", False)
    monkeypatch.setattr(common.first_rows, "_failed", 0)
