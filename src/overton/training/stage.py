"""Stage ``training``: SFT, then OP-GRPO. Each part is left as it is while what decides its weights stays the same.

All processes of a launcher run it together; the first one alone writes.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path

from overton.data import train_situations
from overton.data.cells import id_value
from overton.errors import ModelError
from overton.jsonio import read_jsonl
from overton.processes import count, from_first, is_first, wait_for_all
from overton.progress import console
from overton.recipe import Recipe
from overton.rundir import RunDir
from overton.types import Situation
from overton.weights import release


def check(recipe: Recipe, run: RunDir) -> None:
    """Find what would stop the training, where finished models would be removed for it.

    Raises:
        RecipeError: with every reason.
        ModelError: the policy's tokenizer or configuration cannot be had.
    """
    from overton.prompting import build_prompt, longest_prompt, read_sft_rows
    from overton.training import parts, preflight
    from overton.training.at_hand import shape_at_hand, tokenizer_at_hand
    from overton.training.lengths import context_problems, row_problems, settle
    from overton.training.sft import prepared

    sft, grpo = (run.stage("training") / part for part in ("sft", "grpo"))
    if not any((part / parts.DONE).exists() for part in (sft, grpo)):
        return
    preflight.check_start(recipe, count())
    missing: list[str] = []
    found: list[preflight.Problem] = []
    if kept := parts.is_finished(sft) and parts.is_made_from(sft, parts.sft_made_from(recipe, run)):
        recipe = recipe.model_copy(update={"policy": recipe.policy.model_copy(update={"model": str(sft / "model")})})
    tokenizer, shape = tokenizer_at_hand(recipe, run, missing, found), shape_at_hand(recipe, missing)
    if shape is None or tokenizer is None:
        raise ModelError("\n".join(missing))
    if not kept and tokenizer.eos_token is not None:
        dataset, sizes = prepared(recipe, read_sft_rows(run.path / "data" / "sft.jsonl"), tokenizer)
        found += row_problems(recipe, sizes, len(sizes) - len(dataset), shape.context)
    template = recipe.policy.prompt_template
    prompts = [build_prompt(s.text, template, tokenizer) for s in grpo_situations(recipe, run)]
    found += context_problems(recipe, longest_prompt(prompts, tokenizer), shape.context)
    if not recipe.reward.remote:
        found += preflight.calibration(recipe, run.path / "estimator")
    found += preflight.background(recipe, background_situations(recipe, run))
    settle(problem for problem in found if problem.severity == "error")


def run(recipe: Recipe, run: RunDir) -> None:
    """Write ``training/{sft,grpo}/`` with model, metrics and sampled answers."""
    from overton.estimator import SimilarityEstimator
    from overton.training import parts, preflight
    from overton.training.grpo import train_grpo
    from overton.training.lengths import generation_problems, rate_problems, settle, situation_problems
    from overton.training.sft import train_sft

    preflight.check_start(recipe, count())
    situations = grpo_situations(recipe, run)
    found = [*situation_problems(recipe, len(situations)), *rate_problems(recipe), *generation_problems(recipe)]
    background = background_situations(recipe, run)
    if not recipe.reward.remote:
        found += preflight.untuned(recipe, run.path / "estimator")
    settle([*found, *preflight.background(recipe, background)])
    folder = run.stage("training")
    sft, grpo = folder / "sft", folder / "grpo"
    grpo_from = {}
    if is_first():
        grpo_from = {**parts.grpo_made_from(recipe, run), **parts.of_server(recipe)}
        parts.begin(sft, parts.sft_made_from(recipe, run))
        parts.remove_other(grpo, grpo_from)
    asked, answers = [s.text for s in situations], run.path / "data" / "sft.jsonl"
    _make(sft, "supervised fine-tuning", recipe, lambda: train_sft(recipe, answers, sft, asked=asked))
    if is_first():
        # An SFT that had to be done again has usually the same weights.
        parts.begin(grpo, {**grpo_from, "start": parts.weights_of(sft)})

    def train() -> None:
        section, home = recipe.reward, run.path / "estimator"
        estimator = None if section.remote else SimilarityEstimator.load(home, data_set=section.data_set)
        train_grpo(recipe, situations, sft / "model", estimator, grpo, background)

    _make(grpo, "OP-GRPO", recipe, train)


def grpo_situations(recipe: Recipe, run: RunDir) -> list[Situation]:
    """The train split, or ``data.grpo_only`` situations without an SFT answer and as many others.

    Raises:
        DataError: a file cannot be read, or, with ``data.grpo_only``, an SFT answer has no id.
    """
    situations = train_situations(run.path / "data" / "train.jsonl")
    if not recipe.data.grpo_only:
        return situations
    file = run.path / "data" / "sft.jsonl"
    answered = {id_value(row.get("id"), f"{file}, row {n}") for n, row in enumerate(read_jsonl(file), 1)}
    new = [s for s in situations if s.id not in answered]
    old = [s for s in situations if s.id in answered]
    return new + random.Random(recipe.seed).sample(old, min(len(new), len(old)))


def background_situations(recipe: Recipe, run: RunDir) -> list[Situation]:
    """The train split, where the recipe's reward has a background; else none.

    Raises:
        DataError: the file cannot be read.
    """
    return train_situations(run.path / "data" / "train.jsonl") if recipe.reward.background else []


def _make(part: Path, name: str, recipe: Recipe, train: Callable[[], None]) -> None:
    """Train a part unless it is finished, write its model's card, and mark it so."""
    from overton.training.card import write_card
    from overton.training.parts import finish, is_finished

    wait_for_all()  # what was made from something else is gone
    if from_first(lambda: is_finished(part)):
        console.print(f"[dim]{name}: up to date[/dim]")
    else:
        console.print(name)
        train()
        release()
        if is_first():
            write_card(part / "model", recipe, part.name)
    wait_for_all()
    if is_first():
        finish(part)
    wait_for_all()
