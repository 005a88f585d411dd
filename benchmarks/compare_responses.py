"""`overton compare` on the saved answers of published systems, and how their ranking depends on the encoder.

    python benchmarks/compare_responses.py RESPONSES REFERENCES [--cache FILE] [--estimator FOLDER]
    python benchmarks/compare_responses.py --table

RESPONSES: the log of a published evaluation in JSON lines (`system`, `split`, `prompt`, `response_sentences`,
`logged`).
REFERENCES: folder with `test_SPLIT.csv`. `--estimator` adds a trained estimator (a run of `recipes/estimator.yaml`).
The second form prints the tables of docs/evaluation.md from the stored result. One thread.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from overton.jsonio import read_json, write_json
from overton.report.markdown import grid

RESULT = Path(__file__).parent / "results" / "compare_responses.json"
SIMILARITY = ("coverage", "precision", "f1", "coverage_at_references", "absolute_coverage")
PAPER = 0.7  # cosine of a match in OP-GRPO, arXiv 2602.20759
WORDS = 6  # of an example that the stored result keeps


def measure(responses: Path, references: Path, cache: Path | None, estimator: str | None) -> dict[str, Any]:
    """Everything that the stored result holds."""
    import torch

    from overton.commands.comparing import compare_files
    from overton.commands.comparing_files import join_saved, read_references, read_saved
    from overton.commands.scoring_pairs import Evaluators
    from overton.commands.scoring_similarity import item_of, similarity_rows
    from overton.estimator.open import open_estimator

    torch.set_num_threads(1)
    kept = cache is not None and cache.is_file()
    began = time.perf_counter(), time.process_time()
    whole = compare_files([responses], references, Evaluators(cache_file=cache))
    seconds = {
        "wall": round(time.perf_counter() - began[0]),
        "cpu": round(time.process_time() - began[1]),
        "vectors_from_cache": kept,
    }
    threshold = whole["threshold"]["value"]
    variants = {"base, labels stripped": _shares(whole["systems"])}
    thresholds: dict[str, float] = {"base, labels stripped": threshold}
    saved = read_saved([responses])
    pairs, _, _ = join_saved(saved, read_references(references))
    tuned = cache.with_suffix(".tuned") if cache else None
    encoders = {"base": (None, cache), "tuned": (estimator, tuned)} if estimator else {"base": (None, cache)}
    for name, (folder, file) in encoders.items():
        encoder, _ = open_estimator(folder, cache_file=file)
        cleaning = encoder.preprocessing
        for keep in (False, True):
            encoder.preprocessing = replace(cleaning, strip_label=cleaning.strip_label and not keep)
            items = [item_of(saved[i].answer, s, saved[i].sentences, keep_labels=keep) for i, s in pairs]
            for cosine in (encoder.threshold, PAPER) if name == "base" else (encoder.threshold,):
                shown = f"{name}, labels {'kept' if keep else 'stripped'}" + (", at 0.70" if cosine == PAPER else "")
                rows = similarity_rows(encoder, items, cosine)
                owners = [saved[i].answer.system for i, _ in pairs]
                variants[shown], thresholds[shown] = _means(owners, rows, whole["systems"]), cosine
    variants["as logged"] = _logged(responses, references)
    compared = [row for row in whole["comparisons"] if row["metric"] in ("coverage", "precision", "f1")]
    return {
        "command": "overton compare responses/responses_5p_7p.jsonl.gz --references op_bench",
        "seconds": seconds,
        "threshold": whole["threshold"],
        "thresholds": thresholds,
        "settings": {k: v for k, v in whole["settings"].items() if k not in ("files", "references")},
        "answers": whole["answers"],
        "systems": whole["systems"],
        "splits": {
            kind: {group: {name: _main(own) for name, own in of.items()} for group, of in groups.items()}
            for kind, groups in whole["splits"].items()
        },
        "coverage_at_k": whole["coverage_at_k"],
        "comparisons": compared,
        "family": sum(row["p_holm"] is not None for row in whole["comparisons"]),
        "faults": {s: {f: _brief(row) for f, row in own.items()} for s, own in whole["faults"].items()},
        "variants": variants,
        "agreement": _agreement(variants),
    }


def _main(scores: Mapping[str, Any]) -> dict[str, Any]:
    return {m: scores[m] for m in SIMILARITY}


def _shares(systems: Mapping[str, Any]) -> dict[str, dict[str, float]]:
    return {s: {m: round(own[m]["mean"], 4) for m in SIMILARITY} for s, own in systems.items()}


def _means(owners: Sequence[str], rows: Sequence[Mapping[str, Any]], systems: Iterable[str]) -> dict[str, Any]:
    """Means without intervals; what could not be scored is left out, as there."""
    found = {}
    for system in systems:
        own = [row for owner, row in zip(owners, rows, strict=True) if owner == system]
        values = {m: [row[m] for row in own if row[m] is not None] for m in SIMILARITY}
        found[system] = {m: round(sum(v) / len(v), 4) for m, v in values.items()}
    return found


def _logged(responses: Path, references: Path) -> dict[str, dict[str, float]]:
    """Coverage as the log has it, by the encoder that the OP-GRPO systems were trained against."""
    from overton.estimator.logged import read_logged

    shares: dict[str, list[float]] = {}
    for answer in read_logged(responses, references):
        shares.setdefault(answer.system, []).append(answer.logged)
    means = {s: sum(own) / len(own) for s, own in shares.items()}
    return {s: {"coverage": round(means[s], 4)} for s in sorted(means, key=lambda s: -means[s])}


def _agreement(variants: Mapping[str, Mapping[str, Mapping[str, float]]]) -> dict[str, dict[str, float]]:
    """Kendall's tau of the systems' means with those of the first variant."""
    from scipy.stats import kendalltau

    first = next(iter(variants.values()))
    found: dict[str, dict[str, float]] = {}
    for name, own in variants.items():
        for metric in ("coverage", "f1"):
            if all(metric in own[s] for s in first):
                tau = kendalltau([first[s][metric] for s in first], [own[s][metric] for s in first]).statistic
                found.setdefault(name, {})[metric] = round(float(tau), 3)
    return found


def _brief(row: Mapping[str, Any]) -> dict[str, Any]:
    words = row["example"].split()
    cut = words[-WORDS:] if row["example"].startswith("...") else words[:WORDS]
    return {"answers": row["answers"], "of": row["of"], "example": " ".join(cut)}


def print_tables(result: Mapping[str, Any]) -> None:
    """The tables of docs/evaluation.md."""
    shown = ("f1", "coverage", "precision", "coverage_at_references", "absolute_coverage", "vendi", "units", "words")
    heads = ("F1", "coverage", "precision", "coverage at R", "fully covered", "Vendi", "sentences", "words")
    rows = [
        [s, str(result["answers"][s]["with_references"]), *(_score(own[m], m in SIMILARITY) for m in shown)]
        for s, own in result["systems"].items()
    ]
    print(grid(["system", "n", *heads], rows), end="\n\n")
    groups = result["splits"]["references"]
    rows = [
        [
            s,
            *(
                f"{100 * own[s]['f1']['mean']:.1f} / {100 * own[s]['coverage_at_references']['mean']:.1f}"
                if s in own
                else ""
                for own in groups.values()
            ),
        ]
        for s in result["systems"]
    ]
    print(grid(["F1 / coverage at R", *groups], rows), end="\n\n")
    names = list(result["variants"])
    rows = [
        [s, *(f"{100 * own[s].get('f1', own[s]['coverage']):.1f}" for own in result["variants"].values())]
        for s in result["systems"]
    ]
    print(grid(["system", *names], rows), end="\n\n")
    print(grid(["variant", "threshold", "tau of coverage", "tau of F1"], [_tau(result, n) for n in names]), end="\n\n")
    faults = list(dict.fromkeys(f for own in result["faults"].values() for f in own))
    rows = [[s, *(str(own[f]["answers"]) if f in own else "0" for f in faults)] for s, own in result["faults"].items()]
    print(grid(["system", *(f.replace("_", " ") for f in faults)], rows))


def _tau(result: Mapping[str, Any], name: str) -> list[str]:
    tau = result["agreement"][name]
    value = result["thresholds"].get(name)
    return [
        name,
        "" if value is None else f"{value:.3f}",
        *(f"{tau[m]:.2f}" if m in tau else "" for m in ("coverage", "f1")),
    ]


def _score(score: Mapping[str, Any], share: bool) -> str:
    if not share:
        return f"{score['mean']:.1f}"
    return f"{100 * score['mean']:.1f} ({100 * score['low']:.1f}–{100 * score['high']:.1f})"


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("responses", type=Path, nargs="?")
    parser.add_argument("references", type=Path, nargs="?")
    parser.add_argument("--cache", type=Path)
    parser.add_argument("--estimator")
    parser.add_argument("--table", action="store_true")
    options = parser.parse_args()
    if not options.table:
        if options.references is None:
            parser.error("RESPONSES and REFERENCES are wanted, or --table")
        write_json(RESULT, measure(options.responses, options.references, options.cache, options.estimator))
    print_tables(read_json(RESULT))


if __name__ == "__main__":
    main()
