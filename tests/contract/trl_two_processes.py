"""Run by torchrun: what each process's reward function is given, one batch shape after the other.

Writes ``SHAPE-RANK.json``: the prompts of each call in training and in evaluation, what the check said of the shape,
and whether the ready functions trained with it.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

import torch
from datasets import Dataset
from trl import GRPOConfig, GRPOTrainer

from overton.integrations.trl import CheckGroups, GroupSplitError, check_groups, coverage
from overton.training.policy import load_policy

# train: batch a device, steps per generation, generations; evaluate: batch a device, generations
SHAPES: dict[str, dict[str, Any]] = {
    "whole": {"train": (4, 1, 4), "evaluate": (4, 2)},
    "whole-over-steps": {"train": (2, 2, 4), "evaluate": (2, 2)},
    "halves": {"train": (2, 1, 4), "evaluate": (4, 2), "ready": True},
    "halves-in-evaluation": {"train": (4, 1, 4), "evaluate": (1, 2), "ready": True},
    "uneven": {"train": (6, 1, 4), "evaluate": (3, 2)},
    "uneven-over-steps": {"train": (3, 2, 4), "evaluate": (3, 3)},
    "streamed-whole": {"train": (4, 1, 4), "evaluate": (4, 2), "streamed": True},
    "streamed-uneven": {"train": (6, 1, 4), "evaluate": (3, 2), "streamed": True},
    "shared-batches": {"train": (4, 1, 4), "evaluate": (4, 4), "split_batches": True},
    "shared-batches-whole": {"train": (8, 1, 4), "evaluate": (8, 4), "split_batches": True},
}


class Recorder:
    """A reward function that keeps its prompts."""

    def __init__(self) -> None:
        self.seen: dict[str, list[list[str]]] = {"train": [], "evaluate": []}
        self.trainer: Any = None

    def __call__(self, prompts: list[str], **_: Any) -> list[float]:
        self.seen["train" if self.trainer.model.training else "evaluate"].append(prompts)
        return [float(i % 3) for i in range(len(prompts))]


def arguments(folder: Path, settings: dict[str, Any]) -> GRPOConfig:
    batch, steps, generations = settings["train"]
    eval_batch, eval_generations = settings["evaluate"]
    return GRPOConfig(
        output_dir=str(folder / "trainer"),
        max_steps=2,
        per_device_train_batch_size=batch,
        steps_per_generation=steps,
        num_generations=generations,
        per_device_eval_batch_size=eval_batch,
        num_generations_eval=eval_generations,
        eval_strategy="steps",
        eval_steps=2,
        accelerator_config={"split_batches": settings.get("split_batches", False)},
        max_completion_length=4,
        report_to="none",
        save_strategy="no",
        use_cpu=True,
        bf16=False,
        gradient_checkpointing=False,
        disable_tqdm=True,
    )


def refusal(action: Any) -> str:
    try:
        action()
    except GroupSplitError as error:
        return str(error)
    return ""


def main(policy: Path, folder: Path) -> None:
    torch.set_num_threads(1)
    # Eleven situations leave a last batch that is not full.
    data = Dataset.from_list([{"prompt": f"May {n} read it?\n", "references": ["it is theirs"]} for n in "ABCDEFGHIJK"])
    for shape, settings in SHAPES.items():
        args = arguments(folder, settings)
        common = {
            "args": args,
            "train_dataset": data.to_iterable_dataset() if settings.get("streamed") else data,
            "eval_dataset": data,
        }
        model, tokenizer = load_policy(policy)
        reward = Recorder()
        reward.trainer = GRPOTrainer(model=model, reward_funcs=[reward], processing_class=tokenizer, **common)
        reward.trainer.train()
        found = {
            "shape": settings,
            "refused": refusal(lambda args=args: check_groups(args)),
            "ready": "",
            "callback": "",
            **reward.seen,
        }
        if settings.get("ready"):
            for name, more in (("ready", {}), ("callback", {"callbacks": [CheckGroups()]})):
                trainer = GRPOTrainer(
                    model=model, reward_funcs=[coverage], processing_class=tokenizer, **common, **more
                )
                found[name] = refusal(trainer.train)
                found[f"{name}_steps"] = len(trainer._logs["prompt"])
        (folder / f"{shape}-{os.environ['RANK']}.json").write_text(json.dumps(found), encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
