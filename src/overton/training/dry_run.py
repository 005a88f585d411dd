"""``overton train --dry-run``: all that can be known of a training before its first step, without a GPU or weights."""

from __future__ import annotations

import dataclasses
import os
from dataclasses import dataclass
from typing import Any

from overton import processes
from overton.errors import RecipeError
from overton.precision import has_fast_bf16
from overton.recipe import Recipe
from overton.rundir import RunDir
from overton.training import preflight, sizing
from overton.training.arguments import device_here, grpo_arguments, sft_arguments, sft_epochs, sft_steps
from overton.training.at_hand import data_at_hand, shape_at_hand, tokenizer_at_hand
from overton.training.cost import GPUS, Gpu
from overton.training.fitting import fit_problems
from overton.training.lengths import generation_problems, rate_problems, situation_problems, step_problems
from overton.training.memory import GB, Sharding
from overton.training.preflight import Problem
from overton.training.split import grpo_share, sft_share
from overton.training.stage import background_situations

# Settings that this machine decides.
_MACHINE = ("use_cpu", "dataloader_pin_memory")


@dataclass(frozen=True, slots=True)
class Setting:
    """Where the training is to run.

    Attributes:
        processes: devices; 0 = those of this run.
        sharding: how states are spread over them; ``None`` = what accelerate's environment says, else DDP.
        gpu: name in :data:`~overton.training.cost.GPUS`; ``""`` = the GPU here, if any.
        memory_gb: of each device, in 10^9 bytes; 0 = the GPU's.
    """

    processes: int = 0
    sharding: Sharding | None = None
    gpu: str = ""
    memory_gb: float = 0.0

    @property
    def elsewhere(self) -> bool:
        """Whether another machine is meant than this one."""
        return bool(self.gpu or self.memory_gb)


def dry_run(recipe: Recipe, run: RunDir, setting: Setting) -> dict[str, Any]:
    """Everything short of the first step; nothing is written.

    Args:
        recipe: the resolved recipe.
        run: its run directory, which may not be there yet.
        setting: devices.

    Returns:
        ``setting``, ``model``, ``data``, ``sft``, ``grpo``, ``memory``, ``time``, ``disk``, ``problems``,
        ``unchecked``: JSON values, sizes in GB (10^9 bytes). A part that cannot be known is ``None``, and
        ``unchecked`` says why.

    Raises:
        RecipeError: an unknown GPU.
    """
    world = setting.processes or processes.count()
    sharding = setting.sharding or _sharding_here()
    gpu = _gpu(setting.gpu)
    size = setting.memory_gb * GB or (gpu.memory if gpu else _memory_here())
    bf16 = recipe.training.bf16 and (setting.elsewhere or has_fast_bf16(device_here()))
    if gpu:
        gpu = dataclasses.replace(gpu, memory=size)
    unchecked: list[str] = []
    problems = [*preflight.arithmetic(recipe, world, sharding != "ddp")]
    here = [*preflight.machine(recipe, world)]
    # Another machine may have what this one lacks.
    problems += [dataclasses.replace(p, severity="warning") for p in here] if setting.elsewhere else here
    shape, tokenizer = shape_at_hand(recipe, unchecked), tokenizer_at_hand(recipe, run, unchecked, problems)
    data = data_at_hand(recipe, run, tokenizer, shape.context if shape else None, unchecked, problems)
    problems += _data_problems(recipe, data, unchecked)
    problems += _reward_problems(recipe, run, unchecked)
    recipe = recipe.model_copy(update={"training": recipe.training.model_copy(update={"bf16": bf16})})
    found: dict[str, Any] = {
        "setting": {
            "processes": world,
            "sharding": sharding,
            "precision": "bf16" if bf16 else "float32",
            "gpu": setting.gpu,
            "memory_gb": round(size / GB, 1) if size else None,
        },
        "model": dataclasses.asdict(shape) if shape else None,
        "data": data,
    }
    found |= {"sft": None, "grpo": None, "memory": None, "time": None, "disk": None}
    try:
        found |= _parts(recipe, run, world, data, sharding != "ddp")
    except RecipeError:  # told by `arithmetic`
        unchecked.append("memory and time: the batches cannot be divided as they are")
    if divides := bool(found["grpo"]):
        problems += _refused(found)
        for name in ("sft", "grpo") if setting.elsewhere else ():
            for key in _MACHINE:
                found[name]["settings"].pop(key, None)
            found[name]["settings"]["bf16"] = bf16
    if divides and shape is not None:
        loads = sizing.loads(recipe, data, world, sharding, size or None)
        found["memory"] = sizing.memory(recipe, shape, loads)
        found["disk"] = sizing.disk(recipe, run, shape, sharding)
        problems += fit_problems(recipe, shape, data, loads, found)
        if gpu:
            found["time"] = sizing.time(recipe, shape, data, gpu, world)
    found["problems"] = [dataclasses.asdict(p) for p in sorted(problems, key=lambda p: p.severity)]
    found["unchecked"] = unchecked
    return found


def _gpu(name: str) -> Gpu | None:
    if name and name not in GPUS:
        raise RecipeError(f"--gpu {name}: unknown; known: {', '.join(GPUS)}. --memory-gb takes any size.")
    return GPUS[name] if name else None


def _memory_here() -> float:
    import torch

    return float(torch.cuda.get_device_properties(0).total_memory) if torch.cuda.is_available() else 0.0


def _sharding_here() -> Sharding:
    """What ``accelerate launch`` has put in the environment."""
    if os.environ.get("ACCELERATE_USE_DEEPSPEED", "").lower() == "true":
        return "zero3" if os.environ.get("ACCELERATE_DEEPSPEED_ZERO_STAGE") == "3" else "zero2"
    return "fsdp2" if os.environ.get("ACCELERATE_USE_FSDP", "").lower() == "true" else "ddp"


def _data_problems(recipe: Recipe, data: dict[str, Any], unchecked: list[str]) -> list[Problem]:
    short = [*situation_problems(recipe, data["situations"])]
    if not data["counted"]:  # the run may hold other data than the recipe asks
        short = [dataclasses.replace(p, severity="warning") for p in short]
    if recipe.training.sft.packing and data["packed_rows"] is None:
        unchecked.append(
            "training.sft.packing: into how many rows answers go, so SFT's steps are those without packing"
        )
    return [*short, *step_problems(recipe, _sft_rows(data)), *rate_problems(recipe), *generation_problems(recipe)]


def _sft_rows(data: dict[str, Any]) -> int:
    return int(data["packed_rows"] or data["sft_rows"])


def _reward_problems(recipe: Recipe, run: RunDir, unchecked: list[str]) -> list[Problem]:
    if recipe.reward.remote:
        unchecked.append("reward: its settings are those of the server")
        return []
    try:
        problems = [*preflight.reward_spread(recipe)]
    except RecipeError as error:
        problems = [Problem("error", *str(error).split(": ", 1))]  # it begins with the key
    if (run.path / "data" / "train.jsonl").is_file():
        problems += preflight.background(recipe, background_situations(recipe, run))
    if (run.path / "estimator" / "model").is_dir():
        home = run.path / "estimator"
        return [*problems, *preflight.calibration(recipe, home), *preflight.untuned(recipe, home)]
    unchecked.append(f"calibration: {run.path / 'estimator'} is not there yet. `overton estimator RECIPE` makes it.")
    return problems


def _parts(recipe: Recipe, run: RunDir, world: int, data: dict[str, Any], sharded: bool) -> dict[str, Any]:
    from trl import GRPOConfig, SFTConfig

    training, policy = recipe.training, recipe.policy
    sft, grpo = sft_share(training.sft, world), grpo_share(training.grpo, world)
    folder = run.stage("training")
    rows, options = _sft_rows(data), training.grpo
    steps = sft_steps(recipe, rows)
    plain = policy.model == "scratch"
    of_sft = sft_arguments(recipe, folder / "sft", rows, prepared=plain, world=world, sharded=sharded)
    of_grpo = grpo_arguments(recipe, folder / "grpo", data["prompt_tokens"], world, sharded)
    answers = options.prompts_per_step * options.num_generations
    prompts = options.generated_steps * options.prompts_per_step
    longest = data["prompt_tokens"] + options.max_completion_length
    return {
        "sft": {
            "answers_per_step": sft.rows * world,
            "per_device_train_batch_size": sft.batch,
            "gradient_accumulation_steps": sft.passes,
            "rows": rows,
            "steps": steps,
            "epochs": round(sft_epochs(recipe, rows), 3),
            "settings": _changed(of_sft, SFTConfig),
        },
        "grpo": {
            "prompts_per_step": options.prompts_per_step,
            "num_generations": options.num_generations,
            "answers_per_step": answers,
            "answers_per_device": grpo.rows * options.steps_per_generation,
            "groups_per_device": grpo.rows * options.steps_per_generation // options.num_generations,
            "per_device_train_batch_size": grpo.batch,
            "steps_per_generation": grpo.passes * options.steps_per_generation,
            "gradient_accumulation_steps": grpo.passes,
            "micro_batches": grpo.passes * world,
            "steps": options.steps,
            "prompts": prompts,
            "epochs": round(prompts / max(1, data["situations"]), 3),
            "generated_tokens_per_step": answers * options.max_completion_length,
            "generated_tokens": prompts * options.num_generations * options.max_completion_length,
            "trained_tokens_per_step": answers * longest,
            "trained_tokens": options.steps * answers * longest,
            "settings": _changed(of_grpo, GRPOConfig),
        },
    }


def _refused(found: dict[str, Any]) -> list[Problem]:
    """What transformers and TRL themselves say against the settings."""
    from trl import GRPOConfig, SFTConfig

    problems = []
    for name, config in (("sft", SFTConfig), ("grpo", GRPOConfig)) if processes.count() == 1 else ():
        try:
            config(**found[name]["settings"])
        except (ValueError, ImportError) as error:
            problems.append(Problem("error", f"training.{name}", " ".join(str(error).split())))
    return problems


def _changed(given: dict[str, Any], config: type) -> dict[str, Any]:
    """The arguments that differ from TRL's defaults."""
    defaults = {
        f.name: f.default if f.default is not dataclasses.MISSING else None
        for f in dataclasses.fields(config)  # type: ignore[arg-type]
    }
    return {name: value for name, value in given.items() if value != defaults.get(name)}
