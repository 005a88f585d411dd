"""Supervised fine-tuning on ``data/sft.jsonl`` with TRL's SFTTrainer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from overton.precision import ignore_launchers_precision
from overton.processes import from_first
from overton.prompting import build_completion, build_prompt, longest_prompt, read_sft_rows
from overton.recipe import Recipe
from overton.training.adapters import lora_config
from overton.training.arguments import sft_arguments
from overton.training.policy import (
    build_scratch_model,
    load_policy,
    training_dtype,
)
from overton.training.tokenizer import train_tokenizer

if TYPE_CHECKING:
    from datasets import Dataset


def train_sft(
    recipe: Recipe,
    sft_file: Path,
    folder: Path,
    max_steps: int = -1,
    start: Path | None = None,
    asked: Sequence[str] = (),
) -> None:
    """Train the policy on (prompt, completion) rows and save it to ``folder/model``.

    A killed run goes on from its last whole checkpoint in ``folder/checkpoints``.

    Args:
        recipe: sections ``policy`` and ``training.sft``.
        sft_file: JSONL with ``prompt`` and ``completion``.
        folder: ``training/sft`` of the run.
        max_steps: overrides the number of epochs when positive.
        start: folder of a model to go on from instead of ``policy.model``.
        asked: situations that GRPO will ask; their prompts have to fit into the model.

    Raises:
        DataError: a row lacks ``prompt`` or ``completion``, or one is no text, or the prompt is empty.
        RecipeError: the tokenizer has no end token, rows do not fit into the model or ``packing``, or prompts of
            ``asked`` with an answer do not.
        NonFiniteError: a loss, gradient or weight is NaN or infinite; the batch is saved.
    """
    from transformers import set_seed
    from trl import SFTConfig

    from overton.training.callbacks import MetricsFile, OwnRun
    from overton.training.lengths import context_problems, positions_of, row_problems, settle, step_problems
    from overton.training.optimizers import make_optimizer
    from overton.training.preflight import tokenizer_problems
    from overton.training.trainers import OvertonSFTTrainer, train_and_save

    rows = read_sft_rows(sft_file)
    policy, options = recipe.policy, recipe.training.sft
    set_seed(recipe.seed)
    if start is None and policy.model == "scratch":
        tokenizer = from_first(partial(scratch_tokenizer, recipe, rows))
        model = build_scratch_model(policy, tokenizer, recipe.seed)
    else:
        model, tokenizer = load_policy(start or policy.model, training_dtype(policy), policy.load_in_4bit)
    settle(p for p in tokenizer_problems(recipe, tokenizer) if p.severity == "error")
    dataset, sizes = prepared(recipe, rows, tokenizer)
    plain = is_plain(tokenizer)
    positions = positions_of(model)
    prompts = [build_prompt(text, policy.prompt_template, tokenizer) for text in asked]
    problems = [*row_problems(recipe, sizes, len(sizes) - len(dataset), positions)]
    if prompts:
        problems += context_problems(recipe, longest_prompt(prompts, tokenizer), positions)
    settle(problems)
    if plain and options.packing:
        dataset = packed(dataset, options.packing)
    ignore_launchers_precision()
    args = SFTConfig(**sft_arguments(recipe, folder, len(dataset), prepared=plain, max_steps=max_steps))
    trainer = OvertonSFTTrainer(
        model=model,
        optimizers=(make_optimizer(model, options, policy.lora_rank), None),
        args=args,
        train_dataset=dataset,
        processing_class=tokenizer,
        peft_config=lora_config(policy),
        callbacks=[MetricsFile(folder / "metrics.jsonl"), OwnRun()],
    )
    if options.packing and not plain and max_steps <= 0:
        # TRL has packed the rows, and only now it is known how many are left.
        known = sft_arguments(recipe, folder, len(trainer.train_dataset), prepared=plain)
        args.max_steps, args.warmup_steps = known["max_steps"], known["warmup_steps"]
    if max_steps <= 0:
        settle(step_problems(recipe, len(trainer.train_dataset)))
    del rows  # the data set has its own copy
    train_and_save(trainer, tokenizer, folder)


def scratch_tokenizer(recipe: Recipe, rows: Sequence[Mapping[str, Any]]) -> Any:
    """The tokenizer that a policy from nothing gets from its rows."""
    policy = recipe.policy
    texts = (f"{build_prompt(r['prompt'], policy.prompt_template, None)}{r['completion']}" for r in rows)
    return train_tokenizer(texts, policy.vocab_size, policy.phrases)


def is_plain(tokenizer: Any) -> bool:
    """Whether prompts are text and not messages, as without a chat template."""
    return not getattr(tokenizer, "chat_template", None)


def prepared(recipe: Recipe, rows: Sequence[Mapping[str, Any]], tokenizer: Any) -> tuple[Dataset, list[int]]:
    """The data set that TRL gets, but for packing, and the tokens of each row before ``policy.max_length`` cuts it."""
    policy = recipe.policy
    if not is_plain(tokenizer):
        dataset = conversations(rows, policy.prompt_template, tokenizer)
        return dataset, conversation_sizes(dataset, tokenizer)
    dataset = tokenized(rows, policy.prompt_template, tokenizer)
    sizes = row_sizes(dataset)
    if policy.model == "scratch" and max(sizes, default=0) > policy.max_length:
        dataset = shortened(dataset, policy.max_length)
    return dataset, sizes


def tokenized(rows: Sequence[Mapping[str, Any]], template: str, tokenizer: Any) -> Dataset:
    """Rows of plain text as TRL prepares them, in one call of the tokenizer instead of one a row.

    Args:
        rows: with ``prompt`` and ``completion``.
        template: ``policy.prompt_template``.
        tokenizer: without a chat template.

    Returns:
        ``input_ids``, and ``labels`` that are -100 in the prompt.
    """
    from datasets import Dataset

    prompts = [str(build_prompt(row["prompt"], template, tokenizer)) for row in rows]
    end = tokenizer.eos_token
    texts = [p + row["completion"].removesuffix(end) + end for p, row in zip(prompts, rows, strict=True)]
    found: dict[str, list[list[int]]] = {"input_ids": [], "labels": []}
    for before, ids in zip(tokenizer(prompts)["input_ids"], tokenizer(texts)["input_ids"], strict=True):
        # As in TRL: the completion starts where the two part, since tokens may join across the border.
        same = next((i for i, (a, b) in enumerate(zip(before, ids, strict=False)) if a != b), len(before))
        found["input_ids"].append(ids)
        found["labels"].append([-100] * same + ids[same:])
    return Dataset.from_dict(found)


def shortened(dataset: Dataset, tokens: int) -> Dataset:
    """The first so many tokens of each row of :func:`tokenized`; one of which no completion is left is dropped."""
    from datasets import Dataset

    rows = zip(dataset["input_ids"], dataset["labels"], strict=True)
    kept = [(ids[:tokens], labels[:tokens]) for ids, labels in rows if labels[:tokens][-1] != -100]
    return Dataset.from_dict({"input_ids": [ids for ids, _ in kept], "labels": [labels for _, labels in kept]})


def row_sizes(dataset: Dataset) -> list[int]:
    """Tokens of each row that has ``input_ids``."""
    import pyarrow.compute

    return list(pyarrow.compute.list_value_length(dataset.data.column("input_ids")).to_pylist())


def conversation_sizes(dataset: Dataset, tokenizer: Any) -> list[int]:
    """Tokens of each row of :func:`conversations`, once TRL has put it into the chat template."""
    sizes: list[int] = []
    for rows in dataset.iter(1000):
        whole = [[*prompt, *answer] for prompt, answer in zip(rows["prompt"], rows["completion"], strict=True)]
        sizes += map(len, tokenizer.apply_chat_template(whole, tokenize=True, return_dict=True)["input_ids"])
    return sizes


def packed(dataset: Dataset, tokens: int) -> Dataset:
    """Whole rows put together in rows of at most so many tokens, best fit first (Ding et al. 2024, arXiv 2404.10830).

    A row that is longer would be cut: :func:`~overton.training.lengths.row_problems` finds it before.
    """
    from trl import pack_dataset

    return pack_dataset(dataset, tokens, "bfd")


def packed_rows(dataset: Dataset, sizes: Sequence[int], tokens: int) -> int:
    """Rows of so many tokens that the data set of :func:`prepared` is packed into, here or by TRL."""
    from datasets import Dataset
    from datasets.utils import are_progress_bars_disabled, disable_progress_bars, enable_progress_bars

    if "input_ids" not in dataset.column_names:
        dataset = Dataset.from_dict({"input_ids": [[0] * size for size in sizes]})
    silent = are_progress_bars_disabled()
    disable_progress_bars()
    try:
        return len(packed(dataset, tokens))
    finally:
        if not silent:
            enable_progress_bars()


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
