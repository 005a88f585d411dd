"""How fast is the reward? The naive way against ours, on real answers, and both against the machine's limit.

    python benchmarks/reward_speed.py --references DIR --responses FILE
    python benchmarks/reward_speed.py --page        # the tables of --out into docs/speed.md

Naive is what published code does: for each rollout three calls of `SentenceTransformer.encode` (references, segments
for coverage, segments for uniqueness) in float32 and batches of 32. Ours is one call of `OvertonReward.score` for all
groups of a part, with nothing in its cache. Both ways take turns, part by part, and so does the measurement of the
limit: products of matrices of the model's shapes. Parts hold different questions; the scores of all are compared.
Every number of threads gets a process of its own. What was measured in bfloat16 and in float32, on machines with and
without instructions for bfloat16, is kept side by side.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from overton.estimator import SimilarityEstimator, open_estimator
from overton.jsonio import read_json, write_json
from overton.precision import has_fast_bf16
from overton.rewards import OvertonReward
from overton.rundir import versions
from overton.types import Group
from pages import fill
from speed.compare import agreement, profile
from speed.data import read_groups, unlike
from speed.limit import Multiplier, needed_flops
from speed.naive import score_naively
from speed.table import markdown

PAGE = Path("docs/speed.md")
ROLLOUTS = (100, 1000, 5000, 20_000)
# preset, threads, questions, parts
PLAN = (("op-grpo", 1, 64, 8), ("op-grpo", 2, 64, 8), ("overton", 1, 64, 8))
ANSWERS = 10


def timed(work: Callable[[], Any]) -> tuple[Any, dict[str, float]]:
    """What comes out, and the seconds that it took by the clock and of processors."""
    wall, cpu = time.perf_counter(), time.process_time()
    found = work()
    return found, {"wall": time.perf_counter() - wall, "cpu": time.process_time() - cpu}


def measure(estimator: SimilarityEstimator, preset: str, groups: Sequence[Group], parts: int) -> dict[str, Any]:
    """Both ways and the limit in turns, a part of the questions each time."""
    import torch

    dtype = torch.bfloat16 if estimator.bf16 else torch.float32
    multiplier, other = (Multiplier(estimator.model, d) for d in (dtype, torch.float32))
    reward = OvertonReward(estimator, preset)
    size = len(groups) // parts
    reward.score(groups[-1:])  # the first call loads what later ones have
    rows, naive, ours = [], [], []
    for part in range(parts):
        chosen = groups[part * size : (part + 1) * size]
        speed = [multiplier.speed()]
        first, naive_seconds = timed(lambda chosen=chosen: score_naively(estimator, preset, chosen))  # type: ignore[misc]
        naive += [s for row in first for s in row]
        speed.append(multiplier.speed())
        estimator.clear_cache()
        second, seconds = timed(lambda chosen=chosen: reward.score(chosen))  # type: ignore[misc]
        ours += [s for row in second for s in row]
        speed.append(multiplier.speed())
        plans = [reward.preset.plan(group) for group in chosen]
        texts = [t for plan in plans for t in plan.texts]
        contexts = [c for plan in plans for c in plan.contexts]
        prepared = estimator.preprocessing(texts, contexts) if reward.preset.masks_alike else texts
        unique, tokens, flops = needed_flops(estimator, prepared, multiplier.flops_a_token)
        # The limit around our own turn; processor seconds are what other programs on the machine disturb least.
        rate = max(s[0] for s in speed[1:])
        rows.append(
            {
                "rollouts": sum(len(g.answers) for g in chosen),
                "texts": len(texts),
                "unique_texts": unique,
                "unique_tokens": tokens,
                "naive": naive_seconds,
                "ours": seconds,
                "gflops_cpu": rate / 1e9,
                "gflops_wall": max(s[1] for s in speed[1:]) / 1e9,
                "gflops_float32_cpu": other.speed(1)[0] / 1e9,
                "limit_cpu": flops / rate,
            }
        )
    shares = profile(estimator, preset, groups[:size])
    return {"preset": preset, "parts": rows, "scores": agreement(naive, ours), "shares": shares}


def growth(estimator: SimilarityEstimator, groups: list[Group], seed: int) -> list[dict[str, Any]]:
    """Seconds for more and more rollouts without a sentence in common."""
    reward = OvertonReward(estimator, "op-grpo")
    rows = []
    for rollouts in ROLLOUTS:
        chosen = unlike(groups, rollouts, seed)
        estimator.clear_cache()
        estimator.encoded = 0
        _, seconds = timed(lambda chosen=chosen: reward.score(chosen))  # type: ignore[misc]
        rows.append({"rollouts": rollouts, "unique_texts": estimator.encoded, **seconds})
    return rows


def child(options: argparse.Namespace) -> Any:
    """One measurement, in this process."""
    import torch

    preset, threads, questions, parts = options.one.split(",")
    torch.set_num_threads(int(threads))
    estimator, _ = open_estimator()
    groups = read_groups(options.references, options.responses, ANSWERS, options.seed)
    if preset == "growth":
        return growth(estimator, groups, options.seed)
    return {"threads": int(threads)} | measure(estimator, preset, groups[: int(questions)], int(parts))


def main() -> None:
    """Measure in processes of their own, or write the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--references", type=Path, help="folder with test_5p.csv, test_6p.csv and test_7p.csv")
    parser.add_argument("--responses", type=Path, help="logged answers to them, JSON lines, gzipped")
    parser.add_argument("--run", type=Path, help="run directory whose GRPO metrics tell the reward's share of a step")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results/reward_speed.json"))
    parser.add_argument("--page", action="store_true", help=f"tables of --out into {PAGE}; then stop")
    parser.add_argument(
        "--only",
        nargs="*",
        default=None,
        metavar="PRESET,THREADS",
        help="some; keeps what else --out has in this precision",
    )
    parser.add_argument("--one", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.page:
        fill(PAGE, "speed", [markdown(read_json(options.out))])
        return
    if options.one:
        print(json.dumps(child(options)))
        return
    report: dict[str, Any] = read_json(options.out) if options.out.exists() else {}
    report |= {"model": "all-MiniLM-L6-v2", "answers": ANSWERS, "seed": options.seed}
    precision = "bfloat16" if has_fast_bf16("cpu") else "float32"
    here = report.setdefault(precision, {}) if options.only is not None else {}
    report[precision] = here | {
        "commands": [*here.get("commands", []), "python " + " ".join(sys.argv)],
        "versions": versions(),
        "date": time.strftime("%Y-%m-%d"),
        "measured": here.get("measured", {}),
    }
    if options.run:
        report["quickstart"] = {"precision": precision, **step_shares(options.run)}
    if options.references and options.responses:
        for preset, threads, questions, parts in (*PLAN, ("growth", 1, 0, 0)):
            name = f"{preset},{threads}"
            if options.only is None or name in options.only:
                found = _run([f"--one={name},{questions},{parts}"], options)
                report[precision]["measured"][name] = found
                write_json(options.out, report)
    write_json(options.out, report)


def step_shares(run: Path) -> dict[str, Any]:
    """The reward's share of the seconds of GRPO steps, over the whole training and by quarters."""
    lines = (run / "training" / "grpo" / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
    rows = [row for row in map(json.loads, lines) if "seconds/step" in row]
    quarter = -(-len(rows) // 4)

    def share(part: list[dict[str, float]]) -> float:
        return sum(r["seconds/reward"] for r in part) / sum(r["seconds/step"] for r in part)

    parts = [rows[i : i + quarter] for i in range(0, len(rows), quarter)]
    return {"steps": len(rows), "share": share(rows), "quarters": [share(part) for part in parts]}


def _run(extra: list[str], options: argparse.Namespace) -> Any:
    command = [sys.executable, __file__, *extra, "--seed", str(options.seed)]
    command += ["--references", str(options.references), "--responses", str(options.responses)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1])


if __name__ == "__main__":
    main()
