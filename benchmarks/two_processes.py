"""One process against two: the quickstart's policy trained by both ways, on held-out situations.

    python benchmarks/two_processes.py --stages runs/quality/seed-{seed}/sft

`--stages` names runs of the quickstart with data, estimator and SFT model, one for each seed, as
benchmarks/quickstart_quality.py leaves them. From there OP-GRPO is trained twice on a short schedule, once alone and
once under torchrun with two processes that talk through gloo; and so is SFT, from random weights, on a part of the
answers. Answers to dev situations are judged by the world's oracle, which shares nothing with the reward. Two processes
draw other random numbers than one, so the figures differ as those of two seeds do: the question is whether they differ
by more. Finished trainings are kept, so a killed benchmark goes on where it was.
"""

from __future__ import annotations

import argparse
import os
import resource
import statistics
import subprocess
import sys
from pathlib import Path
from typing import Any

import torch

from origin import made_by
from overton.data.world.oracle import judge
from overton.estimator import SimilarityEstimator
from overton.evaluation.statistics import compare
from overton.generation.sample import sample_answers
from overton.jsonio import read_json, read_jsonl, write_json
from overton.processes import part, wait_for_all
from overton.recipe import Recipe, load_recipe
from overton.rundir import RunDir
from overton.segment import layout
from overton.training.grpo import train_grpo
from overton.training.policy import load_policy
from overton.training.sft import train_sft
from overton.training.stage import grpo_situations
from overton.types import Situation

METRICS = ("coverage", "precision", "uniqueness", "valid_tags")
MODELS = ("sft", "grpo")
SHORT = ["threads=1", "training.sft.epochs=0.05", "training.grpo.steps=30"]


def main() -> None:
    """Train, judge, write the results."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--recipe", type=Path, default=Path("recipes/quickstart.yaml"))
    parser.add_argument("--stages", required=True, metavar="RUN", help="a run's folder; {seed} in it is replaced")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--set", dest="overrides", nargs="*", default=SHORT, metavar="KEY=VALUE")
    parser.add_argument("--situations", type=int, default=150, help="dev situations that are asked")
    parser.add_argument("--runs", type=Path, default=Path("runs/two_processes"))
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results/two_processes.json"))
    parser.add_argument("--work", type=Path, help=argparse.SUPPRESS)  # train into this folder, and no more
    options = parser.parse_args()
    if options.work:
        recipe = load_recipe(options.recipe, [*options.overrides, f"seed={options.seeds[0]}"])
        train(recipe, Path(options.stages), options.work)
        return
    seeds: list[dict[str, Any]] = []
    for seed in options.seeds:
        recipe = load_recipe(options.recipe, [*options.overrides, f"seed={seed}"])
        base = Path(options.stages.format(seed=seed))
        found: dict[str, Any] = {"seed": seed, "processes": {}}
        for processes in (1, 2):
            folder = options.runs / f"seed-{seed}" / f"processes-{processes}"
            found["processes"][str(processes)] = _measure(options, recipe, base, folder, processes)
        found["start"] = _judged(recipe, base, base / "training" / "sft" / "model", options.situations)
        seeds.append(found)
    report = {
        **made_by(),
        "recipe": recipe.model_dump(mode="json"),
        "start": {metric: [_mean(found["start"][metric]) for found in seeds] for metric in METRICS},
        "summary": {model: {metric: summary(seeds, model, metric) for metric in METRICS} for model in MODELS},
        "seeds": seeds,
    }
    write_json(options.out, report)
    print(table(report))


def train(recipe: Recipe, base: Path, folder: Path) -> None:
    """A short SFT from random weights, and a short OP-GRPO from the run's whole SFT; by all processes together."""
    torch.set_num_threads(recipe.threads)
    wait_for_all()
    sft, grpo = (folder / part for part in MODELS)
    if not (sft / "model").exists():
        train_sft(recipe, base / "data" / "sft.jsonl", sft)
        wait_for_all()
    if not (grpo / "model").exists():
        estimator = SimilarityEstimator.load(base / "estimator")
        start = base / "training" / "sft" / "model"
        train_grpo(recipe, grpo_situations(recipe, RunDir(base)), start, estimator, grpo)
        wait_for_all()
    part()


def _measure(options: argparse.Namespace, recipe: Recipe, base: Path, folder: Path, processes: int) -> dict[str, Any]:
    kept = folder / "measured.json"
    if kept.exists():
        return dict(read_json(kept))
    launcher = ["-m", "torch.distributed.run", "--standalone", "--nproc_per_node", str(processes)]
    command = [sys.executable, *(launcher if processes > 1 else []), __file__, "--work", str(folder)]
    command += ["--recipe", str(options.recipe), "--stages", str(base), "--seeds", str(recipe.seed)]
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    subprocess.run([*command, "--set", *options.overrides], check=True, env=environment)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    found: dict[str, Any] = {"cpu_seconds": round(cpu, 1), "models": {}}
    for name in MODELS:
        found["models"][name] = _judged(recipe, base, folder / name / "model", options.situations)
    found["reward"] = [row["reward"] for row in read_jsonl(folder / "grpo" / "metrics.jsonl")]
    found["sft_loss"] = [row["loss"] for row in read_jsonl(folder / "sft" / "metrics.jsonl")]
    write_json(kept, found)
    return found


def _judged(recipe: Recipe, base: Path, model_folder: Path, situations: int) -> dict[str, list[float | None]]:
    """Figures of a model's answers to the first dev situations of a run."""
    asked = [Situation.from_json(row) for row in read_jsonl(base / "data" / "dev.jsonl")][:situations]
    model, tokenizer = load_policy(model_folder)
    model.eval()
    answers = sample_answers(
        model,
        tokenizer,
        asked,
        template=recipe.policy.prompt_template,
        temperature=recipe.generation.temperature,
        top_p=recipe.generation.top_p,
        max_new_tokens=recipe.generation.max_new_tokens,
        batch_size=recipe.generation.batch_size,
        seed=recipe.seed,
    )
    rows: dict[str, list[float | None]] = {metric: [] for metric in METRICS}
    for situation, row in zip(asked, answers, strict=True):
        verdict = judge(situation, row.answer)
        for metric in METRICS[:-1]:
            rows[metric].append(getattr(verdict, metric))
        rows["valid_tags"].append(float(layout(row.answer).valid))
    return rows


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
        "| model | metric | start | one process | two | difference (95% interval) | spread of seeds |",
        "|---|---|---|---|---|---|---|",
    ]
    for model, metrics in report["summary"].items():
        for metric, row in metrics.items():
            spread = "" if row["seed_spread"] is None else f"{row['seed_spread']:.3f}"
            start = f"{statistics.fmean(report['start'][metric]):.3f}" if model == "grpo" else ""
            one, two = (statistics.fmean(row[way]) for way in ("one", "two"))
            lines.append(
                f"| {model} | {metric} | {start} | {one:.3f} | {two:.3f} "
                f"| {row['difference']:+.3f} ({row['low']:+.3f} to {row['high']:+.3f}) | {spread} |"
            )
    return "\n".join(lines)


def _mean(values: list[float | None]) -> float:
    return statistics.fmean(value for value in values if value is not None)


if __name__ == "__main__":
    main()
