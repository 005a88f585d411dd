"""A reward by its name: run directories, their recipes, settings files, and what is wrong with them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from overton.errors import ModelError, RecipeError
from overton.integrations.trl import TrlReward
from overton.rewards import OvertonReward, load_reward
from overton.rewards.presets import make_preset
from overton.testing import tiny_encoder, tiny_policy
from overton.types import Group, Perspective

SIZE = 32  # numbers of a row of the tiny encoder; the untuned MiniLM has 384


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run directory, as far as a reward needs it."""
    folder = tmp_path_factory.mktemp("run")
    tiny_encoder(folder / "estimator" / "model")
    overrides = "{threshold: 0.9, beta: 1.2, miss_credit: -3.6}"
    (folder / "recipe.yaml").write_text(f"name: run\nreward: {{overrides: {overrides}}}\n", encoding="utf-8")
    return folder


def size(reward: Any) -> int:
    return int(reward.estimator.encode(["a text"]).shape[1])


def test_a_run_and_its_recipe_name_the_same_reward(run: Path) -> None:
    for name in (run, str(run), run / "recipe.yaml"):
        found = load_reward(name)
        assert size(found) == SIZE
        assert (found.preset.beta, found.preset.miss_credit) == (1.2, -3.6)  # type: ignore[union-attr]
    assert load_reward(run / "recipe.yaml", beta=0.5).preset.beta == 0.5  # type: ignore[union-attr]


def test_a_name_in_place_of_an_object_is_refused_with_what_opens_it(run: Path) -> None:
    for name in (run, str(run)):
        with pytest.raises(RecipeError, match=r"SimilarityEstimator\.load\('"):
            OvertonReward(name)  # type: ignore[arg-type]
        with pytest.raises(RecipeError, match=r"give load_reward\('"):
            TrlReward(name)  # type: ignore[arg-type]


def test_a_recipe_without_its_run_is_refused_and_settings_without_an_estimator_are_not(
    run: Path, tmp_path: Path
) -> None:
    copy = tmp_path / "recipe.yaml"
    copy.write_bytes((run / "recipe.yaml").read_bytes())
    with pytest.raises(RecipeError, match=r"recipe\.yaml: a recipe, and there is no estimator"):
        load_reward(copy)
    settings = tmp_path / "reward.yaml"
    settings.write_text("overrides: {beta: 1.2}\n", encoding="utf-8")
    assert size(load_reward(settings)) == 384


def test_a_run_that_a_settings_file_names_gives_its_encoder_alone(run: Path, tmp_path: Path) -> None:
    settings = tmp_path / "reward.yaml"
    settings.write_text(f"estimator: {run}\noverrides: {{threshold: 0.8}}\n", encoding="utf-8")
    found = load_reward(settings)
    assert size(found) == SIZE
    assert (found.preset.beta, found.preset.threshold) == (1.4, 0.8)  # type: ignore[union-attr]


def test_a_preset_beside_the_settings_keeps_the_overrides_of_the_same_one_only(run: Path) -> None:
    assert load_reward(run, preset="overton").preset == load_reward(run).preset
    assert load_reward(run, preset="overton", beta=2).preset.miss_credit == -3.6  # type: ignore[union-attr]
    assert load_reward(run, preset="op-grpo").preset == load_reward(run, preset="op-grpo", threshold=0.7).preset


def test_a_preset_file_is_looked_for_beside_the_settings(run: Path, tmp_path: Path) -> None:
    (tmp_path / "own.yaml").write_text("preset: op-grpo\noverrides: {threshold: 0.6}\n", encoding="utf-8")
    settings = tmp_path / "reward.yaml"
    settings.write_text(f"estimator: {run}\npreset: own.yaml\n", encoding="utf-8")
    assert load_reward(settings).preset == load_reward(run, preset="op-grpo", threshold=0.6).preset


def test_overrides_that_are_all_left_out_are_none(run: Path, tmp_path: Path) -> None:
    settings = tmp_path / "reward.yaml"
    settings.write_text(f"estimator: {run}\npreset: op-grpo\noverrides:\n  # weights\n", encoding="utf-8")
    assert load_reward(settings).preset == make_preset("op-grpo", {})  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("preset: 3", "`preset` must be a name, found 3"),
        ("estimator: 3", "`estimator` must be a name, found 3"),
        ("data_set: [a]", "`data_set` must be a name"),
        ("overrides: {3: 4}", "`overrides` must hold fields of the preset, found 3"),
        (
            "overrides: {estimator: x}",
            "estimator: preset 'overton' has no such field.*`estimator` is a key of a settings file, beside",
        ),
        ("estimtor: x", r"reward\.yaml: unknown key estimtor; did you mean estimator\?"),
        ("reward: {overides: {beta: 2}}", r"reward\.yaml: unknown key reward\.overides; did you mean overrides\?"),
        ("estimator: x\nreward: {preset: op-grpo}", "`reward` makes this a recipe, where `estimator: x` has no place"),
        ("overrides: {betta: 1}", r"reward\.yaml: reward\.overrides\.betta: .*did you mean beta\?"),
        ("overrides: {max_words: -1}", "max_words must be at least 0"),
        ("overrides: {max_words: 9}\noverrides: {beta: 2}", r"reward\.yaml: overrides: .*lines 1 and 2"),
    ],
)
def test_settings_of_the_wrong_kind_are_one_message(text: str, message: str, tmp_path: Path) -> None:
    file = tmp_path / "reward.yaml"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(RecipeError, match=message):
        load_reward(file)


@pytest.mark.parametrize("name", ["estimator", "source", "self"])
def test_fields_that_are_none_of_the_preset_are_named(name: str) -> None:
    # `overton serve reward --set NAME=VALUE` hands over whatever it is told.
    with pytest.raises(RecipeError, match=f"{name}: preset 'overton' has no such field"):
        load_reward(**{name: "x"})


def test_a_model_without_a_threshold_is_told_what_it_is(tmp_path: Path) -> None:
    group = Group("May I?", (Perspective("", "It hurts."),), ("It hurts.",))
    policy = tiny_policy(tmp_path / "policy", max_length=64)
    with pytest.raises(ModelError, match=r"policy: a language model \(Qwen2ForCausalLM\).*`policy\.model` and"):
        load_reward(policy).score([group])
    encoder = tiny_encoder(tmp_path / "encoder")
    with pytest.raises(ModelError, match=r"encoder: no calibration\.json, so no threshold.*`estimator\.base`"):
        load_reward(encoder).score([group])
    assert load_reward(encoder, threshold=0.5).score([group])[0][0].value is not None
