"""The stage with systems of every kind, what makes it run again, and a recipe that trains nothing."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from llm_server import Answer, serving
from systems_material import QUESTIONS, TEMPLATE, encoder, local_model, wise

from overton.cli import main
from overton.data import read_answers
from overton.errors import RecipeError, RunError
from overton.generation.stage import rehearse, run
from overton.jsonio import read_jsonl, write_jsonl, write_text
from overton.pipeline import find_stage, run_stage
from overton.recipe import Recipe, dump_recipe, load_recipe, parse_recipe
from overton.rundir import RunDir
from overton.testing import tiny_nli


def recipe(*systems: Any, **generation: Any) -> Recipe:
    keys = {"max_new_tokens": 64, "greedy": False, **generation, "systems": list(systems)}
    return parse_recipe({"name": "a", "generation": keys})


def folder_with(tmp_path: Path, *policies: str) -> RunDir:
    write_jsonl(tmp_path / "data" / "test.jsonl", (q.to_json() for q in QUESTIONS))
    for name in policies:
        local_model(tmp_path / "training" / name / "model", TEMPLATE.replace("Both", name.title()), chat=False)
    return RunDir(tmp_path)


def test_policies_and_other_systems_side_by_side(tmp_path: Path) -> None:
    place = folder_with(tmp_path, "sft", "grpo")
    with serving(Answer(wise)) as endpoint:
        systems = [
            "sft",
            {"name": "grpo-union", "model": "grpo", "strategy": "parallel", **encoder(tmp_path / "encoder")},
            {"name": "gpt-4.1", "model": "gpt-4.1", "base_url": endpoint.url, "strategy": "explicit"},
            {
                "name": "modular",
                "model": "gpt-4.1",
                "base_url": endpoint.url,
                "strategy": "modular",
                "community": [{"model": "sft"}, {"model": "grpo"}],
            },
        ]
        run(recipe(*systems), place)
        asked = endpoint.bodies[-1]["messages"][0]["content"]
        assert "Comment 1: <core" in asked and "Sft count." in asked and "Grpo count." in asked
    files = {path.stem: read_answers(path) for path in (tmp_path / "generation").glob("*.jsonl")}
    assert sorted(files) == ["gpt-4.1", "grpo-union", "modular", "sft"]
    assert {row.answer for row in files["sft"]} == {TEMPLATE.replace("Both", "Sft")}
    assert {row.answer for row in files["grpo-union"]} == {TEMPLATE.replace("Both", "Grpo")}
    assert [row.model for row in files["grpo-union"]] == ["grpo"] * 3


def test_the_old_form_keeps_its_rows(tmp_path: Path) -> None:
    run(recipe("sft", greedy=True), folder_with(tmp_path, "sft"))
    for name in ("sft", "sft-greedy"):
        for row in read_jsonl(tmp_path / "generation" / f"{name}.jsonl"):
            assert list(row) == ["id", "prompt", "answer", "system", "tokens", "seconds", "finished"]


def test_policies_get_as_many_tries_as_others(tmp_path: Path) -> None:
    place = folder_with(tmp_path)
    local_model(tmp_path / "training" / "sft" / "model", "No template.", chat=False)
    policy = {"name": "again", "model": "sft"}
    run(recipe("sft", policy, format_retries=2, greedy=True), place)
    for name in ("sft", "again"):
        rows = read_answers(tmp_path / "generation" / f"{name}.jsonl")
        assert [(row.calls, row.retries, row.answer) for row in rows] == [(3, 2, "No template.")] * 3
        # The end counts as a token for a model that is asked; a policy's own file leaves it out.
        assert {row.completion_tokens for row in rows} == {3 if name == "sft" else 6}
    assert all(row.retries is None for row in read_answers(tmp_path / "generation" / "sft-greedy.jsonl"))


def test_what_is_missing_stops_the_stage_and_what_came_is_kept(tmp_path: Path) -> None:
    place = folder_with(tmp_path)
    with serving(Answer(wise), Answer("", 500), Answer(wise)) as endpoint:
        system = {"name": "m", "model": "m", "base_url": endpoint.url, "retries": 0, "concurrency": 1}
        with pytest.raises(RunError, match="m: 1 of 3 questions have no answer: 1 x HTTP 500"):
            run_stage(recipe(system), place, find_stage("generation"))
        assert (place.manifest("generation") or {})["status"] == "running"
        assert run_stage(recipe(system), place, find_stage("generation"))
        assert len(endpoint.bodies) == 4
        assert len(read_answers(tmp_path / "generation" / "m.jsonl")) == 3
        assert not run_stage(recipe({**system, "concurrency": 3}), place, find_stage("generation"))
        assert run_stage(recipe({**system, "strategy": "explicit"}), place, find_stage("generation"))


def test_new_weights_and_new_prompts_are_asked_anew(tmp_path: Path) -> None:
    place, mine = folder_with(tmp_path), tmp_path / "mine.txt"
    mine.write_text("Say: {question}", encoding="utf-8")
    model = local_model(tmp_path / "model", "Old.")
    system = {"name": "m", "model": model, "prompts": {"implicit": str(mine)}}
    stage = find_stage("generation")
    assert run_stage(recipe(system), place, stage)
    assert not run_stage(recipe(system), place, stage)
    local_model(tmp_path / "model", "New.")
    assert run_stage(recipe(system), place, stage)
    assert {row.answer for row in read_answers(tmp_path / "generation" / "m.jsonl")} == {"New."}
    mine.write_text("Tell: {question}", encoding="utf-8")
    assert run_stage(recipe(system), place, stage)
    assert read_jsonl(tmp_path / "llm" / "replies.jsonl")[-1]["messages"][0][1].startswith("Tell: ")


def test_a_policy_that_is_not_there_names_the_verb_that_makes_it(tmp_path: Path) -> None:
    place = folder_with(tmp_path, "sft")
    with pytest.raises(RunError, match=r"training/grpo/model: missing\. Run `overton train RECIPE`"):
        run_stage(recipe({"name": "g", "model": "grpo"}), place, find_stage("generation"))
    assert run_stage(recipe("sft"), place, find_stage("generation")), "grpo is not asked, so it need not be there"


def test_one_name_at_two_addresses_is_refused_since_replies_would_be_shared() -> None:
    here, there = "http://localhost:1/v1", "http://localhost:2/v1"
    one, other = ({"name": url[17], "model": "local", "base_url": url} for url in (here, there))
    with pytest.raises(RecipeError, match="local stands at two addresses"):
        recipe(one, other)
    with pytest.raises(RecipeError, match="local stands at two addresses"):
        members = [{"model": "local", "base_url": url} for url in (here, there)]
        recipe({"name": "m", "model": "w", "strategy": "modular", "community": members})
    recipe(one, {**other, "model": "second", "extra": {"model": "local"}})
    recipe(one, {**one, "name": "again", "base_url": f"{here}/", "strategy": "explicit"})


def test_a_mistyped_prompt_costs_no_answers(tmp_path: Path) -> None:
    place = folder_with(tmp_path, "sft")
    run_stage(recipe("sft"), place, find_stage("generation"))
    system = {"name": "m", "model": "m", "base_url": "http://localhost:1", "prompts": {"implicit": "nowhere.txt"}}
    with pytest.raises(RecipeError, match=r"nowhere\.txt is neither a file"):
        run_stage(recipe(system, "sft"), place, find_stage("generation"))
    assert len(read_answers(tmp_path / "generation" / "sft.jsonl")) == len(QUESTIONS)


def test_a_dry_run_of_a_recipe(tmp_path: Path, capsys: Any) -> None:
    place = folder_with(tmp_path, "sft")
    with serving(Answer(wise)) as endpoint:
        system = {"name": "m", "model": "m", "base_url": endpoint.url, "strategy": "self-refine", "input_price": 1}
        rehearse(recipe("sft", system), place)
        assert not endpoint.bodies
        write_text(tmp_path / "r.yaml", dump_recipe(recipe("sft", system)))
        assert main(["generate", str(tmp_path / "r.yaml"), "--run-dir", str(tmp_path), "--dry-run"]) == 0
    assert capsys.readouterr().err.count("dry run: 3 calls to m") == 6
    assert not (tmp_path / "generation").exists()
    with pytest.raises(RunError, match="Run `overton data RECIPE` first"):
        rehearse(recipe("sft", system), RunDir(tmp_path / "other"))


@pytest.mark.parametrize(
    ("systems", "wanted"),
    [
        (["sft", {"name": "sft", "model": "m"}], "two systems would write sft.jsonl"),
        (["sft", {"name": "sft-greedy", "model": "m"}], "two systems would write sft-greedy.jsonl"),
        ([{"model": "m"}], "generation.systems.0.name: Field required"),
        ([{"name": "../up", "model": "m"}], "generation.systems.0.name"),
        ([{"name": "m", "model": ""}], "generation.systems.0.model"),
        ([{"name": "m", "model": "m", "stratgy": "explicit"}], "did you mean generation.systems.0.strategy?"),
        ([{"name": "m", "model": "m", "community": [{"model": "a"}]}], "`community` goes with strategy `modular`"),
        (
            [{"name": "m", "model": "m", "strategy": "modular", "community": [{"modle": "a"}]}],
            "did you mean generation.systems.0.community.0.model?",
        ),
        (
            [{"name": "m", "model": "m", "strategy": "parallel", "temperature": 0}],
            "`parallel` at temperature 0 gives one answer, paid for 4 times",
        ),
        (["other"], "generation.systems.0: Input should be 'sft' or 'grpo'"),
    ],
)
def test_a_mistake_in_a_system_is_named(systems: list[Any], wanted: str) -> None:
    with pytest.raises(RecipeError) as caught:
        recipe(*systems, greedy=True)
    assert wanted in str(caught.value)


def test_a_recipe_with_systems_reads_back_as_itself(tmp_path: Path) -> None:
    system = {"name": "m", "model": "m", "strategy": "modular", "community": [{"model": "a"}]}
    made = recipe("sft", system)
    write_text(tmp_path / "r.yaml", dump_recipe(made))
    assert load_recipe(tmp_path / "r.yaml") == made


def test_a_recipe_that_trains_nothing_goes_from_data_to_report(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    model, nli = local_model(tmp_path / "model"), str(tiny_nli(tmp_path / "nli"))
    lines = {
        "name": "asked",
        "data": {"train": 20, "dev": 5, "test": 6, "triplets": 10, "pairs": 10, "nli_pairs": 100},
        "generation": {
            "max_new_tokens": 64,
            "systems": [
                {"name": "implicit", "model": model},
                {"name": "few-shot", "model": model, "strategy": "few-shot", "examples": "run", "shots": 2},
            ],
        },
        "evaluation": {"nli_model": nli, "bootstrap": 100},
    }
    write_text(tmp_path / "asked.yaml", json.dumps(lines))
    for verb in ("data", "generate", "evaluate", "report"):
        assert main([verb, "asked.yaml"]) == 0
    folder = tmp_path / "runs" / "asked"
    assert not (folder / "training").exists() and not (folder / "estimator").exists()
    summary = json.loads((folder / "evaluation" / "summary.json").read_text(encoding="utf-8"))
    assert set(summary["systems"]) == {"implicit", "few-shot"}
    assert "few-shot" in (folder / "report" / "report.md").read_text(encoding="utf-8")
    asked = read_jsonl(folder / "llm" / "replies.jsonl")
    examples = [row["messages"][0][1] for row in asked if "Answer the last question" in row["messages"][0][1]]
    test = {row["text"] for row in read_jsonl(folder / "data" / "test.jsonl")}
    assert len(examples) == 6
    assert not any(text in prompt.split("\n\nQuestion: ")[k] for prompt in examples for k in (1, 2) for text in test)
