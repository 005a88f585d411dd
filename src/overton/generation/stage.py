"""Stage ``generation``: held-out answers of the SFT start and of OP-GRPO."""

from __future__ import annotations

from overton.generation.sample import sample_answers
from overton.progress import progress
from overton.recipe import Recipe
from overton.rundir import RunDir, read_jsonl, write_jsonl
from overton.types import Situation


def run(recipe: Recipe, run: RunDir) -> None:
    """Write ``generation/SYSTEM.jsonl`` (and ``SYSTEM-greedy.jsonl``) for each system of the recipe."""
    import torch

    from overton.training.policy import load_policy

    options = recipe.generation
    situations = [Situation.from_json(row) for row in read_jsonl(run.path / "data" / "test.jsonl")]
    if options.limit:
        situations = situations[: options.limit]
    folder = run.stage("generation")
    with progress() as bar:
        for system in (name for name in options.systems if isinstance(name, str)):
            model, tokenizer = load_policy(run.path / "training" / system / "model")
            model.eval()
            if torch.cuda.is_available():
                model.to("cuda")
            for suffix, temperature in (("", options.temperature), ("-greedy", 0.0)):
                if suffix and not options.greedy:
                    continue
                task = bar.add_task(f"answers of {system}{suffix}", total=len(situations))
                answers = sample_answers(
                    model,
                    tokenizer,
                    situations,
                    template=recipe.policy.prompt_template,
                    system=system + suffix,
                    temperature=temperature,
                    top_p=options.top_p,
                    max_new_tokens=options.max_new_tokens,
                    batch_size=options.batch_size,
                    seed=recipe.seed,
                    on_batch=lambda n, task=task: bar.advance(task, n),  # type: ignore[misc]
                )
                write_jsonl(folder / f"{system}{suffix}.jsonl", (a.to_json() for a in answers))
