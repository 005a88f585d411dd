"""What a union of samples brings a trained policy, and what bfloat16 saves when a model here is asked.

    python benchmarks/generation.py --run runs/quickstart   # measures and writes benchmarks/results/generation.json
    python benchmarks/generation.py --page                  # writes the tables of docs/generation.md from that file

The policies of a finished run of the quickstart answer its held-out situations, judged by the oracle. Weights of the
second part are random: its time does not depend on what they say. On a processor without bfloat16 the file keeps the
times that it has.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from origin import made_by
from overton.data import read_situations
from overton.estimator.open import DEFAULT_BASE
from overton.evaluation import score_answers
from overton.generation.session import Settings
from overton.generation.systems import Home, answers_of
from overton.generation.union import load_merger
from overton.jsonio import read_json, sha256, write_json
from overton.precision import has_fast_bf16
from overton.recipe import load_recipe
from overton.sections_generation import SystemSection
from pages import fill

ROOT = Path(__file__).resolve().parents[1]
RESULTS, PAGE = ROOT / "benchmarks" / "results" / "generation.json", ROOT / "docs" / "generation.md"
METRICS = ("oracle_coverage", "oracle_precision", "oracle_uniqueness", "oracle_f1", "tokens")
UNION: dict[str, Any] = {"model": "sft", "strategy": "parallel", "samples": 4}
# Vocabulary, width, layers, inner width, tokens written.
SIZES = ((5_000, 192, 3, 512, 24), (16_000, 384, 8, 1024, 24), (32_000, 512, 12, 2048, 24), (16_000, 896, 24, 4864, 8))


def measure_unions(run: Path, limit: int) -> dict[str, Any]:
    """Each policy alone, and unions of four samples of the SFT policy, in the oracle's eyes."""
    recipe = load_recipe(run / "recipe.yaml")
    situations = read_situations(run / "data" / "test.jsonl")[: limit or None]
    settings = Settings(max_tokens=recipe.generation.max_new_tokens)
    found: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as cache:
        home = Home(Path(cache), run, recipe.policy.prompt_template)

        def system(name: str, **keys: Any) -> dict[str, Any]:
            section = SystemSection(name=name, batch_size=100, **keys)
            answers = answers_of(section, situations, settings, home).answers
            summary = score_answers(answers, situations)["systems"][name]
            row = {metric: summary[metric] for metric in METRICS}
            row["written"] = sum(a.completion_tokens or 0 for a in answers) / len(answers)
            return row

        found["SFT"] = system("sft", model="sft")
        found["OP-GRPO"] = system("grpo", model="grpo")
        length = round(found["OP-GRPO"]["tokens"]["mean"])
        found["union of 4 SFT samples"] = system("union", **UNION)
        found[f"the same, at most {length} tokens"] = system("union-short", **UNION, union_tokens=length)
    weights = {policy: sha256(run / "training" / policy / "model")[:12] for policy in ("sft", "grpo")}
    encoder = {"base": DEFAULT_BASE, "threshold": load_merger("", None).threshold}
    return {
        "situations": len(situations),
        "seed": settings.seed,
        "weights": weights,
        "encoder": encoder,
        "systems": found,
    }


def measure_types(threads: int) -> list[dict[str, Any]]:
    """CPU seconds of generating with float32 and bfloat16 weights."""
    import torch
    from transformers import Qwen2Config, Qwen2ForCausalLM

    torch.set_num_threads(threads)
    rows = []
    for vocabulary, width, layers, inner, count in SIZES:
        torch.manual_seed(0)
        heads = width // 64
        config = Qwen2Config(
            vocab_size=vocabulary,
            hidden_size=width,
            num_hidden_layers=layers,
            intermediate_size=inner,
            num_attention_heads=heads,
            num_key_value_heads=heads // 2 if heads % 2 == 0 else 1,
            max_position_embeddings=2048,
        )
        model = Qwen2ForCausalLM(config).eval()
        prompts = torch.randint(0, vocabulary, (8, 150))
        row: dict[str, Any] = {"parameters": model.num_parameters(), "tokens": count}
        for name, dtype in (("float32", torch.float32), ("bfloat16", torch.bfloat16)):
            model = model.to(dtype)
            generate(model, prompts, 2)
            row[name] = round(min(generate(model, prompts, count) for _ in range(2)), 2)
        rows.append(row)
    return rows


def generate(model: Any, prompts: Any, count: int) -> float:
    """CPU seconds of writing so many tokens to each prompt."""
    import torch

    began = time.process_time()
    with torch.inference_mode():
        model.generate(prompts, max_new_tokens=count, min_new_tokens=count, do_sample=False)
    return time.process_time() - began


def union_table(result: dict[str, Any]) -> list[str]:
    """Systems and what the oracle finds, with 95% intervals."""
    lines = [
        "| system | true coverage | precision | uniqueness | F1 | tokens | tokens of all calls |",
        "|---|" + "---|" * 6,
    ]
    for name, row in result["systems"].items():
        cells = [f"{row[m]['mean']:.3f} ({row[m]['low']:.3f} to {row[m]['high']:.3f})" for m in METRICS[:-1]]
        lines.append(f"| {name} | {' | '.join(cells)} | {row['tokens']['mean']:.0f} | {row['written']:.0f} |")
    return lines


def type_table(rows: list[dict[str, Any]]) -> list[str]:
    """Sizes and CPU seconds."""
    lines = ["| parameters | tokens | float32, CPU s | bfloat16, CPU s | ratio |", "|---|---|---|---|---|"]
    for row in rows:
        ratio = row["float32"] / row["bfloat16"]
        size = f"{row['parameters'] / 1e6:.0f} million"
        lines.append(f"| {size} | {row['tokens']} | {row['float32']} | {row['bfloat16']} | {ratio:.1f} |")
    return lines


def write_page() -> None:
    """Put the tables between the markers of the page."""
    result = read_json(RESULTS)
    fill(PAGE, "unions", union_table(result["unions"]))
    fill(PAGE, "types", type_table(result["types"]))


def main() -> int:
    """Measure and write, or write the page alone."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--run", type=Path, help="a finished run of the quickstart")
    parser.add_argument("--limit", type=int, default=0, help="situations; 0 = all")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--page", action="store_true", help="only write the tables")
    options = parser.parse_args()
    if not options.page:
        if options.run is None:
            parser.error("--run is missing")
        result = {
            **made_by(),
            "threads": options.threads,
            "types": measure_types(options.threads) if has_fast_bf16("cpu") else read_json(RESULTS)["types"],
            "unions": measure_unions(options.run, options.limit),
        }
        write_json(RESULTS, result)
    write_page()
    return 0


if __name__ == "__main__":
    sys.exit(main())
