"""How long should torch's threads wait for each other? A step of SFT beside nothing, and beside a busy program.

    python benchmarks/thread_wait.py --run runs/quickstart
    python benchmarks/thread_wait.py --page        # the table of --out into docs/speed.md

The recipe's SFT from its start, on rows of a finished run, once for each number of threads and each length of the wait
(GOMP_SPINCOUNT, read when a process loads torch, so each has a process of its own). Wall-clock time, since waiting is
what is measured; compare rows of one run.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from itertools import islice
from pathlib import Path
from typing import Any

from origin import made_by
from overton.jsonio import read_json, read_jsonl, write_json, write_jsonl
from overton.recipe import load_recipe
from pages import fill

PAGE, OUT = Path("docs/speed.md"), Path("benchmarks/results/thread_wait.json")
WAYS = ((1, 1000), (2, 1000), (2, 5000), (2, 20_000), (2, 100_000))  # threads, GOMP_SPINCOUNT
SETTLE, STEPS = 60, 100


def step_ms(recipe_file: Path, sft_file: Path, threads: int) -> float:
    """Milliseconds of a step, in this process."""
    import torch
    from transformers import TrainerCallback

    from overton.training import trainers
    from overton.training.sft import train_sft

    torch.set_num_threads(threads)
    clock: list[float] = []

    class Clock(TrainerCallback):
        def on_step_end(self, *_: Any, **__: Any) -> None:
            clock.append(time.perf_counter())

    class Timed(trainers.OvertonSFTTrainer):
        def __init__(self, *args: Any, **kwargs: Any) -> None:
            super().__init__(*args, **kwargs)
            self.add_callback(Clock)

    trainers.OvertonSFTTrainer = Timed  # type: ignore[misc]
    with tempfile.TemporaryDirectory() as folder:
        train_sft(load_recipe(recipe_file), sft_file, Path(folder) / "sft", max_steps=SETTLE + STEPS + 1)
    return 1000 * (clock[SETTLE + STEPS] - clock[SETTLE]) / STEPS


def measure(recipe: Path, run: Path) -> list[dict[str, Any]]:
    """A row for each way: milliseconds of a step beside nothing and beside a busy program."""
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        part = Path(folder) / "sft.jsonl"
        write_jsonl(part, islice(read_jsonl(run / "data" / "sft.jsonl"), 4000))
        for threads, wait in WAYS:
            row: dict[str, Any] = {"threads": threads, "spincount": wait}
            for name in ("alone", "busy"):
                other = subprocess.Popen([sys.executable, "-c", "while True: pass"]) if name == "busy" else None
                try:
                    command = [sys.executable, __file__, "--step", str(recipe), str(part), str(threads)]
                    environment = os.environ | {"GOMP_SPINCOUNT": str(wait), "TOKENIZERS_PARALLELISM": "false"}
                    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
                finally:
                    if other is not None:
                        other.kill()
                        other.wait()
                row[name] = json.loads(done.stdout.splitlines()[-1])
            print(row, flush=True)
            rows.append(row)
    return rows


def table(report: dict[str, Any]) -> str:
    """Markdown, one row a way; ratios to one thread alone."""
    first = report["rows"][0]["alone"]
    lines = ["| threads | `GOMP_SPINCOUNT` | ms a step, alone | beside a busy program |", "|---|---|---|---|"]
    for row in report["rows"]:
        cells = " | ".join(f"{row[name]:.0f} ({row[name] / first:.2f})" for name in ("alone", "busy"))
        lines.append(f"| {row['threads']} | {row['spincount']:,} | {cells} |")
    return "\n".join(lines)


def main() -> None:
    """Measure, or write the table into the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--recipe", type=Path, default=Path("recipes/quickstart.yaml"))
    parser.add_argument("--run", type=Path, default=Path("runs/quickstart"), help="a run whose data are made")
    parser.add_argument("--out", type=Path, default=OUT)
    parser.add_argument("--page", action="store_true", help="the table of --out into docs/speed.md; then stop")
    parser.add_argument("--step", nargs=3, metavar=("RECIPE", "ROWS", "THREADS"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.step:
        recipe, rows, threads = options.step
        print(json.dumps(step_ms(Path(recipe), Path(rows), int(threads))))
        return
    if options.page:
        fill(PAGE, "wait", [table(read_json(options.out))])
        return
    report = {**made_by(), "seed": 0, "cores": os.cpu_count(), "rows": measure(options.recipe, options.run)}
    write_json(options.out, report)
    print(table(report))


if __name__ == "__main__":
    main()
