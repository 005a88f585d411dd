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
        problems += _machine_problems(load.processes, found["memory"])
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


def _machine_problems(processes: int, estimates: dict[str, Any]) -> list[Problem]:
    """Without a GPU the processes share the memory of this machine, which need not be the one that is meant."""
    wanted = max(estimates[name]["total"] for name in ("sft", "grpo")) * processes
    size = psutil.virtual_memory().total / GB
    if wanted <= size:
        return []
    return [
        Problem(
            "warning",
            "training",
            f"an estimated {wanted:.1f} GB do not fit into the {size:.1f} GB of this machine, which has no GPU. Give "
            "--gpu or --memory-gb of the one that is meant; to train here, turn training.gradient_checkpointing on, or "
            "lower training.sft.batch_size and training.grpo.micro_batch_size.",
        )
    ]


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
                    f"{options.vllm_gpu_memory_utilization} of {size / GB:.0f} GB hold the weights ({weights:.2f}) and "
                    "not one answer beside them. Raise it, or vllm_tensor_parallel_size.",
                )
            )
    adapters = "Spread" if recipe.policy.model == "scratch" else "Train with policy.lora_rank, or spread"
    for name in ("sft", "grpo"):
        parts = estimates[name]
        if parts["total"] * GB <= size:
            continue
        kinds = ("weights", "optimizer", "reference", "vllm", "gradients", "buckets", "copies", "activations", "logits")
        largest = max((*kinds, "cache"), key=lambda kind: parts[kind])
        remedy = {
            "cache": f"{load.sampled} answers are generated at once on a device: take rollout vllm, which queues "
            "them, more processes, or fewer prompts_per_step",
            "activations": "Turn training.gradient_checkpointing on, or lower "
            + ("training.grpo.micro_batch_size" if name == "grpo" else "training.sft.batch_size"),
            "vllm": "Lower training.grpo.vllm_gpu_memory_utilization, or take a vLLM server",
        }.get(largest, f"{adapters} the states: fsdp2 or zero3 on more processes")
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
                f"{size / GB:.0f} GB. {remedy}.{' These fit: ' + ', '.join(fits) + '.' if fits else ''}",
            )
        )
    return problems
