"""Publish what one finished quickstart run gave and took.

    python benchmarks/publish_run.py runs/quickstart

Writes benchmarks/results/quickstart_run.json, or quickstart_run_bf16.json where the machine multiplies in bfloat16:
headline figures, seconds of each stage, versions, recipe.
"""

from __future__ import annotations

import sys
from pathlib import Path

import yaml

from overton.jsonio import read_json, write_json
from overton.precision import has_fast_bf16
from overton.rundir import RunDir, versions

ROWS = {
    "oracle_coverage": "true coverage",
    "oracle_precision": "precision",
    "oracle_uniqueness": "uniqueness",
    "oracle_f1": "F1",
    "oracle_set_f1": "F1 of sets",
    "coverage": "coverage (independent evaluator)",
    "nli_mean": "NLI mean",
    "nli_accuracy": "NLI Accuracy@0.33",
    "perspective_ratio": "perspectives / true number",
    "valid_tags": "valid tags",
}
SYSTEMS = ("sft", "grpo", "sft-greedy", "grpo-greedy")


def main() -> None:
    """Read the run named on the command line and write the file."""
    if len(sys.argv) != 2:
        raise SystemExit("usage: python benchmarks/publish_run.py RUN_DIR")
    run = RunDir(Path(sys.argv[1]))
    summary = read_json(run.path / "evaluation" / "summary.json")
    result = {
        "command": "overton run recipes/quickstart.yaml",
        "recipe": yaml.safe_load((run.path / "recipe.yaml").read_text(encoding="utf-8")),
        "versions": versions(),
        "stages": {name: _times(run, name) for name in ("data", "estimator", "training", "generation", "evaluation")},
        "systems": {s: {row: summary["systems"][s][row] for row in ROWS} for s in SYSTEMS},
        "comparisons": [
            c for c in summary["comparisons"] if (c["a"], c["b"]) == ("grpo", "sft") and c["metric"] in ROWS
        ],
    }
    name = "quickstart_run_bf16" if has_fast_bf16("cpu") else "quickstart_run"
    write_json(Path(f"benchmarks/results/{name}.json"), result)


def _times(run: RunDir, stage: str) -> dict[str, float]:
    manifest = run.manifest(stage) or {}
    return {key: manifest[key] for key in ("seconds", "cpu_seconds") if key in manifest}


if __name__ == "__main__":
    main()
