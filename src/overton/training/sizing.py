"""What a training takes: memory of each device, disk and time, as the dry run tells them."""

from __future__ import annotations

import dataclasses
import shutil
from typing import Any

from overton.recipe import Recipe
from overton.rundir import RunDir
from overton.training.at_hand import encoder_parameters
from overton.training.checkpoints import KEPT
from overton.training.cost import DECODE_SHARE, LAUNCH_SECONDS, UPDATE_SHARE, Gpu, at_once, step_seconds
from overton.training.memory import GB, SHARDINGS, Load, Sharding, checkpoint_bytes, estimate, model_bytes
from overton.training.shapes import Shape
from overton.training.split import grpo_share, sft_share

_METHODS: dict[str, dict[str, Any]] = {
    "full": {"lora_rank": 0, "load_in_4bit": False},
    "lora": {"load_in_4bit": False},
    "qlora": {"load_in_4bit": True},
}


def loads(recipe: Recipe, data: dict[str, Any], world: int, sharding: Sharding, size: float | None) -> dict[str, Load]:
    """What one device has to do in ``sft`` and in ``grpo``.

    Args:
        recipe: the resolved recipe.
        data: of :func:`~overton.training.at_hand.data_at_hand`.
        world: devices.
        sharding: how states are spread over them.
        size: bytes of each, ``None`` = unknown.

    Raises:
        RecipeError: the batches cannot be divided by the devices.
    """
    options, section = recipe.training.grpo, recipe.reward
    sft, grpo = sft_share(recipe.training.sft, world), grpo_share(options, world)
    answer = data["answer_tokens"] or options.max_completion_length
    row = recipe.training.sft.packing or data["prompt_tokens"] + answer
    beside = section.placement in ("auto", "cuda")
    return {
        "sft": Load(
            sft.batch,
            row,
            processes=world,
            sharding=sharding,
            memory=size,
            optimizer=recipe.training.sft.optimizer,
        ),
        "grpo": Load(
            grpo.batch,
            data["prompt_tokens"] + options.max_completion_length,
            sampled=grpo.rows * options.steps_per_generation,
            processes=world,
            sharding=sharding,
            memory=size,
            estimator=encoder_parameters(recipe.estimator.base) if beside else 0,
            reference=options.beta > 0,
            optimizer=options.optimizer,
        ),
    }


def memory(recipe: Recipe, shape: Shape, loads: dict[str, Load]) -> dict[str, Any]:
    """GB a device by what takes them, and the totals of other methods and shardings.

    Args:
        recipe: the resolved recipe.
        shape: of the policy.
        loads: of :func:`loads`.

    Returns:
        ``sft`` and ``grpo`` as :func:`~overton.training.memory.estimate` has them, and ``total_by_method``: method ->
        sharding -> the greater total of the two.
    """

    def rounded(policy: Any, load: Load) -> dict[str, float]:
        return {k: round(v / GB, 2) for k, v in estimate(shape, policy, recipe.training, load).items()}

    found: dict[str, Any] = {name: rounded(recipe.policy, load) for name, load in loads.items()}
    other: dict[str, dict[str, float]] = {}
    for method, keys in _METHODS.items():
        if recipe.policy.model == "scratch" and method != "full":
            continue
        if keys["load_in_4bit"] and recipe.training.grpo.rollout.startswith("vllm"):  # no way from 4 bits to vLLM
            continue
        policy = recipe.policy.model_copy(update={"lora_rank": recipe.policy.lora_rank or 32, **keys})
        other[method] = {
            sharding: max(
                rounded(policy, dataclasses.replace(load, sharding=sharding))["total"] for load in loads.values()
            )
            for sharding in SHARDINGS
        }
    return {**found, "total_by_method": other}


def disk(recipe: Recipe, run: RunDir, shape: Shape, sharding: Sharding) -> dict[str, float]:
    """GB of one checkpoint, of one saved model, of all that is there at a time, and that are free.

    Args:
        recipe: the resolved recipe.
        run: its run directory, which may not be there yet.
        shape: of the policy.
        sharding: how states are spread over devices.
    """
    checkpoint = checkpoint_bytes(shape, recipe.policy, sharding, recipe.training.bf16)
    model = model_bytes(shape, recipe.policy)
    folder = run.path
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    free = shutil.disk_usage(folder).free
    # One more is written before the oldest goes; the models of SFT and GRPO stay.
    wanted = (KEPT + 1) * checkpoint + 2 * model
    sizes = {"checkpoint_gb": checkpoint, "model_gb": model, "wanted_gb": wanted, "free_gb": free}
    return {name: round(value / GB, 2) for name, value in sizes.items()}


def time(recipe: Recipe, shape: Shape, data: dict[str, Any], gpu: Gpu, world: int) -> dict[str, Any]:
    """Seconds of a step of GRPO and hours of all of them, with what was assumed.

    Args:
        recipe: the resolved recipe.
        shape: of the policy.
        data: of :func:`~overton.training.at_hand.data_at_hand`.
        gpu: each device.
        world: devices.

    Returns:
        Figures by name; those of time are ``None`` where vLLM's share of the memory holds not one answer.

    Raises:
        RecipeError: the batches cannot be divided by the devices.
    """
    options = recipe.training.grpo
    rows = grpo_share(options, world).rows
    sampled = rows * options.steps_per_generation
    prompt, answer = data["prompt_tokens"], options.max_completion_length
    parts = step_seconds(shape, recipe.policy, recipe.training, gpu, rows, prompt, answer)
    whole = sum(parts.values())
    seconds = parts["generation"] * options.generated_steps + parts["update"] * options.steps
    tokens = rows * world * answer
    finite = whole < float("inf")
    return {
        "assumed": {
            "update_share_of_flops": UPDATE_SHARE,
            "decode_share_of_bandwidth": DECODE_SHARE,
            "transformers_seconds_a_layer": LAUNCH_SECONDS,
        },
        "answers_at_once": at_once(shape, recipe.training, prompt + answer, sampled, gpu.memory),
        "generation_seconds": round(parts["generation"], 1) if finite else None,
        "update_seconds": round(parts["update"], 1) if finite else None,
        "step_seconds": round(whole, 1) if finite else None,
        "hours": round(seconds / 3600, 1) if finite else None,
        "generated_tokens_per_second": round(tokens / parts["generation"]) if finite else None,
    }
