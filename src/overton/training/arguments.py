"""From a recipe to the arguments of TRL's trainers: the one place for training and for the dry run."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from overton import processes
from overton.errors import DataError
from overton.jsonio import read_json
from overton.precision import has_fast_bf16
from overton.recipe import Recipe
from overton.rundir import fingerprint
from overton.training.parts import RECORD
from overton.training.split import grpo_share, sft_share

FEW_STEPS = 10  # below these a training hardly changes a model
_BLOCK = 256  # tokens of a block of the cache in continuous batching
# A batch's length is the next multiple of this. With a length of its own for each batch a CPU spends more time on
# finding memory of the right size and on compiling products of that shape (docs/speed.md).
_LENGTHS = 8


def sft_arguments(
    recipe: Recipe,
    folder: Path,
    rows: int,
    *,
    prepared: bool,
    max_steps: int = -1,
    world: int | None = None,
    sharded: bool | None = None,
) -> dict[str, Any]:
    """Arguments of TRL's ``SFTConfig``.

    Args:
        recipe: sections ``policy`` and ``training``.
        folder: ``training/sft`` of the run.
        rows: of the data set, after packing.
        prepared: the data set holds token ids already.
        max_steps: overrides the number of epochs when positive.
        world: processes that train; ``None`` = those of this run.
        sharded: whether they share out weights or states; ``None`` = as this run was launched.

    Raises:
        RecipeError: the answers of a step cannot be shared by the processes.
    """
    options = recipe.training.sft
    share = sft_share(options, world or processes.count())
    total = max_steps if max_steps > 0 else sft_steps(recipe, rows)
    scratch = recipe.policy.max_length if recipe.policy.model == "scratch" else None
    return {
        "output_dir": str(folder / "checkpoints"),
        "num_train_epochs": options.epochs,
        "max_steps": total,
        "per_device_train_batch_size": share.batch,
        "gradient_accumulation_steps": share.passes,
        "learning_rate": options.learning_rate,
        "lr_scheduler_type": "cosine",
        "warmup_steps": _warmup(options.warmup_ratio, total),
        "weight_decay": options.weight_decay,
        "train_sampling_strategy": "group_by_length",
        "max_length": options.packing or scratch,
        "packing": bool(options.packing),
        "pad_to_multiple_of": None if options.packing else _LENGTHS,
        "dataset_kwargs": {"skip_prepare_dataset": prepared},
        "save_steps": options.save_steps,
        # A row holds the mean since the row before, so a checkpoint between two rows would lose a part of one.
        "logging_steps": math.gcd(10, options.save_steps),
        **_common(recipe, folder, sharded),
    }


def grpo_arguments(
    recipe: Recipe, folder: Path, prompt_tokens: int, world: int | None = None, sharded: bool | None = None
) -> dict[str, Any]:
    """Arguments of TRL's ``GRPOConfig``.

    Args:
        recipe: section ``training``.
        folder: ``training/grpo`` of the run.
        prompt_tokens: of the longest prompt; with the longest answer it is what vLLM keeps room for.
        world: processes that train; ``None`` = those of this run.
        sharded: whether they share out weights or states; ``None`` = as this run was launched.

    Raises:
        RecipeError: groups would be split, or the micro-batch does not divide a process's share.
    """
    options = recipe.training.grpo
    share = grpo_share(options, world or processes.count())
    reused = options.steps_per_generation > 1
    return {
        "output_dir": str(folder / "checkpoints"),
        "max_steps": options.steps,
        "per_device_train_batch_size": share.batch,
        "gradient_accumulation_steps": share.passes,
        **({"steps_per_generation": options.steps_per_generation * share.passes} if reused else {}),
        "num_generations": options.num_generations,
        "max_completion_length": options.max_completion_length,
        "learning_rate": options.learning_rate,
        "lr_scheduler_type": options.lr_scheduler,
        "warmup_steps": _warmup(options.warmup_ratio, options.steps),
        "beta": options.beta,
        "entropy_coef": options.entropy_coef,
        "temperature": options.temperature,
        # Answers are not saved: from a checkpoint within a generation they would be drawn anew, of another policy.
        "save_steps": options.at_generations(options.save_steps),
        "logging_steps": 1,
        **_rollout(recipe, prompt_tokens, share.rows * options.steps_per_generation),
        **_common(recipe, folder, sharded),
    }


def sft_steps(recipe: Recipe, rows: int) -> int:
    """Optimizer steps of SFT over so many rows, on any number of processes.

    Each epoch goes through all rows, so its last step may have fewer; the last of all is left out then, but for fewer
    than :data:`FEW_STEPS`, and where one step takes all rows: there it may be half of what is learnt.
    """
    options = recipe.training.sft
    full = rows / (options.batch_size * options.gradient_accumulation)
    before = math.ceil(options.epochs) - 1  # epochs before the last one, which may be a part of one
    last = full * (options.epochs - before)
    few = full < 1 or before * math.ceil(full) + last < FEW_STEPS
    return max(1, before * math.ceil(full) + (math.ceil(last) if few else int(last)))


def sft_epochs(recipe: Recipe, rows: int) -> float:
    """Epochs that :func:`sft_steps` make, as the trainer counts them: a step that is not full is as long as others."""
    options = recipe.training.sft
    return sft_steps(recipe, rows) / max(1, math.ceil(rows / (options.batch_size * options.gradient_accumulation)))


def _warmup(ratio: float, steps: int) -> int:
    """Steps that warm up. The first of them has the learning rate 0, so one after them has to be left."""
    return min(round(ratio * steps), steps - 1)


def _rollout(recipe: Recipe, prompt_tokens: int, rows: int) -> dict[str, Any]:
    options = recipe.training.grpo
    if options.rollout == "continuous-batching":
        found: dict[str, Any] = {"use_transformers_continuous_batching": True}
        if device_here() == "cpu":
            # By itself it takes most of the memory there is; this much holds all answers of the step.
            blocks = rows * -(-(prompt_tokens + options.max_completion_length) // _BLOCK)
            found["transformers_continuous_batching_config"] = {"num_blocks": blocks, "page_size": _BLOCK}
        return found
    if options.rollout == "vllm":
        return {
            "use_vllm": True,
            "vllm_mode": "colocate",
            "vllm_gpu_memory_utilization": options.vllm_gpu_memory_utilization,
            "vllm_tensor_parallel_size": options.vllm_tensor_parallel_size,
            "vllm_max_model_length": prompt_tokens + options.max_completion_length,
        }
    if options.rollout == "vllm-server":
        return {"use_vllm": True, "vllm_mode": "server", "vllm_server_base_url": options.vllm_server_url}
    return {}


def _common(recipe: Recipe, folder: Path, sharded: bool | None) -> dict[str, Any]:
    """What SFT and GRPO share."""
    training = recipe.training
    cpu = device_here() == "cpu"
    accelerator = {}
    if processes.shares_weights() if sharded is None else sharded:
        # Else FSDP leaves the whole gradient on each process until the last pass of a step. DeepSpeed never does.
        accelerator["accelerator_config"] = {"gradient_accumulation_kwargs": {"sync_each_batch": True}}
    return {
        "seed": recipe.seed,
        "data_seed": recipe.seed,
        "use_cpu": cpu,
        "bf16": training.bf16 and has_fast_bf16(device_here()),
        _checkpointing(): training.gradient_checkpointing,
        "use_liger_kernel": training.use_liger_kernel,
        "report_to": training.report_to or "none",
        **({"run_name": _run_name(recipe, folder)} if training.report_to else {}),
        "logging_first_step": True,
        "save_strategy": "steps",
        "dataloader_pin_memory": not cpu,
        "ddp_find_unused_parameters": False,  # there are none, and looking for them takes time
        **accelerator,
    }


def _run_name(recipe: Recipe, part: Path) -> str:
    """What trackers call the training of a part.

    Trackio goes on in a run of that name: a resumed training has the same one, and one with other settings another.
    """
    try:
        made_from = "-" + fingerprint(read_json(part / RECORD))[:6]
    except DataError:  # a dry run, or called from Python: nothing is recorded
        made_from = ""
    return f"{recipe.name}-{part.name}{made_from}"


def _checkpointing() -> str:
    """The name of gradient checkpointing in this version of transformers; newer ones warn at the old name."""
    from transformers import TrainingArguments

    new = "activation_checkpointing"
    return new if new in TrainingArguments.__dataclass_fields__ else "gradient_checkpointing"


def device_here() -> str:
    """The torch device type that training takes on this machine: ``cuda`` where there is one, else ``cpu``."""
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"
