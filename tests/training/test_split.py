"""How a step is shared out to processes."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from overton.errors import RecipeError
from overton.sections_training import GrpoSection, SftSection
from overton.training.split import Share, grpo_share, sft_share


def grpo(prompts: int, generations: int, micro: int = 0) -> GrpoSection:
    return GrpoSection(prompts_per_step=prompts, num_generations=generations, micro_batch_size=micro)


def test_shares_by_hand() -> None:
    # The published step on 4 GPUs: 256 prompts a process, 10 answers each, 8 a forward pass.
    assert grpo_share(grpo(1024, 10, 8), 4) == Share(2560, 8, 320)
    assert grpo_share(grpo(12, 8), 1) == Share(96, 96, 1)
    assert sft_share(SftSection(batch_size=8, gradient_accumulation=4), 1) == Share(32, 8, 4)
    assert sft_share(SftSection(batch_size=8, gradient_accumulation=4), 4) == Share(8, 8, 1)
    assert sft_share(SftSection(batch_size=16), 2) == Share(8, 8, 1)
    assert sft_share(SftSection(batch_size=6, gradient_accumulation=2), 3) == Share(4, 4, 1)
    assert sft_share(SftSection(batch_size=4, gradient_accumulation=3), 2) == Share(6, 3, 2)  # 4 would not divide 6


counts = st.integers(1, 40)


@given(counts, st.integers(2, 12), st.integers(0, 64), st.integers(1, 9))
def test_a_share_is_whole_groups_in_passes_of_one_size(prompts: int, generations: int, micro: int, world: int) -> None:
    try:
        share = grpo_share(grpo(prompts, generations, micro), world)
    except RecipeError:
        rows = prompts * generations // world
        assert prompts % world or rows % (micro or rows)
        return
    assert share.rows * world == prompts * generations
    assert share.rows % generations == 0
    assert share.batch * share.passes == share.rows
    assert share.batch == micro or not micro


@given(counts, st.integers(1, 8), st.integers(1, 9))
def test_an_sft_step_keeps_its_rows(batch: int, accumulation: int, world: int) -> None:
    section = SftSection(batch_size=batch, gradient_accumulation=accumulation)
    try:
        share = sft_share(section, world)
    except RecipeError:
        assert batch * accumulation % world
        return
    assert share.rows * world == share.batch * share.passes * world == batch * accumulation
    assert share.batch <= batch


@given(st.integers(1, 60), st.integers(2, 8))
def test_the_numbers_that_a_message_names_would_do(prompts: int, world: int) -> None:
    try:
        grpo_share(grpo(prompts, 2), world)
    except RecipeError as error:
        text = str(error)
        sizes = [int(n) for n in re.findall(r"\d+", text.split("a prompt. ")[1].split(" prompts")[0])]
        worlds = [int(n) for n in re.findall(r"\d+", text.split("could be to ")[1])]
        assert prompts % world and sizes and worlds
        assert all(grpo_share(grpo(size, 2), world).rows == 2 * size // world for size in sizes)
        assert all(grpo_share(grpo(prompts, 2), count).rows == 2 * prompts // count for count in worlds)
    else:
        assert prompts % world == 0


def test_a_micro_batch_that_does_not_divide_is_named_with_those_that_do() -> None:
    with pytest.raises(RecipeError, match=r"8 does not divide the 12 answers of a step .*; 6 and 12 would"):
        grpo_share(grpo(3, 4, 8), 1)
    with pytest.raises(RecipeError, match=r"16 does not divide the 8 answers of a process .*2 processes\); 8 would"):
        grpo_share(grpo(4, 4, 16), 2)
