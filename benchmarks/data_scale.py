"""Time and memory of the data stage on a large table.

    python benchmarks/data_scale.py                       # 30,000 situations with 8 perspectives each
    python benchmarks/data_scale.py --merge 0.9           # also encodes all perspectives with all-MiniLM-L6-v2

Makes a table of synthetic situations, runs the stage on it in a process of its own and prints wall seconds, CPU
seconds and peak memory as JSON; with --out also into a file.
"""

from __future__ import annotations

import argparse
import csv
import json
import random
import resource
import sys
import tempfile
import time
from multiprocessing import get_context
from pathlib import Path
from typing import Any

WORDS = 4000


def make_table(path: Path, situations: int, perspectives: int, seed: int) -> None:
    """A row a perspective; the second of each situation says the first in other words."""
    rng = random.Random(seed)
    words = ["".join(rng.choices("aeioulnrst", k=rng.randint(3, 9))) for _ in range(WORDS)]

    def text(length: int) -> str:
        return " ".join(rng.choices(words, k=length)).capitalize() + "."

    with open(path, "w", newline="", encoding="utf-8") as file:
        out = csv.writer(file)
        out.writerow(["id", "situation", "label", "explanation", "cluster", "stance"])
        for number in range(situations):
            case = f"{text(12)} Case {number}."
            for index in range(perspectives + 1):
                group = f"c{max(index, 1)}"
                out.writerow([number, case, f"Value {rng.choice(words)}", text(20), group, rng.choice("+-")])


def measure(table: str, folder: str, merge: float, results: Any) -> None:
    """Run the stage and send what it took."""
    from overton.data.stage import run
    from overton.recipe import parse_recipe
    from overton.rundir import RunDir

    data = {"source": "table", "path": table, "train": 100_000, "dev": 2000, "test": 2000, "by_count": True}
    data |= {"summary": "extractive", "refine": {"merge": merge}}
    recipe = parse_recipe({"name": "scale", "data": data})
    wall, cpu = time.perf_counter(), time.process_time()
    run(recipe, RunDir(Path(folder)))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    results.put(
        {
            "wall_seconds": round(time.perf_counter() - wall, 1),
            "cpu_seconds": round(time.process_time() - cpu, 1),
            "peak_mib": round(peak),
        }
    )


def main() -> int:
    """Make the table, measure, print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--situations", type=int, default=30_000)
    parser.add_argument("--perspectives", type=int, default=8)
    parser.add_argument("--merge", type=float, default=0.0, help="cosine that makes two perspectives one; 0 = off")
    parser.add_argument("--out", type=Path, help="file for the figures")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as home:
        table = Path(home) / "table.csv"
        make_table(table, given.situations, given.perspectives, seed=0)
        context = get_context("spawn")
        results = context.Queue()
        process = context.Process(target=measure, args=(str(table), f"{home}/run", given.merge, results))
        process.start()
        process.join()
        if process.exitcode:
            return 1
        size = sum(p.stat().st_size for p in Path(home, "run").rglob("*") if p.is_file())
        row = {"situations": given.situations, "perspectives": given.perspectives, "merge": given.merge}
        row |= {"table_mib": round(table.stat().st_size / 2**20, 1), "written_mib": round(size / 2**20, 1)}
        row |= results.get()
    print(json.dumps(row))
    if given.out:
        given.out.write_text(json.dumps(row, indent=2) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
