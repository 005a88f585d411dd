"""The rewards that ms-swift calls, here on an empty base class; ms-swift calls them in tests/contract/frameworks."""

from __future__ import annotations

import importlib.util
import json
import logging
import runpy
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from adapter_material import EXAMPLES, GOOD, HALF, REFERENCES, SITUATION, SITUATIONS, expected, prepare

from overton.errors import DataError, MissingDependencyError, ModelError, RecipeError

NAME = "overton.integrations.swift"


class ORM:
    """As much as ms-swift's own has."""

    def __init__(self, args: Any = None, **kwargs: Any) -> None:
        self.args = args


@pytest.fixture
def orms(monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, Any]]:
    """The registry of ms-swift after the example's plugin was loaded."""
    rewards = ModuleType("swift.rewards")
    rewards.ORM, rewards.orms = ORM, {}  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "swift", ModuleType("swift"))
    monkeypatch.setitem(sys.modules, "swift.rewards", rewards)
    monkeypatch.delitem(sys.modules, NAME, raising=False)
    runpy.run_path(str(EXAMPLES / "swift" / "plugin.py"))
    yield rewards.orms  # type: ignore[attr-defined]
    sys.modules.pop(NAME, None)


def columns(size: int, **more: Any) -> dict[str, Any]:
    return {"references": [REFERENCES] * size, "situation": [SITUATION.text] * size, **more}


def test_the_plugin_registers_three_rewards(orms: dict[str, Any]) -> None:
    assert set(orms) == {"overton", "overton_coverage", "overton_uniqueness"}
    # ms-swift names metrics after classes.
    assert [c.__name__ for c in orms.values()] == ["Overton", "OvertonCoverage", "OvertonUniqueness"]
    assert all(issubclass(c, ORM) for c in orms.values())


def test_rewards_and_terms_in_order(orms: dict[str, Any]) -> None:
    answers = [HALF, GOOD, ""]
    wanted = [expected(a) for a in answers]
    more = columns(3, prompt_id=["p"] * 3, trainer_state=None, anything=[1, 2, 3])
    assert orms["overton"](args=object())(answers, **more) == pytest.approx([s.value for s in wanted])
    for term in ("coverage", "uniqueness"):
        found = orms[f"overton_{term}"](args=None)(answers, **more)
        assert found == pytest.approx([s.terms[term] for s in wanted])
        assert all(type(value) is float for value in found)


def test_no_answers(orms: dict[str, Any]) -> None:
    assert orms["overton"]()([], trainer_state=None) == []


def test_what_cannot_be_scored_is_none_and_the_others_are_scored(
    orms: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    references = [REFERENCES, [], None, "no JSON", [{"label": "a"}], REFERENCES, REFERENCES]
    situations = [SITUATION.text] * 5 + ["", SITUATION.text]
    with caplog.at_level(logging.WARNING):
        found = orms["overton"]()([GOOD] * 6 + [None], references=references, situation=situations)
    assert found[0] == pytest.approx(expected(GOOD).value)
    assert found[1:] == [None] * 6
    for reason in ("no reference perspectives", "column `references`", "column `situation`", "not text"):
        assert reason in caplog.text


def test_a_first_batch_of_which_no_row_can_be_read_is_an_error(orms: dict[str, Any]) -> None:
    bad = {"references": ["no JSON"] * 2, "situation": [SITUATION.text] * 2}
    with pytest.raises(DataError, match="not one row of the data set could be read so far; the last one: column"):
        orms["overton"]()([GOOD] * 2, **bad)
    assert orms["overton"]()([GOOD], **columns(1)) != [None]
    assert orms["overton"]()([GOOD] * 2, **bad) == [None, None]


def test_cut_off_answers_pay(orms: dict[str, Any]) -> None:
    found = orms["overton"]()([GOOD, GOOD], **columns(2, is_truncated=[False, True]))
    assert found == pytest.approx([expected(GOOD).value, expected(GOOD, finished=False).value])
    assert found[0] - found[1] == pytest.approx(0.5)


def test_what_the_template_opened_stands_in_the_completion_and_an_endless_thought_is_no_answer(
    orms: dict[str, Any],
) -> None:
    marks = "<|channel|>analysis<|message|>Hm.<|end|><|start|>assistant<|channel|>final<|message|>"
    texts = [f"<think>\n{GOOD}", f"<think>\nHm.</think>\n{HALF}", f"<think>\n\n</think>\n\n{HALF}", marks + HALF]
    half = expected(HALF).value
    assert orms["overton"]()(texts, **columns(4)) == pytest.approx([expected("").value, half, half, half])


def test_groups_are_those_of_a_prompt_or_else_of_a_situation(orms: dict[str, Any]) -> None:
    """Novelty looks at the siblings: what both answers cover is new in neither."""
    reward = orms["overton"](overrides={"novelty_weight": 1.0})
    lone = reward([HALF], **columns(1))[0]
    assert reward([HALF, HALF], **columns(2, prompt_id=["p", "q"])) == [lone, lone]
    together = reward([HALF, GOOD], **columns(2, prompt_id=["p", "p"]))
    assert together[1] > reward([GOOD], **columns(1))[0]
    assert reward([HALF, GOOD], **columns(2)) == together
    other = [REFERENCES, [*REFERENCES, {"explanation": "The rain spoils what is inside."}]]
    apart = reward([HALF, HALF], references=other, situation=[SITUATION.text] * 2, prompt_id=["p", "p"])
    assert apart[0] == lone and apart[1] < lone


def test_without_a_situation_the_last_message_of_the_user_counts(orms: dict[str, Any]) -> None:
    messages = [
        {"role": "user", "content": "Hello."},
        {"role": "user", "content": SITUATION.text},
        {"role": "assistant", "content": HALF},
    ]
    found = orms["overton"]()([HALF], references=[REFERENCES], messages=[messages])
    assert found == pytest.approx([expected(HALF).value])
    parts = [{"role": "user", "content": [{"type": "image"}, {"type": "text", "text": SITUATION.text}]}]
    for given in ({}, {"situation": [""]}):
        again = orms["overton"]()([HALF], references=[REFERENCES], messages=[parts], **given)
        assert again == found
    assert orms["overton"]()([HALF], references=[REFERENCES], messages=[messages[2:]]) == [None]
    assert orms["overton"]()([HALF], references=[REFERENCES]) == [None]


def test_missing_columns_and_wrong_settings_are_errors(orms: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(DataError, match=r"needs the column `references`.*found the columns situation"):
        orms["overton"]()(["x"], situation=["?"])
    with pytest.raises(DataError, match="column `situation` has 1 rows for 2 answers"):
        orms["overton"]()(["x", "y"], references=[REFERENCES] * 2, situation=["?"])
    with pytest.raises(RecipeError):
        orms["overton"](preset="no such")
    strange = type("Strange", (orms["overton"],), {"term": "wit"})
    with pytest.raises(DataError, match="no term 'wit'; it has: coverage"):
        strange()
    monkeypatch.setenv("OVERTON_REWARD", "/nowhere/estimator")
    with pytest.raises(ModelError):
        orms["overton"]()


def test_the_rows_of_the_example_score_as_they_should(orms: dict[str, Any], tmp_path: Path) -> None:
    prepare("swift", tmp_path / "train.jsonl")
    rows = [json.loads(line) for line in (tmp_path / "train.jsonl").read_text(encoding="utf-8").splitlines()]
    assert [row["messages"] for row in rows] == [[{"role": "user", "content": s.text}] for s in SITUATIONS]
    given = {name: [row[name] for row in rows] for name in ("messages", "situation", "references")}
    wanted = [expected(GOOD, situation).value for situation in SITUATIONS]
    assert orms["overton"]()([GOOD] * len(rows), **given) == pytest.approx(wanted)


def test_without_ms_swift_the_message_says_so_and_by_its_path_the_module_is_refused(
    monkeypatch: pytest.MonkeyPatch, orms: dict[str, Any]
) -> None:
    path = sys.modules[NAME].__file__
    spec = importlib.util.spec_from_file_location("_swift_external_1", str(path))
    assert spec is not None and spec.loader is not None
    with pytest.raises(RecipeError, match="give a file of your own"):
        spec.loader.exec_module(importlib.util.module_from_spec(spec))
    monkeypatch.setitem(sys.modules, "swift", None)
    monkeypatch.setitem(sys.modules, "swift.rewards", None)
    monkeypatch.delitem(sys.modules, NAME)
    with pytest.raises(MissingDependencyError, match="needs ms-swift"):
        importlib.import_module(NAME)
