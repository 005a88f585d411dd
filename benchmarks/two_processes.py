"""One process against two: the quickstart's policy, shortened, trained by both ways, on held-out situations.

    python benchmarks/two_processes.py --runs runs/two_processes

For each seed the quickstart's data and estimator are made once (or taken from --stages DIR/seed-N/...). Then SFT and
OP-GRPO are trained twice by the same verb, `overton train`, once alone and once under torchrun with two processes that
talk through gloo. Answers to dev situations are judged by the world's oracle, which shares nothing with the reward.
Two processes draw other random numbers than one, so the figures differ as those of two seeds do: the question is
whether they differ by more. Finished trainings are kept, so a killed benchmark goes on where it was.
"""

from __future__ import annotations

import argparse
import os
import resource
import shutil
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from overton.data.world.oracle import judge
from overton.evaluation.statistics import compare
from overton.generation.sample import sample_answers
from overton.recipe import Recipe, load_recipe
from overton.rundir import read_json, read_jsonl, versions, write_json
from overton.segment import layout
from overton.training.policy import load_policy
from overton.types import Situation

METRICS = ("coverage", "precision", "uniqueness", "valid_tags")
MODELS = ("sft", "grpo")
SHORT = [
    "threads=1",
    "training.sft.epochs=0.05",
    "training.grpo.steps=12",
    "training.grpo.prompts_per_step=8",
]


def main() -> None:
    """Train, judge, write the results."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--recipe", type=Path, default=Path("recipes/quickstart.yaml"))
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--set", dest="overrides", nargs="*", default=SHORT, metavar="KEY=VALUE")
    parser.add_argument("--situations", type=int, default=100, help="dev situations that are asked")
    parser.add_argument("--runs", type=Path, default=Path("runs/two_processes"))
    parser.add_argument("--stages", default="", help="a run's folder with data and estimator; {seed} is replaced")
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results/two_processes.json"))
    options = parser.parse_args()
    seeds = []
    for seed in options.seeds:
        overrides = [*options.overrides, f"seed={seed}"]
        base = Path(options.stages.format(seed=seed)) if options.stages else options.runs / f"seed-{seed}" / "stages"
        if not options.stages:
            _overton(["run", str(options.recipe), "--run-dir", str(base), "--until", "estimator"], overrides, 1)
        found: dict[str, Any] = {"seed": seed, "processes": {}}
        for processes in (1, 2):
            folder = options.runs / f"seed-{seed}" / f"processes-{processes}"
            for stage in ("data", "estimator"):
                if not (folder / stage).exists():
                    shutil.copytree(base / stage, folder / stage)
                    if not (folder / "recipe.yaml").exists():
                        shutil.copy(base / "recipe.yaml", folder)
            recipe = load_recipe(options.recipe, overrides)
            found["processes"][str(processes)] = _measure(options, recipe, overrides, folder, processes)
        seeds.append(found)
    report = {
        "command": "python " + " ".join(sys.argv),
        "recipe": recipe.model_dump(mode="json"),
        "versions": versions(),
        "date": time.strftime("%Y-%m-%d"),
        "summary": {model: {metric: summary(seeds, model, metric) for metric in METRICS} for model in MODELS},
        "seeds": seeds,
    }
    write_json(options.out, report)
    print(table(report))


def _measure(
    options: argparse.Namespace, recipe: Recipe, overrides: list[str], folder: Path, processes: int
) -> dict[str, Any]:
    kept = folder / "measured.json"
    if kept.exists():
        return dict(read_json(kept))
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    _overton(["train", str(options.recipe), "--run-dir", str(folder)], overrides, processes)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    situations = [Situation.from_json(row) for row in read_jsonl(folder / "data" / "dev.jsonl")][: options.situations]
    found: dict[str, Any] = {"cpu_seconds": round(cpu, 1), "models": {}}
    for name in MODELS:
        model, tokenizer = load_policy(folder / "training" / name / "model")
        model.eval()
        answers = sample_answers(
            model,
            tokenizer,
            situations,
            template=recipe.policy.prompt_template,
            temperature=recipe.generation.temperature,
            top_p=recipe.generation.top_p,
            max_new_tokens=recipe.generation.max_new_tokens,
            batch_size=recipe.generation.batch_size,
            seed=recipe.seed,
        )
        rows: dict[str, list[float | None]] = {metric: [] for metric in METRICS}
        for situation, row in zip(situations, answers, strict=True):
            verdict = judge(situation, row.answer)
            for metric in METRICS[:-1]:
                rows[metric].append(getattr(verdict, metric))
            rows["valid_tags"].append(float(layout(row.answer).valid))
        found["models"][name] = rows
    found["reward"] = [row["reward"] for row in read_jsonl(folder / "training" / "grpo" / "metrics.jsonl")]
    found["sft_loss"] = [row["loss"] for row in read_jsonl(folder / "training" / "sft" / "metrics.jsonl")]
    write_json(kept, found)
    return found


def _overton(arguments: list[str], overrides: list[str], processes: int) -> None:
    launcher = ["-m", "torch.distributed.run", "--standalone", "--nproc_per_node", str(processes)]
    command = [sys.executable, *(launcher if processes > 1 else []), "-m", "overton", *arguments]
    changes = [part for item in overrides for part in ("--set", item)]
    subprocess.run([*command, *changes], check=True, env=os.environ | {"OMP_NUM_THREADS": "1"})


def summary(seeds: list[dict[str, Any]], model: str, metric: str) -> dict[str, Any]:
    """Means over seeds of both ways, the spread of seeds, and two processes minus one over all answers.

    Args:
        seeds: of each seed what was measured.
        model: ``sft`` or ``grpo``.
        metric: one of :data:`METRICS`.

    Returns:
        ``one`` and ``two``, a mean each seed; ``seed_spread``, the standard deviation over seeds with one process;
        ``difference`` with its 95% interval over answers (paired by seed and situation), ``low`` to ``high``.
    """
    values = {
        way: {
            f"{found['seed']}/{place}": value
            for found in seeds
            for place, value in enumerate(found["processes"][way]["models"][model][metric])
        }
        for way in ("1", "2")
    }
    means = {way: [_mean(found["processes"][way]["models"][model][metric]) for found in seeds] for way in ("1", "2")}
    found = compare(values["2"], values["1"])
    return {
        "one": means["1"],
        "two": means["2"],
        "seed_spread": statistics.stdev(means["1"]) if len(seeds) > 1 else None,
        **{key: found[key] for key in ("difference", "low", "high", "p_value")},
    }


def table(report: dict[str, Any]) -> str:
    """The summary as Markdown."""
    lines = [
        "| model | metric | one process | two | difference (95% interval) | spread of seeds |",
        "|---|---|---|---|---|---|",
    ]
    for model, metrics in report["summary"].items():
        for metric, row in metrics.items():
            spread = "" if row["seed_spread"] is None else f"{row['seed_spread']:.3f}"
            lines.append(
                f"| {model} | {metric} | {statistics.fmean(row['one']):.3f} | {statistics.fmean(row['two']):.3f} "
                f"| {row['difference']:+.3f} ({row['low']:+.3f} to {row['high']:+.3f}) | {spread} |"
            )
    return "\n".join(lines)


def _mean(values: list[float | None]) -> float:
    return statistics.fmean(value for value in values if value is not None)


if __name__ == "__main__":
    main()
