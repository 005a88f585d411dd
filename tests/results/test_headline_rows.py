"""Who is trained on what in benchmarks/small_beats_big.py."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from headline.rows import communities, community_rows, full_merger_rows, lines_of, merger_rows, mixed_rows
from headline.systems import COMMUNITIES, OURS, POLICIES, START, SYSTEMS
from overton.data.world.content import load_world
from overton.data.world.generate import make_world
from overton.data.world.oracle import judge
from overton.data.world.sft import sft_rows
from overton.recipe import Recipe, load_recipe
from overton.rewards.presets import make_preset
from overton.segment import format_answer
from overton.types import Perspective, Situation

RECIPE = Path(__file__).parents[2] / "recipes" / "small-beats-big.yaml"
TRAIN = make_world(120, 20, 20, 0).train
BY_ID = {s.id: s for s in TRAIN}
ROWS = sft_rows(TRAIN, 0)
VIEWS = {name: Perspective(name, f"the {name.lower()} counts") for name in ("Joy", "Privacy", "Honesty")}


def small(*names: str, references: tuple[str, ...]) -> tuple[list[dict[str, str]], dict[str, Situation]]:
    row = {"id": "a", "prompt": "May they?", "completion": format_answer([VIEWS[n] for n in names], "All count.")}
    return [row], {"a": Situation("a", "May they?", tuple(VIEWS[n] for n in references))}


def test_a_fifth_of_the_rows_ask_explicitly_all_of_the_fuller_half() -> None:
    mixed = mixed_rows(ROWS, BY_ID, 0)
    changed = [i for i, (old, new) in enumerate(zip(ROWS, mixed, strict=True)) if old["prompt"] != new["prompt"]]
    assert len(changed) == 24
    assert [r["completion"] for r in mixed] == [r["completion"] for r in ROWS]
    assert all(mixed[i]["prompt"].endswith(ROWS[i]["prompt"]) for i in changed)
    coverage = [judge(BY_ID[r["id"]], r["completion"]).coverage for r in ROWS]
    plain = [c for i, c in enumerate(coverage) if i not in changed]
    assert sum(coverage[i] for i in changed) / 24 > 1.2 * sum(plain) / len(plain)
    assert mixed_rows(ROWS, BY_ID, 0) == mixed != mixed_rows(ROWS, BY_ID, 1)


def test_communities_share_out_the_values() -> None:
    groups = communities(load_world(), COMMUNITIES)
    assert len(groups) == COMMUNITIES >= 4
    assert sorted(label for labels in groups for label in labels) == sorted(
        v.label for v in load_world().values.values()
    )
    families = [{v.family for v in load_world().values.values() if v.label in labels} for labels in groups]
    assert sum(map(len, families)) == len(set.union(*families))


def test_a_community_says_its_own_lines_or_nothing() -> None:
    rows, situations = small("Joy", "Honesty", references=("Joy", "Privacy", "Honesty"))
    assert community_rows(rows, situations, {"Honesty"})[0]["completion"] == (
        "In the perspective of Honesty, the honesty counts."
    )
    assert community_rows(rows, situations, {"Privacy"}) == []  # left out by the answer, though it is a reference
    assert community_rows(rows, situations, {"Loyalty"})[0]["completion"] == ""


def test_the_merging_model_learns_to_make_the_answer_of_its_parts() -> None:
    groups = communities(load_world(), COMMUNITIES)
    for row, merged in zip(ROWS[:20], merger_rows(ROWS[:20], groups), strict=True):
        assert merged["completion"] == row["completion"] and merged["prompt"].startswith(row["prompt"])
        comments = re.sub(r"^Comment \d: ", "", merged["prompt"], flags=re.MULTILINE)
        assert sorted(lines_of(comments)) == sorted(lines_of(row["completion"])) != []


def test_from_complete_lists_it_learns_to_state_every_comment_once() -> None:
    groups = communities(load_world(), COMMUNITIES)
    for row in full_merger_rows(ROWS[:20], BY_ID, groups, 0):
        verdict = judge(BY_ID[row["id"]], row["completion"])
        assert (verdict.coverage, verdict.precision, verdict.uniqueness) == (1.0, 1.0, 1.0)
        assert "{" not in row["prompt"] and row["prompt"].startswith(BY_ID[row["id"]].text)
        assert len(lines_of(row["prompt"].replace("Comment 1: ", "").replace("Comment 2: ", ""))) >= 2
        assert sorted(line for _, line in lines_of(row["completion"])) == sorted(
            f"In the perspective of {p.label}, {p.explanation[:1].lower()}{p.explanation[1:].rstrip('.')}."
            for p in BY_ID[row["id"]].perspectives
        )


def test_every_policy_fits_the_recipe_and_every_system_has_its_policies() -> None:
    for policy in POLICIES.values():
        recipe = load_recipe(RECIPE, policy.overrides)
        make_preset(recipe.reward.preset, recipe.reward.overrides)
        assert policy.start in ("", START) and (policy.rows or policy.start)
        if not policy.rows:  # what is trained with rewards differs in nothing but the reward and the loss
            plain = load_recipe(RECIPE)
            same = recipe.training.grpo.model_copy(update={"entropy_coef": plain.training.grpo.entropy_coef})
            assert same == plain.training.grpo and recipe.policy == plain.policy
    assert {name for system in SYSTEMS.values() for name in system.policies} == set(POLICIES)
    for system in SYSTEMS.values():
        section = system.section(Path("policies"), union_tokens=64)
        assert len(section.community) == (COMMUNITIES if system.strategy == "modular" else 0)
    assert OURS in SYSTEMS


@pytest.mark.parametrize("vocabulary", [4300, 4800])
def test_the_big_policy_has_the_ratio_of_20b_to_3b(vocabulary: int) -> None:
    big, small = (load_recipe(RECIPE, POLICIES[name].overrides) for name in ("big", START))
    assert parameters(big, vocabulary) >= 6.7 * parameters(small, vocabulary)


def parameters(recipe: Recipe, vocabulary: int) -> int:
    import torch
    from transformers import Qwen2Config, Qwen2ForCausalLM

    own = recipe.policy
    with torch.device("meta"):
        model = Qwen2ForCausalLM(
            Qwen2Config(
                vocab_size=vocabulary,
                hidden_size=own.hidden_size,
                intermediate_size=own.intermediate_size,
                num_hidden_layers=own.layers,
                num_attention_heads=own.heads,
                num_key_value_heads=own.kv_heads,
                tie_word_embeddings=True,
            )
        )
    return sum(p.numel() for p in model.parameters())
