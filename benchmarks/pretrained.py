"""A pretrained model on real questions: before training, after SFT, after OP-GRPO, beside published systems.

    overton run recipes/smollm2-135m.yaml --until generation
    python benchmarks/pretrained.py runs/smollm2-135m --data DIR
    python benchmarks/pretrained.py --page     # the tables of benchmarks/results/pretrained.json into docs/real_text.md

DIR holds the published files under the names of benchmarks/realtext/data.py. Answers of published systems to the same
questions, as logged, stand beside the run's.

Two judges that the policy was not trained against: another encoder (--judge, by default the untuned all-mpnet-base-v2,
with the calibration that comes along), and benchmarks/realtext/matcher.py, which sees words and letters alone. The two
encoders were trained on much the same pairs, so their mistakes may be related; the words' are of another kind. The
reward's own encoder stands beside them, to show where they part.
"""

from __future__ import annotations

import argparse
import gzip
import json
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from origin import made_by
from overton.commands.comparing import compare_files
from overton.commands.comparing_files import join_saved, read_references, read_saved
from overton.commands.scoring_pairs import Evaluators
from overton.data import read_situations
from overton.evaluation.coverage import score_coverage, split_sentences
from overton.evaluation.statistics import compare_systems, intervals
from overton.jsonio import read_json, read_jsonl, write_json, write_jsonl
from pages import fill
from realtext.matcher import Matcher, labelled_pairs

ROOT = Path(__file__).resolve().parents[1]
RESULT, PAGE = ROOT / "benchmarks" / "results" / "pretrained.json", ROOT / "docs" / "real_text.md"
ENCODED = ("coverage", "precision", "f1", "uniqueness")
STEPS = ("reward", "terms/coverage", "completion_length", "seconds/step", "seconds/generation", "seconds/reward")
FORM = ("perspectives", "words", "valid_tags")
# Judge -> its name on the page.
JUDGES = {"judge": "another encoder", "words": "words and letters", "reward": "the reward's encoder"}
SYSTEMS = {
    "untrained": "untrained, asked implicitly",
    "untrained-explicit": "untrained, asked explicitly",
    "sft": "SFT",
    "grpo": "OP-GRPO",
}
AGAINST = ("sft", "untrained", "untrained-explicit")  # systems of the same model


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """Everything that the results file holds."""
    run, data = options.run, options.data
    references = run / "data" / "test.jsonl"
    with tempfile.TemporaryDirectory() as folder:
        files = sorted((run / "generation").glob("*.jsonl"))
        if found := logged(data, {s.text for s in read_situations(references)}):
            files.append(Path(folder) / "responses.jsonl")
            write_jsonl(files[-1], found)
        return judged(options, files, references)


def logged(data: Path, asked: set[str]) -> list[dict[str, Any]]:
    """Logged answers to these questions; a question of several files is taken from the first."""
    rows: dict[tuple[str, str], dict[str, Any]] = {}
    for path in sorted((data / "responses").glob("*.jsonl.gz")):
        with gzip.open(path, "rt", encoding="utf-8") as file:
            for row in map(json.loads, file):
                if row["prompt"] in asked:
                    rows.setdefault((row["system"], row["prompt"]), row | {"split": ""})
    return list(rows.values())


def judged(options: argparse.Namespace, files: list[Path], references: Path) -> dict[str, Any]:
    """Figures of the answers, by every judge, and what their training says of itself."""
    run, data = options.run, options.data
    found: dict[str, dict[str, Any]] = {}
    for name, estimator in (("judge", options.judge), ("reward", str(run))):
        whole = compare_files(files, references, Evaluators(estimator=estimator))
        found[name] = {
            "threshold": whole["threshold"],
            "systems": {
                system: {m: row[m] for m in (*ENCODED, *FORM) if m in row} for system, row in whole["systems"].items()
            },
            "comparisons": _wanted(whole["comparisons"]),
        }
    matcher = Matcher(
        labelled_pairs(data, "train"),
        [
            text
            for row in read_jsonl(run / "data" / "train.jsonl")
            for text in (p["explanation"] for p in row["perspectives"])
        ],
    )
    agreement = matcher.choose_threshold(labelled_pairs(data, "dev"))
    values = by_words(files, references, matcher)
    found["words"] = {
        "agreement": agreement,
        "systems": {
            system: intervals({m: list(column.values()) for m, column in columns.items()})
            for system, columns in values.items()
        },
        "comparisons": _wanted(compare_systems(values)),
    }
    rows = list(read_jsonl(run / "training" / "grpo" / "metrics.jsonl"))
    manifest = read_json(run / "training" / "manifest.json")
    return {
        **made_by(),
        "questions": len(read_jsonl(references)),
        "training": {
            "seconds": manifest.get("seconds"),
            "cpu_seconds": manifest.get("cpu_seconds"),
            "sft_loss": [row["loss"] for row in read_jsonl(run / "training" / "sft" / "metrics.jsonl")],
            **{key: [round(row[key], 4) for row in rows] for key in STEPS},
        },
        "judges": found,
    }


def _wanted(comparisons: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """OP-GRPO's against the systems of its own model."""
    wanted = [{"grpo", other} for other in AGAINST]
    return [row for row in comparisons if {row["a"], row["b"]} in wanted and row["metric"] in (*ENCODED, *FORM)]


def by_words(files: list[Path], references: Path, matcher: Matcher) -> dict[str, dict[str, dict[str, float | None]]]:
    """System -> metric -> question -> value, by words and letters."""
    saved = read_saved(files)
    pairs, _, _ = join_saved(saved, read_references(references))
    values: dict[str, dict[str, dict[str, float | None]]] = {}
    for index, situation in pairs:
        row = saved[index]
        said = list(row.sentences or (s.text for s in split_sentences(row.answer.answer)))
        stated = matcher.probabilities([p.explanation for p in situation.perspectives], said)
        score = score_coverage(stated, matcher.probabilities(said, said), matcher.threshold)
        own = values.setdefault(row.answer.system, {m: {} for m in ENCODED})
        for metric in ENCODED:
            own[metric][situation.id] = getattr(score, metric)
    return values


def tables(result: Mapping[str, Any]) -> dict[str, list[str]]:
    """Lines of the page's two tables, by name."""
    judges = result["judges"]
    order = [*(s for s in SYSTEMS if s in judges["judge"]["systems"])]
    order += sorted((s for s in judges["judge"]["systems"] if s not in SYSTEMS), key=lambda s: -_mean(judges, s))
    head = ["system", *(f"{m}, {JUDGES[j]}" for j in ("judge", "words") for m in ("coverage", "F1"))]
    head += ["uniqueness, another encoder", "coverage, the reward's encoder", "perspectives", "words", "valid tags"]
    cells = [("judge", "coverage", 3), ("judge", "f1", 3), ("words", "coverage", 3), ("words", "f1", 3)]
    cells += [
        ("judge", "uniqueness", 3),
        ("reward", "coverage", 3),
        ("judge", "perspectives", 1),
        ("judge", "words", 0),
    ]
    cells += [("judge", "valid_tags", 2)]
    lines = [f"| {' | '.join(head)} |", "|---" * len(head) + "|"]
    for system in order:
        row = [_cell(judges[j]["systems"].get(system, {}).get(m), digits) for j, m, digits in cells]
        lines.append(f"| {SYSTEMS.get(system, system)} | {' | '.join(row)} |")
    compared = ["| OP-GRPO less SFT | judge | difference | p |", "|---|---|---|---|"]
    for judge, shown in JUDGES.items():
        for row in judges[judge]["comparisons"]:
            if {row["a"], row["b"]} == {"grpo", "sft"} and row["metric"] in ("coverage", "f1", "uniqueness"):
                sign = 1 if row["a"] == "grpo" else -1
                low, high = sorted((sign * row["low"], sign * row["high"]))
                p = row["p_value"]
                compared.append(
                    f"| {row['metric'].replace('f1', 'F1')} | {shown} "
                    f"| {sign * row['difference']:+.3f} ({low:+.3f} to {high:+.3f}) "
                    f"| {'' if p is None else '< .001' if p < 0.001 else f'{p:.3f}'} |"
                )
    return {"pretrained": lines, "pretrained-differences": compared}


def _mean(judges: Mapping[str, Any], system: str) -> float:
    return float(judges["judge"]["systems"][system]["coverage"]["mean"] or 0)


def _cell(found: Mapping[str, Any] | None, digits: int) -> str:
    if not found or found["mean"] is None:
        return ""
    if digits < 3 or found["low"] is None:
        return f"{found['mean']:.{digits}f}"
    return f"{found['mean']:.{digits}f} ({found['low']:.{digits}f} to {found['high']:.{digits}f})"


def main() -> int:
    """Measure and write, or write the page alone."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path, nargs="?", help="run of recipes/smollm2-135m.yaml, generation included")
    parser.add_argument("--data", type=Path, help="folder of the published files")
    parser.add_argument("--judge", default="sentence-transformers/all-mpnet-base-v2", help="encoder that judges")
    parser.add_argument("--out", type=Path, default=RESULT)
    parser.add_argument("--page", action="store_true", help="only write the tables")
    options = parser.parse_args()
    torch.set_num_threads(1)
    if not options.page:
        if options.run is None or options.data is None:
            parser.error("a run and --data are wanted")
        write_json(options.out, measure(options))
        return 0
    for name, lines in tables(read_json(options.out)).items():
        fill(PAGE, name, lines)
    return 0


if __name__ == "__main__":
    sys.exit(main())
