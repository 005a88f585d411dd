"""Before TRL trains: is every group of answers whole on one process?

A reward function sees its own process's answers only: ``per_device_train_batch_size * steps_per_generation`` of
them, cut in order from the batch of all processes. TRL asks no more than that this whole batch holds whole groups.
"""

from __future__ import annotations

from math import gcd
from typing import Any

from transformers import TrainerCallback

from overton.errors import OvertonError


class GroupSplitError(OvertonError, ValueError):
    """The answers to one prompt are, or would be, spread over several processes."""


class CheckGroups(TrainerCallback):
    """:func:`check_groups` as a callback: ``GRPOTrainer(..., callbacks=[CheckGroups()])``."""

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Refuse before the first step."""
        check_groups(args)


def check_groups(args: Any) -> None:
    """Refuse a batch shape that splits groups across processes.

    Evaluation's shape is looked at when ``args.eval_strategy`` is not ``"no"``. Trainers that hand over whole
    groups anyway (``AsyncGRPOTrainer``) always pass.

    Args:
        args: the trainer's ``GRPOConfig``.

    Raises:
        GroupSplitError: with what to set instead.
    """
    if not hasattr(args, "steps_per_generation"):
        return
    # With split batches a batch is what all processes take together.
    shares = args.world_size if getattr(args.accelerator_config, "split_batches", False) else 1
    batch, steps, generations = args.per_device_train_batch_size, args.steps_per_generation, args.num_generations
    problems = []
    whole = generations * shares
    if batch * steps % whole:
        problems.append(
            f"per_device_train_batch_size {batch} x steps_per_generation {steps}{_split(shares)} gives a process "
            f"{batch * steps / shares:g} answers, which are no whole groups of num_generations {generations}. Set "
            f"per_device_train_batch_size to a multiple of {whole // gcd(whole, steps)}, or steps_per_generation to "
            f"a multiple of {whole // gcd(whole, batch)}."
        )
    batch, generations = args.per_device_eval_batch_size, args.num_generations_eval or generations
    whole = generations * shares
    if getattr(args.eval_strategy, "value", args.eval_strategy) != "no" and batch % whole:
        problems.append(
            f"per_device_eval_batch_size {batch}{_split(shares)} gives a process {batch / shares:g} answers in "
            f"evaluation, which are no whole groups of {generations} (num_generations_eval, or num_generations). Set "
            f"per_device_eval_batch_size to a multiple of {whole}."
        )
    if problems:
        raise GroupSplitError(
            f"this batch shape splits groups of answers across {args.world_size} processes: {' '.join(problems)}"
        )


def _split(shares: int) -> str:
    return f", split between {shares} processes (accelerator_config.split_batches)," if shares > 1 else ""
