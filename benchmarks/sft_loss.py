"""What does a forward and backward pass of SFT cost on a CPU? TRL's loss against ours.

    python benchmarks/sft_loss.py --run runs/quickstart
    python benchmarks/sft_loss.py --page        # the table of --out into docs/speed.md

The quickstart's policy, as its run trained it, reads batches of its SFT rows. Each batch goes through TRL's SFTTrainer,
through the logits of all learnt tokens at once, and through Overton's trainer, which takes blocks of one size; the
order changes from batch to batch. Batches of a first part are not counted, so that what a library compiles for a shape
counts only where the shape is new. CPU seconds, one thread.
"""

from __future__ import annotations

import argparse
import random
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from origin import made_by
from overton.jsonio import read_json, read_jsonl, write_json
from overton.precision import has_fast_bf16
from overton.recipe import Recipe, load_recipe
from pages import fill

PAGE = Path("docs/speed.md")


def measure(recipe: Recipe, run: Path, batches: int, settle: int, seed: int) -> dict[str, Any]:
    """CPU milliseconds of each way, batch by batch, and the largest difference of a loss."""
    import torch
    from datasets.utils.logging import disable_progress_bar
    from torch.nn.functional import cross_entropy
    from trl import SFTConfig, SFTTrainer

    from overton.training.policy import load_policy
    from overton.training.sft import tokenized
    from overton.training.trainers import OvertonSFTTrainer

    torch.set_num_threads(1)
    disable_progress_bar()
    size = recipe.training.sft.batch_size
    model, tokenizer = load_policy(run / "training" / "sft" / "model", "float32")
    rows = random.Random(seed).sample(read_jsonl(run / "data" / "sft.jsonl"), batches * size)
    dataset = tokenized(rows, recipe.policy.prompt_template, tokenizer)
    with tempfile.TemporaryDirectory() as folder:
        bf16 = recipe.training.bf16 and has_fast_bf16("cpu")
        arguments = SFTConfig(folder, report_to="none", use_cpu=True, bf16=bf16)
        trainer = OvertonSFTTrainer(model=model, args=arguments, train_dataset=dataset, processing_class=tokenizer)

    def plain(batch: dict[str, Any]) -> torch.Tensor:
        labels = batch["labels"][:, 1:]
        learnt = labels != -100
        with trainer.accelerator.autocast():
            hidden = model.get_decoder()(batch["input_ids"], batch["attention_mask"], use_cache=False)[0]
            logits = model.get_output_embeddings()(hidden[:, :-1][learnt])
        return cross_entropy(logits.float(), labels[learnt])

    ways: dict[str, Callable[[dict[str, Any]], torch.Tensor]] = {
        "TRL": lambda batch: SFTTrainer.compute_loss(trainer, model, batch),
        "all tokens at once": plain,
        "Overton": lambda batch: trainer.compute_loss(model, batch),
    }
    model.train()
    spent: dict[str, list[float]] = {name: [] for name in ways}
    losses: dict[str, list[float]] = {name: [] for name in ways}
    order = list(ways)
    for start in range(0, len(dataset), size):
        batch = trainer.data_collator([dataset[i] for i in range(start, min(start + size, len(dataset)))])
        order.append(order.pop(0))
        for name in order:
            began = time.process_time()
            loss = ways[name](dict(batch))
            loss.backward()
            spent[name].append(time.process_time() - began)
            losses[name].append(loss.item())
            model.zero_grad()
    reference = losses["TRL"]
    return {
        name: {
            "ms": 1000 * sum(spent[name][settle:]) / len(spent[name][settle:]),
            "largest_difference": max(abs(a - b) for a, b in zip(losses[name], reference, strict=True)),
        }
        for name in ways
    }


def table(report: dict[str, Any]) -> str:
    """Markdown, one row a way."""
    first = report["ways"]["TRL"]["ms"]
    lines = ["| loss | CPU ms a batch | of TRL's | largest difference to TRL's loss |", "|---|---|---|---|"]
    for name, row in report["ways"].items():
        share, gap = row["ms"] / first, row["largest_difference"]
        lines.append(f"| {name} | {row['ms']:.0f} | {share:.2f} | {gap:.0e} |")
    return "\n".join(lines)


def main() -> None:
    """Measure, or write the table into the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--recipe", type=Path, default=Path("recipes/quickstart.yaml"))
    parser.add_argument("--run", type=Path, default=Path("runs/quickstart"), help="a run whose SFT is done")
    parser.add_argument("--batches", type=int, default=400)
    parser.add_argument("--settle", type=int, default=200, help="batches that are not counted")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results/sft_loss.json"))
    parser.add_argument("--page", action="store_true", help="the table of --out into docs/speed.md; then stop")
    options = parser.parse_args()
    if options.page:
        fill(PAGE, "sft-loss", [table(read_json(options.out))])
        return
    ways = measure(load_recipe(options.recipe), options.run, options.batches, options.settle, options.seed)
    report = {
        **made_by(),
        "seed": options.seed,
        "batches": options.batches - options.settle,
        "ways": ways,
    }
    write_json(options.out, report)
    print(table(report))


if __name__ == "__main__":
    main()
