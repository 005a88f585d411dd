"""Prompts: which strategy asks which, what fills them, and what makes a version."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from overton.errors import DataError, RecipeError
from overton.generation.prompts import PLACES, USED, Prompt, load_prompts, versions
from overton.generation.strategies import STRATEGIES
from overton.jsonio import write_jsonl
from overton.sections_generation import SystemSection
from overton.segment import CORE_OPEN, layout, segment


def system(strategy: str, **keys: Any) -> SystemSection:
    community = [{"model": "c"}] if strategy == "modular" else []
    return SystemSection.model_validate(
        {"name": "x", "model": "m", "strategy": strategy, "community": community, **keys}
    )


def test_every_strategy_of_the_recipe_has_its_function_and_prompts() -> None:
    names = set(SystemSection.model_fields["strategy"].annotation.__args__)  # type: ignore[union-attr]
    assert set(STRATEGIES) == names == {*USED, "parallel"}
    for strategy in names:
        for name, prompt in load_prompts(system(strategy)).items():
            text = prompt.fill(**{place: f"<{place}>" for place in PLACES[name]})
            assert "<question>" in text
            assert not any("{" + place + "}" in text for place in PLACES[name])


def test_the_implicit_prompt_is_the_bare_question() -> None:
    prompts = load_prompts(system("implicit"))
    assert prompts["implicit"].fill(question="May I?") == "May I?"
    assert load_prompts(system("modular"))["community"].fill(question="May I?") == "May I?"


def test_what_fills_a_place_is_not_read_for_places() -> None:
    prompt = Prompt("p", "{question} | {draft} | {other}", {"draft": "{question}"})
    assert prompt.fill(question="{draft} {question}") == "{draft} {question} | {question} | {other}"


def test_a_version_follows_the_text_and_what_fills_it_for_all() -> None:
    one = Prompt("p", "{question}")
    assert len({one.version, Prompt("p", "{question}!").version, Prompt("p", "{question}", {"a": "b"}).version}) == 3
    shots = {load_prompts(system("few-shot", shots=n))["few-shot"].version for n in (1, 2, 3)}
    assert len(shots) == 3
    found = versions(list(load_prompts(system("self-refine")).values()))
    assert [part.split("@")[0] for part in found.split()] == ["implicit", "critique", "rewrite"]


def test_the_shipped_examples_keep_to_the_template() -> None:
    text = load_prompts(system("few-shot"))["few-shot"].fill(question="May I?")
    answers = [part.split("\n\nQuestion:")[0] for part in text.split("Answer:\n")[1:]]
    assert len(answers) == 3
    assert all(layout(answer).valid and len(segment(answer)) == 5 for answer in answers)
    assert text.endswith("Question: May I?\n\nAnswer:")


def test_examples_of_the_run_are_drawn_from_its_train_answers(tmp_path: Path) -> None:
    rows = [{"id": f"t{i}", "prompt": f"case {i}", "completion": f"answer {i}"} for i in range(9)]
    write_jsonl(tmp_path / "sft.jsonl", rows)
    asked = system("few-shot", examples="run", shots=2)
    drawn = [load_prompts(asked, tmp_path / "sft.jsonl", seed)["few-shot"].given["examples"] for seed in (0, 0, 1)]
    assert drawn[0] == drawn[1] != drawn[2]
    assert drawn[0].count("Question: case") == 2
    with pytest.raises(RecipeError, match="wants a run directory"):
        load_prompts(asked)
    write_jsonl(tmp_path / "sft.jsonl", [*rows, {"prompt": "case 9"}])
    with pytest.raises(DataError, match=r"sft\.jsonl, row 10: `completion`"):
        load_prompts(asked, tmp_path / "sft.jsonl")


def test_a_prompt_of_ones_own(tmp_path: Path) -> None:
    mine = tmp_path / "mine.txt"
    mine.write_text("Think twice: {question}", encoding="utf-8")
    found = load_prompts(system("explicit", prompts={"explicit": str(mine)}))["explicit"]
    assert found.fill(question="May I?") == "Think twice: May I?"
    assert found.version.startswith("mine@")
    found = load_prompts(system("modular", prompts={"community": "explicit"}))["community"]
    assert CORE_OPEN in found.text


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        (b"no place", "{question} is missing"),
        (b"{question} {draft}", "{draft} is unknown; its places are question"),
        (b"\xff{question}", "neither a file in UTF-8"),
        (None, "neither a file in UTF-8"),
    ],
)
def test_a_prompt_that_cannot_be_used_is_named(tmp_path: Path, text: bytes | None, wanted: str) -> None:
    mine = tmp_path / "mine.txt"
    if text is not None:
        mine.write_bytes(text)
    with pytest.raises(RecipeError) as caught:
        load_prompts(system("explicit", prompts={"explicit": str(mine)}))
    assert wanted in str(caught.value)
    assert "x: prompts.explicit" in str(caught.value)


def test_a_prompt_that_the_strategy_does_not_ask_is_refused() -> None:
    with pytest.raises(RecipeError, match=r"prompts\.rewrite: strategy explicit asks only explicit"):
        load_prompts(system("explicit", prompts={"rewrite": "explicit"}))


def test_a_prompt_may_lie_at_home_and_begin_with_a_mark_of_its_encoding(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "mine.txt").write_text("\ufeffSo: {question}", encoding="utf-8")
    prompts = load_prompts(system("implicit", prompts={"implicit": "~/mine.txt"}))
    assert prompts["implicit"].fill(question="why?") == "So: why?"
