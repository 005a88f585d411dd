"""What would stop a training, or spoil it, found before its first step; each with what to do about it."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib import util
from pathlib import Path
from typing import Any, Literal

from overton.errors import DataError, OvertonError, RecipeError
from overton.processes import shares_weights
from overton.recipe import Recipe
from overton.training.policy import folder_fault
from overton.training.split import grpo_share, sft_share
from overton.types import Situation
from overton.versions import fits, installed, requirement

# Without these TRL cannot hand over the weights it has trained (trl/scripts/vllm_serve.py). In this mode whoever
# reaches the server may load weights into it.
_SERVE = (
    "VLLM_SERVER_DEV_MODE=1 vllm serve MODEL --host 127.0.0.1 "
    """--weight-transfer-config '{"backend": "nccl"}' --logprobs-mode processed_logprobs --max-logprobs -1 """
    "(it asks for no password: on another machine give the address of a private network as --host)"
)


@dataclass(frozen=True, slots=True)
class Problem:
    """Something wrong with a training that has not begun.

    Attributes:
        severity: an ``error`` stops the training, a ``warning`` does not.
        key: of the recipe.
        text: what is wrong, and the remedy.
    """

    severity: Literal["error", "warning"]
    key: str
    text: str

    def __str__(self) -> str:
        return f"{self.key}: {self.text}"


def check_start(recipe: Recipe, world: int) -> None:
    """Refuse a training that cannot start on this machine; quick, and nothing is loaded.

    Raises:
        RecipeError: with every reason.
    """
    found = [str(problem) for problem in [*arithmetic(recipe, world, shares_weights()), *machine(recipe, world)]]
    if found:
        raise RecipeError("\n".join(found))


def arithmetic(recipe: Recipe, world: int, sharded: bool = False) -> Iterator[Problem]:
    """Batches that cannot be divided, and keys that do not go together.

    Args:
        recipe: sections ``policy`` and ``training``.
        world: processes.
        sharded: whether they share out weights or states (FSDP, DeepSpeed).
    """
    training, policy = recipe.training, recipe.policy
    for share in (lambda: sft_share(training.sft, world), lambda: grpo_share(training.grpo, world)):
        try:
            share()
        except RecipeError as error:
            key, _, text = str(error).partition(": ")
            yield Problem("error", key, text)
    for name, section in (("sft", training.sft), ("grpo", training.grpo)):
        if policy.lora_rank and section.optimizer == "muon":
            yield Problem("error", f"training.{name}.optimizer", "muon is for full training; set adamw, or lora_rank 0")
        elif sharded and section.optimizer == "muon":
            yield Problem(
                "error",
                f"training.{name}.optimizer",
                "muon needs whole matrices on each process, and FSDP and DeepSpeed share them out; set adamw, or "
                "launch with examples/accelerate/ddp.yaml",
            )
    options = training.grpo
    if options.rollout == "vllm" and world % options.vllm_tensor_parallel_size:
        yield Problem(
            "error",
            "training.grpo.vllm_tensor_parallel_size",
            f"{options.vllm_tensor_parallel_size} does not divide the {world} processes",
        )
    if options.rollout.startswith("vllm") and policy.load_in_4bit:
        yield Problem(
            "error",
            "policy.load_in_4bit",
            f"TRL cannot hand packed 4-bit weights over to vLLM (training.grpo.rollout: {options.rollout}). Set "
            "training.grpo.rollout: transformers, or policy.load_in_4bit: false",
        )
    if options.rollout == "continuous-batching" and training.bf16 and not policy.lora_rank:
        adapters = "" if policy.model == "scratch" else ", policy.lora_rank above 0"
        yield Problem(
            "error",
            "training.grpo.rollout",
            "TRL turns the weights themselves into bfloat16 for continuous batching, and there small steps vanish. Set "
            f"training.bf16: false{adapters}, or another rollout.",
        )
    yield from _unknown_trackers(recipe.training.report_to)


def machine(recipe: Recipe, world: int) -> Iterator[Problem]:
    """Packages, devices and folders that this machine lacks."""
    yield from _missing_trackers(recipe.training.report_to)
    training, policy, options = recipe.training, recipe.policy, recipe.training.grpo
    if policy.model != "scratch" and (fault := folder_fault(policy.model)):
        yield Problem("error", "policy.model", f"{policy.model}: {fault}")
    elif (Path(policy.model).expanduser() / "adapter_config.json").is_file():
        yield Problem(
            "error",
            "policy.model",
            f"{policy.model}: a LoRA adapter, and training goes on from whole weights: merge it first (peft's "
            "`merge_and_unload`), save model and tokenizer, and name that folder",
        )
    yield from _launcher(world, recipe.reward.placement)
    if training.use_liger_kernel:
        yield from _package("liger_kernel", "training.use_liger_kernel", "pip install liger-kernel, or set it to false")
        yield from _gpu("training.use_liger_kernel", "its kernels run on a GPU only; set it to false")
    if policy.load_in_4bit:
        yield from _package("bitsandbytes", "policy.load_in_4bit", "pip install bitsandbytes, or set it to false")
    if options.rollout == "vllm":
        yield from _vllm()
        yield from _gpu("training.grpo.rollout", "vllm wants a GPU; set it to transformers")
    if options.rollout == "vllm-server":
        yield from _vllm()
        yield from _answers(options.vllm_server_url, "training.grpo.vllm_server_url", f"start it with: {_SERVE}")
    yield from _placement(recipe)


def _placement(recipe: Recipe) -> Iterator[Problem]:
    key, place = "reward.placement", recipe.reward.placement
    if recipe.reward.remote:
        from overton.integrations.remote import RemoteReward

        try:
            RemoteReward(place, recipe.reward.token_env, recipe.reward.timeout).check()
        except OvertonError as error:
            yield Problem("error", key, str(error))
    elif place.startswith("cuda"):
        yield from _gpu(key, "set it to auto or cpu", int(place.partition(":")[2] or 0) + 1)


def _unknown_trackers(names: list[str]) -> Iterator[Problem]:
    if not names:
        return
    from transformers.integrations.integration_utils import INTEGRATION_TO_CALLBACK

    known = ", ".join(sorted(INTEGRATION_TO_CALLBACK))
    for name in names:
        if name not in INTEGRATION_TO_CALLBACK:
            yield Problem("error", "training.report_to", f"unknown tracker {name!r}; known: {known}")


def _missing_trackers(names: list[str]) -> Iterator[Problem]:
    if not names:
        return
    from transformers.integrations.integration_utils import (
        INTEGRATION_TO_CALLBACK,
        get_available_reporting_integrations,
    )

    there = get_available_reporting_integrations()
    for name in names:
        if name in INTEGRATION_TO_CALLBACK and name not in there:
            yield Problem(
                "error", "training.report_to", f"{name} is not installed: pip install {name}, or leave it out"
            )


def _package(module: str, key: str, remedy: str) -> Iterator[Problem]:
    if util.find_spec(module) is None:
        yield Problem("error", key, f"package {module} is not installed: {remedy}")


def _vllm() -> Iterator[Problem]:
    wanted, version = requirement("trl", "vllm", "vllm"), installed("vllm")
    remedy = f"pip install 'vllm{wanted}', or set it to transformers"
    if version is None:
        yield Problem("error", "training.grpo.rollout", f"package vllm is not installed: {remedy}")
    elif not fits(version, wanted):
        yield Problem(
            "error", "training.grpo.rollout", f"TRL takes vLLM {wanted}, and {version} is installed: {remedy}"
        )


def _gpu(key: str, remedy: str, wanted: int = 1) -> Iterator[Problem]:
    found = _usable_gpus()
    if found < wanted:
        there = "no GPU that torch can use" if not found else f"{found} of the {wanted} GPUs it wants"
        yield Problem("error", key, f"this machine has {there}: {remedy}")


def _usable_gpus() -> int:
    """GPUs that torch can use: it also counts those whose driver is too old for it."""
    import torch

    return torch.cuda.device_count() if torch.cuda.is_available() else 0


def _launcher(world: int, placement: str) -> Iterator[Problem]:
    launched = "LOCAL_RANK" in os.environ  # also of one process, which then has a GPU of its own
    if world == 1 and not launched and (found := _usable_gpus()) > 1:
        fewer = "let it see one: CUDA_VISIBLE_DEVICES=0"
        if placement.startswith("cuda:") and (before := int(placement[5:])):
            fewer = f"fewer, and {placement} is the reward's alone (--nproc_per_node {before})"
        yield Problem(
            "error",
            "training",
            f"this machine has {found} GPUs, and TRL trains on one in each process. Launch one for each "
            f"(`torchrun --nproc_per_node {found} -m overton train RECIPE`), or {fewer}",
        )


def _answers(url: str, key: str, remedy: str) -> Iterator[Problem]:
    import urllib.error
    import urllib.request

    try:
        urllib.request.urlopen(f"{url.rstrip('/')}/health", timeout=5).close()
    except (OSError, ValueError) as error:
        reason = getattr(error, "reason", None) or error
        yield Problem("error", key, f"{url} does not answer ({reason}); {remedy}")


def calibration(recipe: Recipe, folder: Path) -> Iterator[Problem]:
    """An estimator without a calibration, or with that of another model.

    Args:
        recipe: section ``reward``.
        folder: ``estimator/`` of the run, which is there.
    """
    from overton.estimator.calibration import CALIBRATION_FILE, Calibration
    from overton.estimator.models import model_hash

    again = "run the estimator stage again"
    try:
        found = Calibration.load(folder / CALIBRATION_FILE, recipe.reward.data_set)
    except OvertonError as error:
        yield Problem("error", "reward", str(error))
        return
    if found.model_hash != model_hash(folder / "model"):
        yield Problem("error", "reward", f"{folder / CALIBRATION_FILE} was measured for another model; {again}")


def untuned(recipe: Recipe, folder: Path) -> Iterator[Problem]:
    """An untuned estimator with nothing behind the reward.

    Args:
        recipe: section ``reward``.
        folder: ``estimator/`` of the run; nothing is said of a calibration that cannot be read.
    """
    from overton.estimator.calibration import CALIBRATION_FILE, Calibration
    from overton.estimator.shipped import is_shipped

    if recipe.reward.background or recipe.reward.preset != "overton":
        return
    try:
        found = Calibration.load(folder / CALIBRATION_FILE, recipe.reward.data_set)
    except OvertonError:
        return
    if is_shipped(found):
        yield Problem(
            "warning",
            "reward.background",
            "the estimator is untuned, and under it a policy can gain by fewer lines and some that fit everything "
            "(docs/reward_hacking.md). Set it, to 500 for example, or train the estimator.",
        )


def background(recipe: Recipe, situations: Sequence[Situation]) -> Iterator[Problem]:
    """Too few references for ``reward.background``.

    Args:
        recipe: section ``reward``.
        situations: the train split; not looked at without a background.
    """
    from overton.rewards.background import draw_references

    count = recipe.reward.background
    if not count:
        return
    try:
        draw_references(situations, count)
    except DataError as error:
        yield Problem("error", "reward.background", f"{error}; of the train split at most {count} are drawn")


def reward_spread(recipe: Recipe) -> Iterator[Problem]:
    """Weights of the reward that cancel: what it gives to answers of which one is plainly the best.

    Tried on an invented situation, with an encoder for which equal texts are the same and all others are not.
    """
    from overton.rewards import OvertonReward
    from overton.training.trial import TRIAL, ExactEncoder

    overrides: dict[str, Any] = recipe.reward.overrides
    reward = OvertonReward(ExactEncoder(), recipe.reward.preset, **overrides)
    scores = [score.value for score in reward.score([TRIAL])[0]]
    best, *others = [value for value in scores if value is not None]
    what = f"preset {recipe.reward.preset} with these overrides gives {best:g}"
    if all(value == best for value in others):
        yield Problem(
            "error" if not recipe.reward.credit_weight else "warning",
            "reward.overrides",
            f"{what} to a perfect answer, to an empty one and to all between: groups without spread teach nothing. "
            "Give coverage a weight.",
        )
    elif best <= max(others):
        yield Problem(
            "warning",
            "reward.overrides",
            f"{what} to an answer with every reference, and {max(others):g} to a worse one. See docs/reward.md.",
        )


def tokenizer_problems(recipe: Recipe, tokenizer: Any) -> Iterator[Problem]:
    """What a pretrained model's tokenizer lacks."""
    if not getattr(tokenizer, "chat_template", None):
        yield Problem(
            "warning",
            "policy.model",
            "its tokenizer has no chat template, so prompts are plain text with a line break. Take the model's "
            "instruction-tuned sibling, or a prompt_template in the form it was trained on.",
        )
    pad, end = tokenizer.pad_token_id, tokenizer.eos_token_id
    if end is None:
        yield Problem("error", "policy.model", "its tokenizer has no end token, so no answer would ever end")
    elif pad is None or pad == end:
        yield Problem(
            "warning",
            "policy.model",
            "padding is its end token. Masks tell them apart here, but code that ignores padding by its number would "
            "never learn to end: give the tokenizer a pad token of its own before using the model elsewhere.",
        )
