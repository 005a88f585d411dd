"""How the work of a step is shared out to the processes: each has whole groups, and the step stays the recipe's."""

from __future__ import annotations

from dataclasses import dataclass

from overton.errors import RecipeError
from overton.sections_training import GrpoSection, SftSection


@dataclass(frozen=True, slots=True)
class Share:
    """One process's part of an optimizer step.

    Attributes:
        rows: rows of the process in a step.
        batch: rows a forward pass (``per_device_train_batch_size``).
        passes: forward passes (``gradient_accumulation_steps``).
    """

    rows: int
    batch: int
    passes: int


def sft_share(options: SftSection, processes: int) -> Share:
    """A process's part of the ``batch_size * gradient_accumulation`` rows of a step.

    Args:
        options: ``training.sft``; no process has more than ``batch_size`` rows in a forward pass.
        processes: of the whole training.

    Raises:
        RecipeError: the rows cannot be shared out evenly.
    """
    rows = options.batch_size * options.gradient_accumulation
    if rows % processes:
        raise RecipeError(
            f"training.sft.batch_size: a step of {rows} answers (batch_size {options.batch_size} x "
            f"gradient_accumulation {options.gradient_accumulation}) cannot be shared out to {processes} processes. "
            f"{_nearest(rows, processes)} answers can be, and {rows} could be to {_divisors(rows, processes)} processes"
        )
    share = rows // processes
    batch = max(n for n in range(1, min(options.batch_size, share) + 1) if share % n == 0)
    return Share(share, batch, share // batch)


def grpo_share(options: GrpoSection, processes: int) -> Share:
    """A process's part of the ``prompts_per_step * num_generations`` answers of a step, in whole groups.

    Args:
        options: ``training.grpo``; ``micro_batch_size`` is what a process has in a forward pass.
        processes: of the whole training.

    Raises:
        RecipeError: a group would be split over processes, or the forward passes would not be of one size.
    """
    prompts, generations = options.prompts_per_step, options.num_generations
    if prompts % processes:
        raise RecipeError(
            f"training.grpo.prompts_per_step: {prompts} prompts cannot be shared out to {processes} processes without "
            f"splitting the answers to a prompt. {_nearest(prompts, processes)} prompts can be, and {prompts} could be "
            f"to {_divisors(prompts, processes)} processes"
        )
    share = prompts // processes * generations
    batch = options.micro_batch_size or share
    if share % batch:
        of = f"prompts_per_step {prompts} x num_generations {generations}"
        whose = f"a process ({of} / {processes} processes)" if processes > 1 else f"a step ({of})"
        below = [n for n in range(1, min(batch, share) + 1) if share % n == 0][-1]
        above = [n for n in range(batch, share + 1) if share % n == 0][:1]
        raise RecipeError(
            f"training.grpo.micro_batch_size: {batch} does not divide the {share} answers of {whose}; "
            f"{' and '.join(str(n) for n in (below, *above))} would"
        )
    return Share(share, batch, share // batch)


def _nearest(rows: int, processes: int) -> str:
    below, above = rows // processes * processes, -(-rows // processes) * processes
    return f"{below} or {above}" if below else str(above)


def _divisors(rows: int, processes: int) -> str:
    found = [n for n in range(1, min(rows, 2 * processes) + 1) if rows % n == 0]
    return ", ".join(map(str, found[:-1])) + f" or {found[-1]}" if found[1:] else str(found[0])
