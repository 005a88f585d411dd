"""What a dry run finds at hand: sizes, tokenizer and data; and what is assumed where they are not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from overton.errors import ModelError, first_line
from overton.prompting import build_prompt, longest_prompt, read_sft_rows
from overton.recipe import Recipe
from overton.rundir import RunDir
from overton.training import preflight
from overton.training.lengths import row_problems
from overton.training.preflight import Problem
from overton.training.sft import packed_rows, prepared, scratch_tokenizer
from overton.training.shapes import ENCODERS, Shape, find_shape

# Tokens of a prompt where the data is not there to count them: the limit of the published set-up.
ASSUMED_PROMPT = 512
_SAMPLE = 2000


def shape_at_hand(recipe: Recipe, unchecked: list[str]) -> Shape | None:
    """The policy's sizes; ``None``, with a line in ``unchecked``, where no configuration can be had."""
    try:
        return find_shape(recipe.policy)
    except ModelError as error:
        unchecked.append(
            f"memory, disk, time and context: {error}. Give policy.model a folder with the model's config.json."
        )
        return None


def tokenizer_at_hand(recipe: Recipe, run: RunDir, unchecked: list[str], problems: list[Problem]) -> Any:
    """The tokenizer, with what is wrong with it; ``None`` where it cannot be had."""
    from transformers import AutoTokenizer

    model, answers = recipe.policy.model, run.path / "data" / "sft.jsonl"
    if model == "scratch":
        return scratch_tokenizer(recipe, read_sft_rows(answers)) if answers.exists() else None
    folder = Path(model).expanduser()
    try:
        found = AutoTokenizer.from_pretrained(str(folder) if folder.is_dir() else model, trust_remote_code=False)
    except Exception as error:  # the reasons span several libraries and many classes
        reason = first_line(error)
        unchecked.append(f"chat template, padding and lengths in tokens: no tokenizer of {model} ({reason})")
        return None
    problems += preflight.tokenizer_problems(recipe, found)
    return found


def data_at_hand(
    recipe: Recipe, run: RunDir, tokenizer: Any, positions: int | None, unchecked: list[str], problems: list[Problem]
) -> dict[str, Any]:
    """Rows and tokens, with what is wrong with them: counted where the data stage has run, else what the recipe asks.

    Args:
        recipe: the resolved recipe.
        run: its run directory.
        tokenizer: of the policy, ``None`` where it cannot be had.
        positions: of the policy.
        unchecked: gets a line for what could not be counted.
        problems: gets what is wrong.
    """
    answers = recipe.data.train - recipe.data.grpo_only
    new = recipe.data.grpo_only
    asked = new + min(new, answers) if new else recipe.data.train
    longest = recipe.training.grpo.max_completion_length
    limit = recipe.policy.max_length - longest if recipe.policy.model == "scratch" else ASSUMED_PROMPT
    found: dict[str, Any] = {
        "counted": False,
        "sft_rows": answers,
        "packed_rows": None,
        "situations": asked,
        "prompt_tokens": max(1, min(limit, ASSUMED_PROMPT)),
        "answer_tokens": None,
    }
    file = run.path / "data" / "sft.jsonl"
    if not file.exists():
        unchecked.append(
            f"rows and lengths: {file} is not there yet, so they are the recipe's, and a prompt is taken to have "
            f"{found['prompt_tokens']} tokens. `overton data RECIPE` makes it."
        )
        return found
    from overton.training.stage import grpo_situations

    rows = read_sft_rows(file)
    situations = grpo_situations(recipe, run)
    found |= {"counted": True, "sft_rows": len(rows), "situations": len(situations)}
    if tokenizer is None:
        return found
    template = recipe.policy.prompt_template
    prompts = [build_prompt(s.text, template, tokenizer) for s in situations]
    texts = sorted((row["completion"] for row in rows), key=len)[-_SAMPLE:]  # the longest
    found["prompt_tokens"] = longest_prompt(prompts, tokenizer)
    found["answer_tokens"] = max(map(len, tokenizer(texts)["input_ids"]), default=0)
    if tokenizer.eos_token is not None:
        found |= _counted_rows(recipe, rows, tokenizer, positions, problems)
    return found


def _counted_rows(
    recipe: Recipe, rows: list[dict[str, Any]], tokenizer: Any, positions: int | None, problems: list[Problem]
) -> dict[str, int]:
    """Rows of SFT as the training will have them."""
    dataset, sizes = prepared(recipe, rows, tokenizer)
    wrong = [*row_problems(recipe, sizes, len(sizes) - len(dataset), positions)]
    problems += wrong
    found = {"sft_rows": len(dataset)}
    if (tokens := recipe.training.sft.packing) and not any(p.severity == "error" for p in wrong):
        found["packed_rows"] = packed_rows(dataset, sizes, tokens)
    return found


def encoder_parameters(base: str) -> int:
    """Parameters of the estimator's base, 0 where they are not known."""
    name = base if "/" in base else f"sentence-transformers/{base}"
    if name in ENCODERS:
        return ENCODERS[name]
    weights = [p.stat().st_size for p in Path(base).expanduser().rglob("*.safetensors")] if Path(base).is_dir() else []
    return sum(weights) // 4
