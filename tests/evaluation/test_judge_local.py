"""Judges on this machine."""

from __future__ import annotations

import weakref
from pathlib import Path
from typing import Any

import pytest
from judge_material import QUESTIONS, answers

from overton.evaluation.judge import load_judges
from overton.evaluation.judge.score import judge_answers
from overton.llm.local import LocalModel
from overton.sections_evaluation import JudgeModel
from overton.testing import tiny_policy


@pytest.mark.parametrize("count", [1, 2])
def test_of_several_judges_here_one_at_a_time_is_in_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, count: int
) -> None:
    loaded: list[weakref.ref[Any]] = []
    before: list[int] = []
    make = LocalModel.__init__

    def init(self: LocalModel, *args: Any) -> None:
        before.append(sum(one() is not None for one in loaded))
        make(self, *args)
        loaded.append(weakref.ref(self._model))

    monkeypatch.setattr(LocalModel, "__init__", init)
    names = [f"judge-{i}" for i in range(count)]
    sections = {
        name: JudgeModel(
            model=str(tiny_policy(tmp_path / name, seed=i, max_length=2048, chat=True)), base_url="", max_tokens=4
        )
        for i, name in enumerate(names)
    }
    judges = load_judges(sections, tmp_path / "llm")
    for text in ("yes", "no"):
        rows, _ = judge_answers(judges, answers("s", text), QUESTIONS)
        assert list(rows[0]["judges"]) == names
    # One alone stays for the next answers; of two each is loaded for its turn, when no other is there.
    assert before == ([0] if count == 1 else [0, 0, 0, 0])
