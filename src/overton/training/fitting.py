"""What does not fit, by the dry run's estimates, and what to do about it."""

from __future__ import annotations

from typing import Any

import psutil

from overton.recipe import Recipe
from overton.training.cost import at_once
from overton.training.lengths import context_problems
from overton.training.memory import GB, Load
from overton.training.preflight import Problem
from overton.training.shapes import Shape


def fit_problems(
    recipe: Recipe, shape: Shape, data: dict[str, Any], loads: dict[str, Load], found: dict[str, Any]
) -> list[Problem]:
    """What does not fit: text into the context, a step into the memory, files onto the disk.

    Args:
        recipe: the resolved recipe.
        shape: of its policy.
        data: rows and tokens.
        loads: of SFT and GRPO on one device.
        found: ``memory`` and ``disk`` of the dry run.
    """
    options = recipe.training.grpo
    problems = [*context_problems(recipe, data["prompt_tokens"], shape.context)]
    if data["answer_tokens"] and data["answer_tokens"] > options.max_completion_length:
        problems.append(
            Problem(
                "warning",
                "training.grpo.max_completion_length",
                f"{options.max_completion_length} tokens cut off what SFT teaches: its longest answer has "
                f"{data['answer_tokens']} tokens.",
            )
        )
    load = loads["grpo"]
    if load.memory:
        problems += _memory_problems(recipe, shape, load, found["memory"])
    else:
        problems += _machine_problems(recipe, load, found["memory"])
    disk = found["disk"]
    if disk["wanted_gb"] > disk["free_gb"]:
        problems.append(
            Problem(
                "warning",
                "training",
                f"checkpoints and models want {disk['wanted_gb']} GB of disk, and {disk['free_gb']} GB are free here. "
                "Give a folder on another disk with --run-dir.",
            )
        )
    return problems


def _machine_problems(recipe: Recipe, load: Load, estimates: dict[str, Any]) -> list[Problem]:
    """Without a GPU the processes share the memory of this machine, which need not be the one that is meant."""
    name = max(("sft", "grpo"), key=lambda stage: float(estimates[stage]["total"]))
    wanted = estimates[name]["total"] * load.processes
    size = psutil.virtual_memory().total / GB
    if wanted <= size:
        return []
    remedy = _remedy(recipe, load, name, _largest(estimates[name]), spread=False)
    return [
        Problem(
            "warning",
            "training",
            f"an estimated {wanted:.1f} GB do not fit into the {size:.1f} GB of this machine, which has no GPU. Give "
            f"--gpu or --memory-gb of the one that is meant. To train here: {remedy}.",
        )
    ]


def _largest(parts: dict[str, float]) -> str:
    """Where most of the memory goes, of what a setting can change."""
    kinds = ("weights", "optimizer", "reference", "vllm", "gradients", "buckets", "copies", "activations", "logits")
    return max((*kinds, "cache"), key=lambda kind: parts[kind])


def _remedy(recipe: Recipe, load: Load, name: str, largest: str, spread: bool) -> str:
    """What makes the largest part smaller, and is not set already.

    Args:
        recipe: the resolved recipe.
        load: of GRPO on one device.
        name: ``sft`` or ``grpo``.
        largest: of :func:`_largest`.
        spread: whether more processes bring more memory.
    """
    options, policy = recipe.training, recipe.policy
    if largest == "cache":
        ways = ["take rollout vllm, which queues them", "more processes"] if spread else []
        ways += ["take fewer prompts_per_step"]
        return f"{load.sampled} answers are generated at once on a device: {', or '.join(ways)}"
    if largest == "vllm":
        return "lower training.grpo.vllm_gpu_memory_utilization, or take a vLLM server"
    if largest in ("activations", "logits"):
        batches = {"sft.batch_size": options.sft.batch_size, "grpo.micro_batch_size": options.grpo.micro_batch_size}
        key = next(key for key in batches if key.startswith(name))
        ways = ["take shorter answers" if batches[key] == 1 else f"lower training.{key}"]
        if largest == "activations" and not options.gradient_checkpointing:
            ways.insert(0, "turn training.gradient_checkpointing on")
        return ", or ".join(ways)
    ways = ["spread the states: fsdp2 or zero3 on more processes"] if spread else []
    if policy.model != "scratch" and not policy.lora_rank:
        ways.insert(0, "train with policy.lora_rank")
    return ", or ".join(ways or ["take a smaller model"])


def _memory_problems(recipe: Recipe, shape: Shape, load: Load, estimates: dict[str, Any]) -> list[Problem]:
    options, problems = recipe.training.grpo, []
    size = load.memory or 0.0
    if options.rollout == "vllm":
        room = at_once(shape, recipe.training, load.tokens, load.sampled, size)
        if not room:
            weights = 2 * shape.parameters / options.vllm_tensor_parallel_size / size
            problems.append(
                Problem(
                    "error",
                    "training.grpo.vllm_gpu_memory_utilization",
                    f"{options.vllm_gpu_memory_utilization} of {size / GB:.3g} GB hold the weights ({weights:.2f}) and "
                    "not one answer beside them. Raise it, or vllm_tensor_parallel_size.",
                )
            )
    for name in ("sft", "grpo"):
        parts = estimates[name]
        if parts["total"] * GB <= size:
            continue
        largest = _largest(parts)
        remedy = _remedy(recipe, load, name, largest, spread=True)
        fits = [
            next((f"{method} with {s} ({total} GB)" for s, total in totals.items() if total * GB <= size), "")
            for method, by in estimates["total_by_method"].items()
            if (totals := by if load.processes > 1 else {"ddp": by["ddp"]})
        ]
        fits = [text for text in fits if text]
        problems.append(
            Problem(
                "error",
                f"training.{name}",
                f"an estimated {parts['total']} GB a device, of which {parts[largest]} for {largest}, do not fit into "
                f"{size / GB:.3g} GB. To make it fit: {remedy}."
                f"{' These fit: ' + ', '.join(fits) + '.' if fits else ''}",
            )
        )
    return problems
