"""What does finding memory cost in training on a CPU? The C library's allocator against others, and lengths of batches.

    python benchmarks/allocators.py --run runs/quickstart
    python benchmarks/allocators.py --page        # the table of --out into docs/speed.md

The recipe's SFT from nothing and then steps of its GRPO, one after the other in one process, as a run takes them, on
data, start and estimator of a finished run. Each way has a process of its own a round; ways take turns. The reference
is the C library's allocator with batches as long as their longest row, the next way has Overton's lengths, the rest
have them and another allocator, if the loader finds it. CPU seconds, one thread; the first steps of each are not
counted.
"""

from __future__ import annotations

import argparse
import ctypes.util
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from itertools import islice
from pathlib import Path
from typing import Any

from origin import made_by
from overton.commands.allocator import ALLOCATORS
from overton.jsonio import read_json, read_jsonl, write_json, write_jsonl
from overton.precision import has_fast_bf16
from overton.recipe import load_recipe
from overton.rundir import RunDir
from pages import fill

ROOT = Path(__file__).resolve().parents[1]
PAGE, OUT = ROOT / "docs" / "speed.md", ROOT / "benchmarks" / "results" / "allocators.json"
REFERENCE, OURS = "the C library's, any length", "the C library's"
ROWS = 20_000
STEPS = {"sft": (100, 500), "grpo": (4, 16)}  # not counted, and the last


def train(recipe_file: Path, run: Path, any_length: bool) -> dict[str, float]:
    """CPU milliseconds of a step of SFT and of GRPO, in this process."""
    import torch
    from transformers import TrainerCallback

    from overton.estimator import SimilarityEstimator
    from overton.training import grpo, sft, trainers
    from overton.training.stage import grpo_situations

    torch.set_num_threads(1)
    clocks: dict[str, list[float]] = {name: [] for name in STEPS}

    def timed(trainer: Any, name: str) -> Any:
        class Clock(TrainerCallback):
            def on_step_end(self, *_: Any, **__: Any) -> None:
                clocks[name].append(time.process_time())

        class Timed(trainer):  # type: ignore[misc]
            def __init__(self, *args: Any, **kwargs: Any) -> None:
                super().__init__(*args, **kwargs)
                self.add_callback(Clock)

        return Timed

    trainers.OvertonSFTTrainer = timed(trainers.OvertonSFTTrainer, "sft")  # type: ignore[misc]
    grpo.OpGrpoTrainer = timed(grpo.OpGrpoTrainer, "grpo")  # type: ignore[misc]
    if any_length:
        arguments = sft.sft_arguments
        sft.sft_arguments = lambda *a, **k: arguments(*a, **k) | {"pad_to_multiple_of": None}
    recipe = load_recipe(recipe_file, [f"training.grpo.steps={STEPS['grpo'][1]}"])
    with tempfile.TemporaryDirectory() as folder:
        part, places = Path(folder) / "sft.jsonl", {name: Path(folder) / name for name in STEPS}
        write_jsonl(part, islice(read_jsonl(run / "data" / "sft.jsonl"), ROWS))
        for place in places.values():
            place.mkdir()
        sft.train_sft(recipe, part, places["sft"], max_steps=STEPS["sft"][1])
        estimator = SimilarityEstimator.load(run / "estimator")
        start = run / "training" / "sft" / "model"
        grpo.train_grpo(recipe, grpo_situations(recipe, RunDir(run)), start, estimator, places["grpo"])
    return {
        name: 1000 * (clocks[name][last - 1] - clocks[name][first - 1]) / (last - first)
        for name, (first, last) in STEPS.items()
    }


def measure(recipe: Path, run: Path, rounds: int) -> dict[str, list[dict[str, float]]]:
    """Of each way, what :func:`train` gives in each round."""
    files = {name: file for name in ALLOCATORS if (file := ctypes.util.find_library(name))}
    ways: dict[str, list[dict[str, float]]] = {name: [] for name in (REFERENCE, OURS, *files)}
    order = list(ways)
    for _ in range(rounds):
        order.append(order.pop(0))
        for name in order:
            child = ["--child", str(recipe), str(run), *(["--any-length"] if name == REFERENCE else [])]
            # An allocator of the caller's would be in the reference too.
            environment = {k: v for k, v in os.environ.items() if k != "LD_PRELOAD"}
            environment |= {"LD_PRELOAD": files[name]} if name in files else {}
            command = [sys.executable, __file__, *child]
            done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, check=True)
            ways[name].append(json.loads(done.stdout.splitlines()[-1]))
            print(name, ways[name][-1], flush=True)
    return ways


def table(report: dict[str, Any]) -> str:
    """Markdown, one row a way; ratios to the reference, of medians over rounds."""

    def median(name: str, stage: str) -> float:
        return statistics.median(row[stage] for row in report["ways"][name])

    lines = ["| allocator | SFT, CPU ms a step | GRPO, CPU ms a step |", "|---|---|---|"]
    for name in report["ways"]:
        cells = (f"{median(name, s):,.0f} ({median(name, s) / median(REFERENCE, s):.2f})" for s in STEPS)
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines)


def main() -> None:
    """Measure, or write the table into the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--recipe", type=Path, default=ROOT / "recipes" / "quickstart.yaml")
    parser.add_argument("--run", type=Path, default=Path("runs/quickstart"), help="a finished run of the recipe")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--out", type=Path, default=OUT)
    parser.add_argument("--page", action="store_true", help="the table of --out into docs/speed.md; then stop")
    parser.add_argument("--child", nargs=2, metavar=("RECIPE", "RUN"), help=argparse.SUPPRESS)
    parser.add_argument("--any-length", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        recipe, run = map(Path, options.child)
        print(json.dumps(train(recipe, run, options.any_length)))
        return
    if options.page:
        fill(PAGE, "allocators", [table(read_json(options.out))])
        return
    precision = "bfloat16" if has_fast_bf16("cpu") else "float32"
    report = {**made_by(), "precision": precision, "ways": measure(options.recipe, options.run, options.rounds)}
    write_json(options.out, report)
    print(table(report))


if __name__ == "__main__":
    main()
