"""What does a policy from nothing cost? Its tokens, and the iterations of its optimizer.

    python benchmarks/scratch_policy.py --sft NAME=runs/quickstart/training/sft ... --rows FILE
    python benchmarks/scratch_policy.py --page        # the tables of --out into docs/speed.md

For each finished SFT from the same rows: size of its vocabulary, tokens of a prompt and of an answer, and the loss of a
whole answer in nats over the last steps that were logged, which unlike the loss of a token can be compared between
vocabularies. Then the iterations of Muon over the matrices of a policy: plain, and by the way through the Gram matrix
that is taken in float32, in turns. CPU seconds, one thread.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from origin import made_by
from overton.jsonio import read_json, read_jsonl, write_json
from overton.precision import has_fast_bf16
from pages import fill

if TYPE_CHECKING:
    import torch

PAGE = Path("docs/speed.md")
LAST = 100  # logged steps
WIDTHS = (96, 128, 336)  # small-beats-big, quickstart, the big one of small-beats-big


def tokens(rows: list[dict[str, Any]], folder: Path) -> dict[str, float]:
    """Tokens and loss of one finished SFT."""
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folder / "model")
    prompt, answer = (
        sum(map(len, tokenizer([row[name] for row in rows])["input_ids"])) / len(rows)
        for name in ("prompt", "completion")
    )
    losses = [row["loss"] for row in read_jsonl(folder / "metrics.jsonl") if "loss" in row][-LAST:]
    learnt = answer + 1  # the end
    return {
        "vocabulary": len(tokenizer),
        "prompt": round(prompt, 2),
        "answer": round(learnt, 2),
        "nats": round(learnt * sum(losses) / len(losses), 3),
    }


def muon(width: int, rounds: int) -> dict[str, float]:
    """CPU milliseconds of orthogonalising the matrices of two layers, and how far the two ways are apart at most."""
    import torch

    from overton.training.optimizers import orthogonal

    torch.set_num_threads(1)
    torch.manual_seed(0)
    stacks = [torch.randn(8, width, width), torch.randn(4, 4 * width, width), torch.randn(2, width, 4 * width)]
    ways: dict[str, Callable[[torch.Tensor], torch.Tensor]] = {
        "plain": _plain,
        "overton": lambda stack: orthogonal(stack, _OPTIONS),
    }
    apart = max(float((_plain(stack) - ways["overton"](stack)).abs().max()) for stack in stacks)
    spent = dict.fromkeys(ways, 0.0)
    for _ in range(rounds):
        for name, way in ways.items():
            before = time.process_time()
            for stack in stacks:
                way(stack)
            spent[name] += time.process_time() - before
    return {"width": width, "apart": apart, **{name: round(1000 * s / rounds, 2) for name, s in spent.items()}}


_OPTIONS = {"ns_coefficients": (3.4445, -4.7750, 2.0315), "ns_steps": 5, "eps": 1e-7}  # torch.optim.Muon's


def _plain(matrices: torch.Tensor) -> torch.Tensor:
    """The iterations as torch.optim.Muon has them, for a stack and in float32."""
    import torch

    a, b, c = _OPTIONS["ns_coefficients"]
    high = matrices.shape[1] > matrices.shape[2]
    found = matrices.mT if high else matrices
    found = found / found.norm(dim=(1, 2), keepdim=True).clamp(min=_OPTIONS["eps"])
    for _ in range(_OPTIONS["ns_steps"]):
        gram = found @ found.mT
        found = torch.baddbmm(found, torch.baddbmm(gram, gram, gram, beta=b, alpha=c), found, beta=a)
    return found.mT if high else found


def tables(report: dict[str, Any]) -> tuple[str, str]:
    """Both tables in Markdown."""
    lines = ["| SFT | vocabulary | tokens a prompt | tokens an answer | nats an answer |", "|---|---|---|---|---|"]
    for name, row in report["tokens"].items():
        lines.append(f"| {name} | {row['vocabulary']:,} | {row['prompt']} | {row['answer']} | {row['nats']} |")
    steps = ["| width | plain iterations, float32, CPU ms | Overton, CPU ms | ratio | apart |", "|---|---|---|---|---|"]
    for row in report["muon"]:
        ratio = row["overton"] / row["plain"]
        steps.append(
            f"| {row['width']} | {row['plain']:.1f} | {row['overton']:.1f} | {ratio:.2f} | {row['apart']:.0e} |"
        )
    return "\n".join(lines), "\n".join(steps)


def main() -> None:
    """Measure, or write the page from what was measured."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=Path, default=Path("runs/quickstart/data/sft.jsonl"))
    parser.add_argument("--sft", nargs="+", default=["quickstart=runs/quickstart/training/sft"], metavar="NAME=FOLDER")
    parser.add_argument("--limit", type=int, default=20000, help="rows that are tokenized, at least")
    parser.add_argument("--rounds", type=int, default=30)
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results/scratch_policy.json"))
    parser.add_argument("--page", action="store_true", help="write the page from --out; then stop")
    options = parser.parse_args()
    if not options.page:
        rows = read_jsonl(options.rows)
        rows = rows[:: max(1, len(rows) // options.limit)]
        named = dict(item.split("=", 1) for item in options.sft)
        report = {
            **made_by(),
            "bfloat16": has_fast_bf16("cpu"),
            "tokens": {name: tokens(rows, Path(folder)) for name, folder in named.items()},
            "muon": [muon(width, options.rounds) for width in WIDTHS],
        }
        write_json(options.out, report)
        print(*tables(report), sep="\n\n")
        return
    for name, table in zip(("scratch-tokens", "scratch-muon"), tables(read_json(options.out)), strict=True):
        fill(PAGE, name, [table])


if __name__ == "__main__":
    main()
