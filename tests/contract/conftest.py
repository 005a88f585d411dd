"""The reward that TRL's ready functions use in a test."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest

from overton.rewards import OvertonReward, shared_reward


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from trl_setup import reward_file  # needs TRL, which the other frameworks' environments lack

    return reward_file(tmp_path_factory.mktemp("reward"), threshold=0.9)


@pytest.fixture
def shared(settings: Path, monkeypatch: pytest.MonkeyPatch) -> OvertonReward:
    """The reward that the functions of this process use."""
    monkeypatch.setenv("OVERTON_REWARD", str(settings))
    return shared_reward()


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The number of answers of each scoring."""
    calls: list[int] = []
    score = OvertonReward.score

    def watched(self: OvertonReward, groups: Any) -> Any:
        calls.append(sum(len(group.answers) for group in groups))
        time.sleep(0.02)
        return score(self, groups)

    monkeypatch.setattr(OvertonReward, "score", watched)
    return calls
