"""Supervised fine-tuning on ``data/sft.jsonl`` with TRL's SFTTrainer."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from overton.prompting import build_completion, build_prompt
from overton.recipe import Recipe
from overton.rundir import read_jsonl
from overton.training.policy import (
    build_scratch_model,
    load_policy,
    lora_config,
    save_policy,
    train_tokenizer,
    training_dtype,
)

if TYPE_CHECKING:
    from datasets import Dataset


def train_sft(recipe: Recipe, sft_file: Path, folder: Path, max_steps: int = -1, start: Path | None = None) -> None:
    """Train the policy on (prompt, completion) rows and save it to ``folder/model``.

    A killed run goes on from its last checkpoint in ``folder/checkpoints``.

    Args:
        recipe: sections ``policy`` and ``training.sft``.
        sft_file: JSONL with ``prompt`` and ``completion``.
        folder: ``training/sft`` of the run.
        max_steps: overrides the number of epochs when positive.
        start: folder of a model to go on from instead of ``policy.model``.
    """
    from transformers import set_seed
    from trl import SFTConfig

    from overton.training.callbacks import MetricsFile, last_checkpoint, short_console
    from overton.training.optimizers import make_optimizer
    from overton.training.trainers import OvertonSFTTrainer, settled_heap

    rows = read_jsonl(sft_file)
    policy, options = recipe.policy, recipe.training.sft
    set_seed(recipe.seed)
    if start is not None:
        model, tokenizer = load_policy(start, training_dtype(policy))
    elif policy.model == "scratch":
        texts = (f"{build_prompt(r['prompt'], policy.prompt_template, None)}{r['completion']}" for r in rows)
        tokenizer = train_tokenizer(texts, policy.vocab_size, policy.phrases)
        model = build_scratch_model(policy, tokenizer, recipe.seed)
    else:
        model, tokenizer = load_policy(policy.model, training_dtype(policy))
    max_length = policy.max_length if policy.model == "scratch" else None
    plain = not getattr(tokenizer, "chat_template", None)
    if plain:
        dataset = tokenized(rows, policy.prompt_template, tokenizer, max_length)
    else:
        dataset = conversations(rows, policy.prompt_template, tokenizer)
    batch = options.batch_size * options.gradient_accumulation
    total = max_steps if max_steps > 0 else max(1, int(len(rows) / batch * options.epochs))
    args = SFTConfig(
        output_dir=str(folder / "checkpoints"),
        num_train_epochs=options.epochs,
        max_steps=total,
        per_device_train_batch_size=options.batch_size,
        gradient_accumulation_steps=options.gradient_accumulation,
        learning_rate=options.learning_rate,
        lr_scheduler_type="cosine",
        warmup_steps=max(1, round(options.warmup_ratio * total)),
        weight_decay=options.weight_decay,
        train_sampling_strategy="group_by_length",
        max_length=max_length,
        dataset_kwargs={"skip_prepare_dataset": plain},
        save_steps=options.save_steps,
        # A row holds the mean since the row before, so a checkpoint between two rows would lose a part of one.
        logging_steps=math.gcd(10, options.save_steps),
        **common_arguments(recipe),
    )
    trainer = OvertonSFTTrainer(
        model=model,
        optimizers=(make_optimizer(model, options, policy.lora_rank), None),
        args=args,
        train_dataset=dataset,
        processing_class=tokenizer,
        peft_config=lora_config(policy),
        callbacks=[MetricsFile(folder / "metrics.jsonl")],
    )
    short_console(trainer)
    del rows  # the data set has its own copy
    with settled_heap():
        trainer.train(resume_from_checkpoint=last_checkpoint(folder / "checkpoints", total))
    save_policy(trainer, tokenizer, folder / "model")


def tokenized(rows: Sequence[Mapping[str, Any]], template: str, tokenizer: Any, max_length: int | None) -> Dataset:
    """Rows of plain text as TRL prepares them, in one call of the tokenizer instead of one a row.

    Args:
        rows: with ``prompt`` and ``completion``.
        template: ``policy.prompt_template``.
        tokenizer: without a chat template.
        max_length: tokens to keep of prompt and completion together; ``None`` = all.

    Returns:
        ``input_ids``, and ``labels`` that are -100 in the prompt; a row of which no completion is left is dropped.
    """
    from datasets import Dataset

    prompts = [str(build_prompt(row["prompt"], template, tokenizer)) for row in rows]
    end = tokenizer.eos_token
    texts = [p + row["completion"].removesuffix(end) + end for p, row in zip(prompts, rows, strict=True)]
    found: dict[str, list[list[int]]] = {"input_ids": [], "labels": []}
    for before, whole in zip(tokenizer(prompts)["input_ids"], tokenizer(texts)["input_ids"], strict=True):
        # As in TRL: the completion starts where the two part, since tokens may join across the border.
        same = next((i for i, (a, b) in enumerate(zip(before, whole, strict=False)) if a != b), len(before))
        ids = whole[:max_length]
        if same < len(ids):
            found["input_ids"].append(ids)
            found["labels"].append([-100] * same + ids[same:])
    return Dataset.from_dict(found)


def conversations(rows: Sequence[Mapping[str, Any]], template: str, tokenizer: Any) -> Dataset:
    """Rows as messages, for a model with a chat template; TRL does the rest."""
    from datasets import Dataset

    return Dataset.from_list(
        [
            {
                "prompt": build_prompt(row["prompt"], template, tokenizer),
                "completion": build_completion(row["completion"], tokenizer),
            }
            for row in rows
        ]
    )


def common_arguments(recipe: Recipe) -> dict[str, Any]:
    """Trainer arguments that SFT and GRPO share."""
    import torch

    training = recipe.training
    cpu = not torch.cuda.is_available()
    return {
        "seed": recipe.seed,
        "data_seed": recipe.seed,
        "use_cpu": cpu,
        "bf16": training.bf16,
        "gradient_checkpointing": training.gradient_checkpointing,
        "report_to": training.report_to or "none",
        "logging_first_step": True,
        "save_strategy": "steps",
        "save_total_limit": 2,
        "dataloader_pin_memory": not cpu,
    }
