"""Put one finished quickstart run into the README: its figure and its headline table.

    python benchmarks/publish_run.py runs/quickstart

Writes benchmarks/results/quickstart_run.json (headline figures, seconds of each stage, versions, recipe), the two
figures under docs/figures and the table between the result markers of README.md.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import yaml

from overton.report.figures import headline_figure
from overton.rundir import RunDir, read_json, versions, write_json, write_text

ROWS = {
    "oracle_coverage": "true coverage",
    "oracle_precision": "precision",
    "oracle_uniqueness": "uniqueness",
    "oracle_f1": "F1",
    "coverage": "coverage (independent evaluator)",
    "nli_mean": "NLI mean",
    "nli_accuracy": "NLI Accuracy@0.33",
    "perspective_ratio": "perspectives / true number",
    "valid_tags": "valid tags",
}
SYSTEMS = ("sft", "grpo", "sft-greedy", "grpo-greedy")


def main() -> None:
    """Read the run named on the command line and write the three things."""
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
    write_json(Path("benchmarks/results/quickstart_run.json"), result)
    for theme in ("light", "dark"):
        write_text(Path(f"docs/figures/quickstart-{theme}.svg"), headline_figure(summary, theme=theme))
    fill_readme(Path("README.md"), table(result))


def _is_headline(comparison: dict[str, Any]) -> bool:
    return (comparison["a"], comparison["b"]) == ("grpo", "sft") and comparison["metric"] in ROWS


def _times(run: RunDir, stage: str) -> dict[str, float]:
    manifest = run.manifest(stage) or {}
    return {key: manifest[key] for key in ("seconds", "cpu_seconds") if key in manifest}


def table(result: dict[str, Any]) -> str:
    """Markdown table of the systems, means over the held-out situations."""
    seed, total = result["recipe"]["seed"], sum(t.get("cpu_seconds", 0) for t in result["stages"].values())
    lines = [f"| | {' | '.join(SYSTEMS)} |", "|---" * (len(SYSTEMS) + 1) + "|"]
    for metric, name in ROWS.items():
        cells = [f"{result['systems'][s][metric]['mean']:.3f}" for s in SYSTEMS]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    lines += [
        "",
        f"One run, seed {seed}, {total / 60:.0f} CPU-minutes in all (`benchmarks/results/quickstart_run.json`).",
    ]
    return "\n".join(lines)


def fill_readme(path: Path, text: str) -> None:
    """Replace what stands between the result markers."""
    begin, end = "<!-- results:begin -->", "<!-- results:end -->"
    whole = path.read_text(encoding="utf-8")
    before, rest = whole.split(begin, 1)
    write_text(path, f"{before}{begin}\n{text}\n{end}{rest.split(end, 1)[1]}")


if __name__ == "__main__":
    main()
