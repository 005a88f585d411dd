"""The quickstart's quality table: SFT start, both reward presets, and an SFT-only control, on held-out
situations.

    python benchmarks/quickstart_quality.py --seeds 0 1 2 --out benchmarks/results/quickstart_quality.json

For each seed the quickstart is run to its SFT model; from there OP-GRPO is trained with each preset, and a
control goes on with SFT (same schedule once more) for as much CPU time as OP-GRPO took. Answers are sampled as in
the recipe and decoded greedily, and judged by the world's oracle, which shares nothing with the reward.
Finished parts are kept, so a killed benchmark goes on where it was. `--table FILE` prints the table of a
results file.
"""

from __future__ import annotations

import argparse
import shutil
import time
from pathlib import Path
from typing import Any

from origin import made_by
from overton.data.world.oracle import judge
from overton.evaluation.statistics import compare, interval
from overton.generation.sample import sample_answers
from overton.jsonio import read_json, read_jsonl, write_json, write_text
from overton.pipeline import run_stages
from overton.recipe import Recipe, load_recipe
from overton.report.figures import headline_figure
from overton.rundir import RunDir
from overton.segment import layout
from overton.types import Situation
from pages import fill

SYSTEMS = ("sft", "overton", "op-grpo", "control")
METRICS = ("coverage", "uniqueness", "precision", "f1", "valid_tags", "perspectives", "ratio", "words")


def main() -> None:
    """Measure, or print a table that was measured before."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--recipe", type=Path, default=Path("recipes/quickstart.yaml"))
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--systems", nargs="+", choices=SYSTEMS, default=list(SYSTEMS))
    parser.add_argument("--set", dest="overrides", nargs="*", default=[], metavar="KEY=VALUE")
    parser.add_argument("--runs", type=Path, default=Path("runs/quality"))
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results/quickstart_quality.json"))
    parser.add_argument("--table", type=Path, help="print the table of this results file and stop")
    parser.add_argument("--readme", action="store_true", help="table and figure of --out into README.md; then stop")
    options = parser.parse_args()
    if options.table:
        print(markdown(read_json(options.table)))
        return
    if options.readme:
        report = read_json(options.out)
        fill(Path("README.md"), "results", [markdown(report)])
        for theme in ("light", "dark"):
            write_text(Path(f"docs/figures/quickstart-{theme}.svg"), headline_figure(headline(report), theme=theme))
        return
    for seed in options.seeds:
        recipe = load_recipe(options.recipe, [*options.overrides, f"seed={seed}"])
        folder = options.runs / f"seed-{seed}"
        result: dict[str, Any] = {"seed": seed, "systems": {}, "cpu_seconds": {}}
        for system in SYSTEMS:
            if system in options.systems:
                model = _train(recipe, folder, system, result)
                result["systems"][system] = _measure(recipe, RunDir(folder / "sft"), folder, system, model)
        write_json(folder / "result.json", result)
    seeds = [read_json(p) for p in sorted(options.runs.glob("seed-*/result.json"))]
    report = {
        **made_by(),
        "recipe": recipe.model_dump(mode="json"),
        "seeds": seeds,
    }
    write_json(options.out, report)
    print(markdown(report))


def _train(recipe: Recipe, folder: Path, system: str, result: dict[str, Any]) -> Path:
    """Train one system (or find it trained) and return its model's folder."""
    run = RunDir(folder / "sft")
    if system == "sft":
        run_stages(recipe, run, "data", "estimator")
    target = run.path / "training" / "sft" if system == "sft" else folder / system
    if not (target / "cpu.json").exists():
        started = time.process_time()
        _train_part(recipe, run, folder, system, target)
        write_json(target / "cpu.json", {"cpu_seconds": round(time.process_time() - started, 1)})
        shutil.rmtree(target / "checkpoints", ignore_errors=True)
    result["cpu_seconds"][system] = read_json(target / "cpu.json")["cpu_seconds"]
    return target / "model"


def _train_part(recipe: Recipe, run: RunDir, folder: Path, system: str, target: Path) -> None:
    import torch

    from overton.estimator import SimilarityEstimator
    from overton.training.grpo import train_grpo
    from overton.training.sft import train_sft
    from overton.training.stage import grpo_situations

    if recipe.threads:
        torch.set_num_threads(recipe.threads)
    answers = run.path / "data" / "sft.jsonl"
    if system == "sft":
        train_sft(recipe, answers, target)
    elif system == "control":
        spent = read_json(run.path / "training" / "sft" / "cpu.json")["cpu_seconds"]
        extra = read_json(folder / "overton" / "cpu.json")["cpu_seconds"]
        steps = read_jsonl(run.path / "training" / "sft" / "metrics.jsonl")[-1]["step"]
        start = run.path / "training" / "sft" / "model"
        train_sft(recipe, answers, target, max_steps=round(steps * extra / spent), start=start)
    else:
        plain = system == "op-grpo"
        reward = {"preset": system, "overrides": {} if plain else recipe.reward.overrides}
        changed = recipe.reward.model_copy(update=reward | ({"credit_weight": 0.0} if plain else {}))
        situations = grpo_situations(recipe, run)
        estimator = SimilarityEstimator.load(run.path / "estimator")
        start = run.path / "training" / "sft" / "model"
        train_grpo(recipe.model_copy(update={"reward": changed}), situations, start, estimator, target)


def _measure(recipe: Recipe, run: RunDir, folder: Path, system: str, model_folder: Path) -> dict[str, Any]:
    from overton.training.policy import load_policy

    kept = folder / f"{system}.answers.json"
    situations = [Situation.from_json(row) for row in read_jsonl(run.path / "data" / "test.jsonl")]
    if not kept.exists():
        model, tokenizer = load_policy(model_folder)
        model.eval()
        options = recipe.generation
        answers = {}
        for decoding, temperature in (("sampled", options.temperature), ("greedy", 0.0)):
            rows = sample_answers(
                model,
                tokenizer,
                situations,
                template=recipe.policy.prompt_template,
                temperature=temperature,
                top_p=options.top_p,
                max_new_tokens=options.max_new_tokens,
                batch_size=options.batch_size,
                seed=recipe.seed,
            )
            answers[decoding] = [r.answer for r in rows]
        write_json(kept, answers)
    return {name: _judge(situations, texts) for name, texts in read_json(kept).items()}


def _judge(situations: list[Situation], answers: list[str]) -> dict[str, list[float | None]]:
    rows: dict[str, list[float | None]] = {name: [] for name in METRICS}
    for situation, answer in zip(situations, answers, strict=True):
        verdict = judge(situation, answer)
        for name in ("coverage", "uniqueness", "precision", "f1"):
            rows[name].append(getattr(verdict, name))
        rows["valid_tags"].append(float(layout(answer).valid))
        rows["perspectives"].append(float(len(verdict.segments)))
        rows["ratio"].append(len(verdict.segments) / len(situation.perspectives))
        rows["words"].append(float(len(answer.split())))
    return rows


def markdown(report: dict[str, Any]) -> str:
    """The table: means over seeds, and each seed's relative gain in true coverage over its SFT start."""
    seeds = report["seeds"]
    lines = [
        "| system | seeds | decoding | true coverage | uniqueness | precision | F1 | valid tags | lines / true"
        " | CPU s |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    names = [s for s in SYSTEMS if any(s in seed["systems"] for seed in seeds)]
    for system in names:
        having = [seed for seed in seeds if system in seed["systems"]]
        cpu = sum(seed["cpu_seconds"][system] for seed in having) / len(having)
        for decoding in ("sampled", "greedy"):
            cells = []
            for metric in ("coverage", "uniqueness", "precision", "f1", "valid_tags", "ratio"):
                means = [_mean(seed["systems"][system][decoding][metric]) for seed in having]
                cells.append(f"{sum(means) / len(means):.3f}")
            lines.append(f"| {system} | {len(having)} | {decoding} | {' | '.join(cells)} | {cpu:.0f} |")
    lines.append("")
    for seed in seeds:
        if "sft" not in seed["systems"]:
            continue
        start = seed["systems"]["sft"]["sampled"]["coverage"]
        for system in (s for s in names if s != "sft" and s in seed["systems"]):
            new = seed["systems"][system]["sampled"]["coverage"]
            gain = compare(_keyed(new), _keyed(start), seed=seed["seed"])
            lines.append(
                f"- seed {seed['seed']}, {system} over sft: true coverage {_mean(start):.3f} -> {_mean(new):.3f} "
                f"({gain['relative']:+.0%}; difference {gain['difference']:+.3f}, "
                f"95% [{gain['low']:+.3f}, {gain['high']:+.3f}])"
            )
    return "\n".join(lines)


def headline(report: dict[str, Any]) -> dict[str, Any]:
    """Sampled answers of the start and of the default preset, the situations of all seeds together."""
    names = {"sft": "sft", "grpo": "overton"}
    metrics = ("coverage", "uniqueness", "precision")
    return {
        "systems": {
            shown: {
                f"oracle_{m}": interval([v for seed in report["seeds"] for v in seed["systems"][name]["sampled"][m]])
                for m in metrics
            }
            for shown, name in names.items()
        }
    }


def _keyed(values: list[float | None]) -> dict[str, float | None]:
    return {str(i): v for i, v in enumerate(values)}


def _mean(values: list[float | None]) -> float:
    return float(interval(values, resamples=100)["mean"])


if __name__ == "__main__":
    main()
