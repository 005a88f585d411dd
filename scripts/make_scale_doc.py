"""Write the tables of docs/scale.md: estimates by the dry run of `overton train`, and what was measured.

python scripts/make_scale_doc.py            # rewrites what stands between the markers
python scripts/make_scale_doc.py --check    # exits with 1 when the page is out of date
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "scale.md"
MEASURED = ROOT / "benchmarks" / "results" / "two_processes.json"
# Recipe, changes of it, GPU, processes, sharding.
SETUPS: tuple[tuple[str, tuple[str, ...], str, int, str], ...] = (
    ("qwen2.5-3b-lora", (), "rtx4090", 1, "ddp"),
    ("qwen2.5-3b", ("policy.lora_rank=32",), "h100", 1, "ddp"),
    ("qwen2.5-3b", ("training.grpo.vllm_gpu_memory_utilization=0.3",), "h200", 1, "ddp"),
    ("qwen2.5-3b", (), "h100", 4, "fsdp2"),
    ("qwen2.5-3b", (), "h100", 4, "zero3"),
    ("qwen2.5-3b", (), "h100", 8, "fsdp2"),
    ("qwen3-8b-multinode", (), "h100", 32, "fsdp2"),
)
# What grows, and the key that makes it.
GROWTH = {
    "prompts a step": ("prompts_per_step", (256, 512, 1024, 2048)),
    "answers a prompt": ("num_generations", (4, 10, 20)),
    "tokens of an answer": ("max_completion_length", (400, 800, 1600)),
}


def main() -> int:
    """Rewrite the page, or check it.

    Returns:
        0, or 1 when the page was out of date and only a check was asked for.
    """
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--check", action="store_true", help="change nothing; exit with 1 when out of date")
    check = parser.parse_args().check
    os.environ["HF_HUB_OFFLINE"] = "1"  # before anything of the hub is imported: sizes come from the package
    new = refreshed(PAGE.read_text(encoding="utf-8"))
    stale = new != PAGE.read_text(encoding="utf-8")
    if stale and not check:
        PAGE.write_text(new, encoding="utf-8")
    if stale:
        print(f"{PAGE.name}: {'out of date; run python scripts/make_scale_doc.py' if check else 'rewritten'}")
    return int(check and stale)


def refreshed(text: str) -> str:
    """The page with its tables made anew.

    Raises:
        ValueError: a marker is missing.
    """
    for name, make in (("estimates", estimates), ("growth", growth), ("processes", processes)):
        begin, end = f"<!-- {name}:begin -->", f"<!-- {name}:end -->"
        if text.count(begin) != 1 or text.count(end) != 1:
            raise ValueError(f"{begin} and {end} must each occur once")
        text = text[: text.index(begin) + len(begin)] + f"\n{make()}\n" + text[text.index(end) :]
    return text


def planned(recipe: str, changes: tuple[str, ...], gpu: str, processes: int, sharding: Any) -> dict[str, Any]:
    """The dry run of a recipe on so many GPUs."""
    from overton.recipe import load_recipe
    from overton.rundir import RunDir
    from overton.training.dry_run import Setting, dry_run

    settings = load_recipe(ROOT / "recipes" / f"{recipe}.yaml", changes)
    return dry_run(settings, RunDir(ROOT / "runs" / "none"), Setting(processes, sharding, gpu))


def estimates() -> str:
    """A row a set-up: memory of a device and where it goes, and time."""
    head = ["recipe", "GPUs", "answers a step", "weights and states", "KL reference", "vLLM", "activations and logits"]
    head += ["whole, GB a GPU", "generation, s", "update, s", "steps", "hours", "checkpoint, GB"]
    lines = [_row(head), _row(["---"] * len(head))]
    for recipe, changes, gpu, processes, sharding in SETUPS:
        found = planned(recipe, changes, gpu, processes, sharding)
        grpo, time = found["memory"]["grpo"], found["time"]
        name = ", ".join([f"`{recipe}`", *(change.rpartition(".")[2] for change in changes if "rank" in change)])
        shares = [change.rpartition("grpo.")[2] for change in changes if "vllm" in change]
        name = ", ".join([name, *shares]).replace("=", " ")
        states = sum(grpo[k] for k in ("weights", "optimizer", "gradients", "buckets", "copies"))
        cells = [
            name,
            f"{processes} x {gpu}" + (f", {sharding}" if processes > 1 else ""),
            f"{found['grpo']['answers_per_step']:,}",
            f"{states:.1f}",
            f"{grpo['reference']:.1f}",
            f"{grpo['vllm']:.1f}",
            f"{grpo['activations'] + grpo['logits']:.1f}",
            f"{max(found['memory'][part]['total'] for part in ('sft', 'grpo')):.1f}",
            f"{time['generation_seconds']:,.0f}",
            f"{time['update_seconds']:,.0f}",
            found["grpo"]["steps"],
            f"{time['hours']:,.1f}",
            f"{found['disk']['checkpoint_gb']:.1f}",
        ]
        lines.append(_row(cells))
    return "\n".join(lines)


def growth() -> str:
    """A row a value of what grows, the rest as in the recipe."""
    head = ["what grows", "to", "answers a step", "tokens generated a step", "generation, s", "update, s", "GB a GPU"]
    lines = [_row(head), _row(["---"] * len(head))]
    for what, (key, values) in GROWTH.items():
        for value in values:
            found = planned("qwen2.5-3b", (f"training.grpo.{key}={value}",), "h100", 4, "fsdp2")
            cells = [
                what,
                f"{value:,}",
                f"{found['grpo']['answers_per_step']:,}",
                f"{found['grpo']['generated_tokens_per_step'] / 1e6:.1f} million",
                f"{found['time']['generation_seconds']:,.0f}",
                f"{found['time']['update_seconds']:,.0f}",
                f"{found['memory']['grpo']['total']:.1f}",
            ]
            lines.append(_row(cells))
    return "\n".join(lines)


def processes() -> str:
    """One process against two, from the results of benchmarks/two_processes.py."""
    sys.path.insert(0, str(ROOT / "benchmarks"))
    from overton.jsonio import read_json
    from two_processes import table

    report = read_json(MEASURED)
    return f"{table(report)}\n\nMade by `{report['command']}` on {report['date']}."


def _row(cells: list[Any]) -> str:
    return "| " + " | ".join(map(str, cells)) + " |"


if __name__ == "__main__":
    sys.exit(main())
