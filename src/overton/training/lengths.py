"""Whether rows, prompts and answers fit, counted before anything is trained: for the training and for the dry run."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from overton.errors import RecipeError
from overton.progress import say
from overton.recipe import Recipe
from overton.training.arguments import FEW_STEPS, sft_steps
from overton.training.preflight import Problem

_LOWEST = 1e-3  # learning rate from random weights
_HIGHEST, _HIGHEST_LORA = 1e-4, 3e-4  # of a pretrained model, of an adapter
_SHORTEST = 8  # tokens that training.grpo.max_completion_length takes at least


def settle(problems: Iterable[Problem]) -> None:
    """Print the warnings.

    Raises:
        RecipeError: with every error.
    """
    found = list(problems)
    for problem in found:
        if problem.severity == "warning":
            say(str(problem), style="yellow")
    if errors := [str(problem) for problem in found if problem.severity == "error"]:
        raise RecipeError("\n".join(errors))


def positions_of(model: Any) -> int | None:
    """Positions that a model was made for; ``None`` where its configuration does not say."""
    return getattr(model.config.get_text_config(), "max_position_embeddings", None)


def row_problems(recipe: Recipe, sizes: Sequence[int], dropped: int, positions: int | None) -> Iterator[Problem]:
    """Rows of SFT that are too long for the model or for packing.

    Args:
        recipe: sections ``policy`` and ``training.sft``.
        sizes: tokens of each prompt with its answer.
        dropped: rows of which ``policy.max_length`` leaves no answer.
        positions: of the model.
    """
    packing, longest = recipe.training.sft.packing, max(sizes, default=0)
    if recipe.policy.model == "scratch":
        limit = recipe.policy.max_length
        over = sum(size > limit for size in sizes)
        if over:
            yield Problem(
                "error" if dropped == len(sizes) else "warning",
                "policy.max_length",
                f"{over} of {len(sizes)} rows of SFT have more than its {limit} tokens: {dropped} left out, since the "
                f"prompt alone fills it, and {over - dropped} cut, so that their answers do not end. Set it to "
                f"{longest} or more to keep all.",
            )
        longest = min(longest, limit)
    elif positions and longest > positions:
        over = sum(size > positions for size in sizes)
        yield Problem(
            "error",
            "policy.model",
            f"{over} of {len(sizes)} rows of SFT have more tokens than the model has positions ({positions}), the "
            f"longest {longest}. Take a model with a longer context, or leave these situations out.",
        )
    if packing and longest > packing:
        yield Problem(
            "error",
            "training.sft.packing",
            f"a row of {packing} tokens is too short, the longest answer with its prompt has {longest}. Set it to "
            f"{longest} or more.",
        )


def step_problems(recipe: Recipe, rows: int) -> Iterator[Problem]:
    """Steps of SFT too few or too small to change a model; ``rows`` as in ``training.arguments.sft_steps``."""
    options, steps = recipe.training.sft, sft_steps(recipe, rows)
    if recipe.policy.model == "scratch" and options.learning_rate < _LOWEST:
        yield Problem(
            "warning",
            "training.sft.learning_rate",
            f"{options.learning_rate:g} is a rate for a pretrained model, and policy.model is scratch: it starts from "
            "random weights and would learn next to nothing. Name a model, or take optimizer: muon with rates as in "
            "recipes/quickstart.yaml.",
        )
    if steps < FEW_STEPS:
        yield Problem(
            "warning",
            "training.sft",
            f"{rows} rows, {options.batch_size * options.gradient_accumulation} a step and {options.epochs:g} epochs "
            f"make {steps} steps, in which a model hardly changes. Lower batch_size, or raise epochs.",
        )


def rate_problems(recipe: Recipe) -> Iterator[Problem]:
    """Learning rates of SFT and GRPO at which a pretrained model soon forgets what it knew; GRPO's default is one."""
    policy, training = recipe.policy, recipe.training
    if policy.model == "scratch":
        return
    highest, usual = (_HIGHEST_LORA, "1e-5 to 1e-4") if policy.lora_rank else (_HIGHEST, "1e-5 in SFT, 1e-6 in OP-GRPO")
    for name, options in (("sft", training.sft), ("grpo", training.grpo)):
        if options.learning_rate > highest:
            yield Problem(
                "warning",
                f"training.{name}.learning_rate",
                f"{options.learning_rate:g} is a rate for a policy from scratch; a pretrained model is likely to lose "
                f"what it has learnt. Usual are {usual}.",
            )


def context_problems(recipe: Recipe, prompt: int, positions: int | None) -> Iterator[Problem]:
    """The longest prompt of GRPO, in tokens, and the longest answer in the model's positions."""
    answer = recipe.training.grpo.max_completion_length
    if positions is None or prompt + answer <= positions:
        return
    if recipe.policy.model == "scratch":
        remedy = f"Set policy.max_length to {prompt + answer} or more"
    else:
        remedy = "Take a model with a longer context"
    room = positions - prompt
    shorter = f"set this to {room} or less" if room >= _SHORTEST else "leave out the longest situations"
    yield Problem(
        "error",
        "training.grpo.max_completion_length",
        f"a prompt of {prompt} tokens and an answer of {answer} are more than the {positions} positions of the model. "
        f"{remedy}, or {shorter}.",
    )


def situation_problems(recipe: Recipe, situations: int) -> Iterator[Problem]:
    """Fewer situations than GRPO asks at once: TRL would take no step, and say so in passing."""
    options = recipe.training.grpo
    wanted = options.prompts_per_step * options.steps_per_generation
    if situations < wanted:
        times = f" x steps_per_generation: {wanted}" if options.steps_per_generation > 1 else ""
        yield Problem(
            "error",
            "training.grpo.prompts_per_step",
            f"{options.prompts_per_step}{times}, but there are only {situations} situations to ask; lower it, or train "
            "on more",
        )


def generation_problems(recipe: Recipe) -> Iterator[Problem]:
    """A last generation of GRPO of which some answers are for no step."""
    options = recipe.training.grpo
    used = options.steps % options.steps_per_generation
    if used:
        yield Problem(
            "warning",
            "training.grpo.steps_per_generation",
            f"{options.steps} steps are no multiple of {options.steps_per_generation}: of the last answers only those "
            f"of {used} of {options.steps_per_generation} steps are learnt from",
        )
