"""How much of what a policy learnt holds for situations of another kind?

    python benchmarks/transfer.py          # policies of runs/small-beats-big; figures into --out, table into the page
    python benchmarks/transfer.py --page   # the table alone

The policies of `small_beats_big.py` answer three kinds of situations: those of SFT, which had answers; those that GRPO
asks; and dev situations, each with a pair of a kind of act and a circumstance that no training situation has. The
oracle judges.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from headline.systems import OURS, START, SYSTEMS
from headline.train import Seed
from origin import made_by
from overton.data import read_situations
from overton.data.world.oracle import judge
from overton.evaluation.statistics import compare, interval
from overton.generation.session import Settings
from overton.generation.systems import Home, answers_of
from overton.jsonio import read_json, write_json
from overton.types import Situation
from pages import fill

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "results.md"
NAMES = (START, OURS, "big", "entropy", "determinant", "darling")
FIGURES = ("coverage", "precision", "f1", "set_f1")


def kinds_of(seed: Seed, count: int) -> dict[str, list[Situation]]:
    """Situations by what training did with them; the last of the training split are GRPO's alone."""
    train = read_situations(seed.run.path / "data" / "train.jsonl")
    asked = train[-seed.recipe.data.grpo_only :]
    dev = read_situations(seed.run.path / "data" / "dev.jsonl")
    return {"SFT's own": train[:count], "GRPO's own": asked[:count], "held-out pairs": dev[:count]}


def verdicts(seed: Seed, name: str, situations: Sequence[Situation]) -> dict[str, dict[str, float]]:
    """Figure -> situation -> value."""
    options = seed.recipe.generation
    settings = Settings(options.temperature, options.top_p, options.max_new_tokens, seed.recipe.seed)
    home = Home(seed.cache, seed.run.path, seed.recipe.policy.prompt_template)
    found = answers_of(SYSTEMS[name].section(seed.policies.path), situations, settings, home)
    by_id = {s.id: s for s in situations}
    judged = {f"{seed.recipe.seed}/{a.id}": judge(by_id[a.id], a.answer) for a in found.answers}
    return {figure: {key: getattr(v, figure) or 0.0 for key, v in judged.items()} for figure in FIGURES}


def measure(recipe: Path, runs: Path, seeds: Sequence[int], count: int) -> dict[str, Any]:
    """Figures of each kind and policy over all seeds, and how far OP-GRPO's F1 is above."""
    values: dict[str, dict[str, dict[str, dict[str, float]]]] = {}
    for number in seeds:
        seed = Seed(recipe, [f"seed={number}"], runs / f"seed-{number}")
        for kind, situations in kinds_of(seed, count).items():
            for name in NAMES:
                for figure, own in verdicts(seed, name, situations).items():
                    values.setdefault(kind, {}).setdefault(name, {}).setdefault(figure, {}).update(own)
    return {
        kind: {
            name: {figure: interval(list(own[figure].values())) for figure in FIGURES}
            | {"above": compare(policies[OURS]["f1"], own["f1"]) if name != OURS else None}
            for name, own in policies.items()
        }
        for kind, policies in values.items()
    }


def table(kinds: dict[str, Any]) -> list[str]:
    """One row a policy, its figures by kind of situation."""
    lines = [
        "| policy | situations | coverage | precision | F1 | F1 of sets | OP-GRPO's F1 less this one's |",
        "|---|---|---|---|---|---|---|",
    ]
    for name in NAMES:
        for kind, policies in kinds.items():
            own = policies[name]
            above = own["above"]
            gap = f"{above['difference']:+.3f} ({above['low']:+.3f} to {above['high']:+.3f})" if above else ""
            figures = " | ".join(f"{own[figure]['mean']:.3f}" for figure in FIGURES)
            lines.append(f"| {SYSTEMS[name].title} | {kind} | {figures} | {gap} |")
    return lines


def main() -> None:
    """Measure, or write the table from what was measured."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--recipe", type=Path, default=ROOT / "recipes" / "small-beats-big.yaml")
    parser.add_argument("--runs", type=Path, default=Path("runs/small-beats-big"))
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--count", type=int, default=300, help="situations of each kind and seed")
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks" / "results" / "transfer.json")
    parser.add_argument("--page", action="store_true", help="write the table from --out; then stop")
    options = parser.parse_args()
    if not options.page:
        kinds = measure(options.recipe, options.runs, options.seeds, options.count)
        write_json(options.out, made_by() | {"seeds": options.seeds, "situations": options.count, "kinds": kinds})
    fill(PAGE, "transfer", table(read_json(options.out)["kinds"]))


if __name__ == "__main__":
    main()
