"""Supervised fine-tuning on ``data/sft.jsonl`` with TRL's SFTTrainer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from overton.errors import RecipeError
from overton.processes import from_first
from overton.prompting import build_completion, build_prompt
from overton.recipe import Recipe
from overton.rundir import read_jsonl
from overton.training.arguments import sft_arguments
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

    A killed run goes on from its last whole checkpoint in ``folder/checkpoints``.

    Args:
        recipe: sections ``policy`` and ``training.sft``.
        sft_file: JSONL with ``prompt`` and ``completion``.
        folder: ``training/sft`` of the run.
        max_steps: overrides the number of epochs when positive.
        start: folder of a model to go on from instead of ``policy.model``.

    Raises:
        NonFiniteError: a loss, gradient or weight is NaN or infinite; the batch is saved.
    """
    from transformers import set_seed
    from trl import SFTConfig

    from overton.training.callbacks import MetricsFile, short_console
    from overton.training.checkpoints import last_checkpoint
    from overton.training.optimizers import make_optimizer
    from overton.training.trainers import OvertonSFTTrainer, settled_heap

    rows = read_jsonl(sft_file)
    policy, options = recipe.policy, recipe.training.sft
    set_seed(recipe.seed)
    if start is not None:
        model, tokenizer = load_policy(start, training_dtype(policy), policy.load_in_4bit)
    elif policy.model == "scratch":
        texts = (f"{build_prompt(r['prompt'], policy.prompt_template, None)}{r['completion']}" for r in rows)
        tokenizer = from_first(lambda: train_tokenizer(texts, policy.vocab_size, policy.phrases))
        model = build_scratch_model(policy, tokenizer, recipe.seed)
    else:
        model, tokenizer = load_policy(policy.model, training_dtype(policy), policy.load_in_4bit)
    plain = not getattr(tokenizer, "chat_template", None)
    if plain:
        scratch = policy.max_length if policy.model == "scratch" else None
        dataset = tokenized(rows, policy.prompt_template, tokenizer, scratch)
        if options.packing:
            dataset = packed(dataset, options.packing)
    else:
        dataset = conversations(rows, policy.prompt_template, tokenizer)
    args = SFTConfig(**sft_arguments(recipe, folder, len(dataset), prepared=plain, max_steps=max_steps))
    trainer = OvertonSFTTrainer(
        model=model,
        optimizers=(make_optimizer(model, options, policy.lora_rank), None),
        args=args,
        train_dataset=dataset,
        processing_class=tokenizer,
        peft_config=lora_config(policy),
        callbacks=[MetricsFile(folder / "metrics.jsonl")],
    )
    if options.packing and not plain and max_steps <= 0:
        # TRL has packed the rows, and only now it is known how many are left.
        known = sft_arguments(recipe, folder, len(trainer.train_dataset), prepared=plain)
        args.max_steps, args.warmup_steps = known["max_steps"], known["warmup_steps"]
    short_console(trainer)
    del rows  # the data set has its own copy
    with settled_heap():
        trainer.train(resume_from_checkpoint=last_checkpoint(folder / "checkpoints", args.max_steps))
    trainer.check_weights()
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


def packed(dataset: Dataset, tokens: int) -> Dataset:
    """Whole rows put together in rows of at most so many tokens, best fit first (Ding et al. 2024, arXiv 2404.10830).

    Raises:
        RecipeError: a row is longer, and would be cut.
    """
    from trl import pack_dataset

    longest = max(map(len, dataset["input_ids"]), default=0)
    if longest > tokens:
        raise RecipeError(
            f"training.sft.packing: a row of {tokens} tokens is too short, the longest answer with its prompt has "
            f"{longest}. Set it to {longest} or more."
        )
    return pack_dataset(dataset, tokens, "bfd")


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
