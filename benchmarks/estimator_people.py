"""How far an estimator trained on labels of people agrees with people it was not trained on.

    python benchmarks/estimator_people.py --perspectrum DIR --argkp DIR --seeds 0 1 2

Trains `recipes/estimator.yaml` once a seed and measures the model as `overton estimator benchmark` does, on the dev
split, beside the untuned base. Finished runs are kept, so a killed benchmark goes on where it was, and so are other
seeds in the results file: seeds can be measured side by side, one thread each. `--table FILE` prints the table of a
results file.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path
from typing import Any

from overton.estimator import SimilarityEstimator
from overton.estimator.people import measure, read_labels
from overton.estimator.shipped import load_base
from overton.jsonio import read_json, write_json
from overton.pipeline import run_stages
from overton.recipe import load_recipe
from overton.rundir import RunDir, versions

# Title, and where the figure lies in what `measure` gives.
FIGURES = {
    "KPA strict mAP": ("argkp", "strict", "mean"),
    "KPA relaxed mAP": ("argkp", "relaxed", "mean"),
    "PERSPECTRUM AP, all pairs": ("perspectrum", "all", "average_precision", "mean"),
    "PERSPECTRUM AP, same stance": ("perspectrum", "same_stance", "average_precision", "mean"),
    "PERSPECTRUM AP, no paraphrases": ("perspectrum", "no_paraphrases", "average_precision", "mean"),
    "PERSPECTRUM F1": ("perspectrum", "all", "f1", "mean"),
    "calibration error, KPA": ("argkp", "calibration", "error"),
    "calibration error, PERSPECTRUM": ("perspectrum", "calibration", "error"),
}


def main() -> None:
    """Train and measure, or print a table that was measured before."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--recipe", type=Path, default=Path("recipes/estimator.yaml"))
    parser.add_argument("--perspectrum", type=Path, help="folder with PERSPECTRUM's files")
    parser.add_argument("--argkp", type=Path, help="folder with the files of Key Point Analysis 2021")
    parser.add_argument("--seeds", type=int, nargs="*", default=[0, 1, 2], help="none: the base alone")
    parser.add_argument("--set", dest="overrides", nargs="*", default=[], metavar="KEY=VALUE")
    parser.add_argument("--runs", type=Path, default=Path("runs/estimator_people"))
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results/estimator_people.json"))
    parser.add_argument("--table", type=Path, help="print the table of this results file and stop")
    options = parser.parse_args()
    if options.table:
        print(markdown(read_json(options.table)))
        return
    if not (options.perspectrum and options.argkp):
        parser.error("--perspectrum and --argkp are needed")
    labels = read_labels(options.argkp, options.perspectrum, "dev", ())
    paths = [f"data.parts.{name}.path={getattr(options, name)}" for name in ("perspectrum", "argkp")]
    recipe = load_recipe(options.recipe, [*paths, *options.overrides])
    base = load_base(recipe.estimator.base, max_seq_length=recipe.estimator.max_seq_length)
    systems: dict[str, Any] = {"base": [measure(base, labels)], "tuned": []}
    for seed in options.seeds:
        recipe = load_recipe(options.recipe, [*paths, *options.overrides, f"seed={seed}"])
        run = RunDir(options.runs / f"seed-{seed}")
        run_stages(recipe, run, "data", "estimator")
        tuned = SimilarityEstimator.load(run.path / "estimator", bf16=recipe.estimator.bf16)
        manifest = run.manifest("estimator") or {}
        cost = {name: manifest.get(name) for name in ("seconds", "cpu_seconds")}
        training = read_json(run.path / "estimator" / "benchmark.json")["training"]
        cost["threads"] = recipe.threads
        systems["tuned"].append({"seed": seed, **measure(tuned, labels), "cost": cost, "training": training})
    settings = recipe.model_dump(mode="json")
    earlier = _earlier(options.out, settings)
    others = [row for row in earlier["systems"]["tuned"] if row["seed"] not in options.seeds] if earlier else []
    systems["tuned"] = sorted([*others, *systems["tuned"]], key=lambda row: row["seed"])
    report = {
        "commands": [*(earlier["commands"] if earlier else []), "python " + " ".join(sys.argv)],
        "recipe": settings,
        "versions": versions(),
        "date": time.strftime("%Y-%m-%d"),
        "systems": systems,
    }
    write_json(options.out, report)
    print(markdown(report))


def _earlier(path: Path, settings: dict[str, Any]) -> dict[str, Any] | None:
    """The results file, when its data and estimator were those of this recipe; it may be older than some keys."""
    found = read_json(path) if path.exists() else None
    parts = ("data", "estimator")
    same = found and all(found["recipe"][p].get(k, v) == v for p in parts for k, v in settings[p].items())
    return found if same else None


def markdown(report: dict[str, Any]) -> str:
    """One row a figure: the untuned base, the mean over seeds, each seed."""
    seeds = report["systems"]["tuned"]
    lines = [f"| | untuned | tuned, mean of {len(seeds)} seeds | each seed |", "|---|---|---|---|"]
    for title, path in FIGURES.items():
        each = [_figure(row, path) for row in seeds]
        base = _figure(report["systems"]["base"][0], path)
        shown = ", ".join(f"{value:.3f}" for value in each)
        lines.append(f"| {title} | {base:.3f} | {sum(each) / len(each):.3f} | {shown} |")
    return "\n".join(lines)


def _figure(row: Any, path: tuple[str, ...]) -> float:
    for key in path:
        row = row[key]
    return float(row)


if __name__ == "__main__":
    main()
