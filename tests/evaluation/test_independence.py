"""Models that judge and must not be those that were trained, or trained against."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from overton.evaluation.independence import Part, family, hashes_of, kin_of_judges, parts_of_run, shared_models
from overton.jsonio import sha256, write_json
from overton.recipe import parse_recipe
from overton.rundir import RunDir
from overton.testing import tiny_encoder, tiny_nli


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("Qwen/Qwen2.5-3B-Instruct", "qwen"),
        ("qwen3:14b", "qwen"),
        ("meta-llama/Llama-3.2-3B", "llama"),
        ("gpt-4.1", "gpt"),
        ("openai/gpt-oss-20b", "gpt"),
        ("microsoft/phi-4", "phi"),
        ("/data/models/Mixtral-8x7B/", "mistral"),
        ("microsoft/deberta-v2-xlarge-mnli", ""),
        ("dolphin-nobody-knows", ""),
        ("", ""),
    ],
)
def test_families(name: str, expected: str) -> None:
    assert family(name) == expected


def test_models_of_their_own_raise_nothing() -> None:
    parts = [
        Part("reward estimator", "", frozenset({"a"})),
        Part("base of the reward estimator", "sentence-transformers/all-MiniLM-L6-v2"),
        Part("evaluation encoder", "sentence-transformers/all-mpnet-base-v2", frozenset({"b"})),
        Part("NLI model", "microsoft/deberta-v2-xlarge-mnli"),
        Part("policy", "Qwen/Qwen2.5-3B"),
        Part("judge", "gpt-4.1"),
    ]
    assert shared_models(parts) == []


def test_what_is_not_known_is_not_shared() -> None:
    assert shared_models([Part("reward estimator"), Part("evaluation encoder"), Part("policy"), Part("judge")]) == []


def test_one_family_of_judge_and_policy() -> None:
    (line,) = shared_models([Part("policy", "Qwen/Qwen2.5-3B"), Part("judge", "qwen3-14b"), Part("judge", "gpt-4.1")])
    assert line.startswith("The policy and the judge are of one family, qwen (Qwen/Qwen2.5-3B and qwen3-14b)")


def test_one_model_is_known_by_name_in_any_folder_and_by_hash_under_any_name() -> None:
    (line,) = shared_models([Part("policy", "someone/Judge-7B"), Part("judge", "/home/me/models/judge-7b/")])
    assert "are one model (judge-7b)" in line  # the place on somebody's machine is not told
    (line,) = shared_models(
        [
            Part("reward estimator", "", frozenset({"a", "b"})),
            Part("evaluation encoder", "mine", frozenset({"b"})),
        ]
    )
    assert line.startswith("The reward estimator and the evaluation encoder are one model (same weights: mine)")


def test_a_copy_of_the_rewards_weights_is_found_in_a_run(tmp_path: Path) -> None:
    run = RunDir(tmp_path / "run")
    tiny_encoder(run.stage("estimator") / "model")
    write_json(run.stage("estimator") / "calibration.json", {"model_hash": "m"})
    nli = tiny_nli(tmp_path / "nli")
    recipe = parse_recipe({"name": "r", "evaluation": {"nli_model": str(nli)}})
    assert shared_models(parts_of_run(recipe, run)) == []
    shutil.copy(run.stage("estimator") / "model" / "model.safetensors", nli / "model.safetensors")
    (line,) = shared_models(parts_of_run(recipe, run))
    assert "reward estimator and the NLI model are one model" in line
    assert str(tmp_path) not in line
    assert hashes_of({"model_hash": "m"}, nli) == {"m", sha256(nli / "model.safetensors")}


def test_a_further_nli_model_is_looked_at_and_so_is_a_renamed_base(tmp_path: Path) -> None:
    tiny_encoder(tmp_path / "base")
    nli = tiny_nli(tmp_path / "nli")
    shutil.copy(tmp_path / "base" / "model.safetensors", nli / "model.safetensors")
    recipe = parse_recipe(
        {"name": "r", "estimator": {"base": str(tmp_path / "base")}, "evaluation": {"nli_also": [str(nli)]}}
    )
    (line,) = shared_models(parts_of_run(recipe, RunDir(tmp_path / "run")))
    assert "base of the reward estimator and the NLI model are one model (same weights: base)" in line


@pytest.mark.parametrize(
    "judge",
    [
        {"model": "qwen3-14b"},
        {"model": "mine", "base_url": "http://127.0.0.1:1/v1", "extra": {"model": "qwen3-14b"}},
    ],
)
def test_roles_come_from_the_recipe(tmp_path: Path, judge: dict[str, Any]) -> None:
    recipe = parse_recipe(
        {
            "name": "r",
            "policy": {"model": "Qwen/Qwen2.5-3B"},
            "evaluation": {"judge": {"models": {"one": judge}}},
        }
    )
    roles = {part.role: part.name for part in parts_of_run(recipe, RunDir(tmp_path))}
    assert roles["policy"] == "Qwen/Qwen2.5-3B"
    assert roles["judge"] == "qwen3-14b"
    assert len(shared_models(parts_of_run(recipe, RunDir(tmp_path)))) == 1


def test_a_judge_of_answers_in_a_run_is_compared_with_its_policy(tmp_path: Path) -> None:
    (tmp_path / "run" / "generation").mkdir(parents=True)
    (tmp_path / "run" / "recipe.yaml").write_text("name: t\npolicy: {model: Qwen/Qwen2.5-1.5B}\n")
    path = tmp_path / "run" / "generation" / "grpo.jsonl"
    (line,), unread = kin_of_judges([path], [""], ["gpt-4.1", "Qwen/Qwen3-14B"])
    assert line.startswith("The policy and the judge are of one family, qwen") and not unread
    assert kin_of_judges([tmp_path / "grpo.jsonl"], [""], ["Qwen/Qwen3-14B"]) == ([], [])
    (tmp_path / "run" / "recipe.yaml").write_text("name: t\npolicy: {modle: x}\n")
    warned, (unread_line,) = kin_of_judges([path], ["gpt-4.1-mini"], ["gpt-4.1"])
    assert [w for w in warned if "answering model" in w] == warned and len(warned) == 1
    assert "run/recipe.yaml cannot be read by this version" in unread_line
