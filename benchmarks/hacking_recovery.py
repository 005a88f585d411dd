"""Does a policy that cheats drift back to honest answers when the reward is `overton`?

    python benchmarks/hacking_recovery.py --run runs/quickstart --runs runs/recovery

Takes the SFT policy of a run of the bundled world and fine-tunes it on answers that cheat (attacks of
benchmarks/hacking, one drawn for each answer), until it cheats by itself. From there OP-GRPO goes on with the run's own
recipe. Answers of the three policies to held-out situations are judged by the world's oracle, which shares nothing with
the reward. Finished parts are kept, so a killed benchmark goes on where it was. `--table FILE` prints the table of a
results file.
"""

from __future__ import annotations

import argparse
import random
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from hacking.attacks import ATTACKS
from hacking.case import Case, Draft, Line
from hacking.sources import loot_of
from origin import made_by
from overton.data.world.oracle import judge
from overton.evaluation.statistics import compare, interval
from overton.jsonio import read_json, read_jsonl, write_json, write_jsonl
from overton.recipe import Recipe, load_recipe
from overton.rundir import RunDir
from overton.segment import layout, segment
from overton.types import Situation

CHEATS = ("repeat-lines", "repeat-first", "dump-few-added")
METRICS = ("coverage", "precision", "uniqueness", "f1", "repeated", "irrelevant", "valid_tags", "lines")
_TITLES = {"sft": "SFT", "cheat": "taught to cheat"}


def main() -> None:
    """Train and measure, or print a table that was measured before."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--run", type=Path, default=Path("runs/quickstart"), help="a finished run of the bundled world")
    parser.add_argument("--cheats", nargs="+", choices=sorted(ATTACKS), default=list(CHEATS), metavar="ATTACK")
    parser.add_argument("--rows", type=int, default=8000, help="cheating answers to fine-tune on, each seen once")
    parser.add_argument("--steps", type=int, default=0, help="of OP-GRPO; 0 = as in the run's recipe")
    parser.add_argument("--presets", nargs="+", default=["overton"], help="a policy is trained with each")
    parser.add_argument("--limit", type=int, default=0, help="held-out situations; 0 = all")
    parser.add_argument("--set", dest="overrides", nargs="*", default=[], metavar="KEY=VALUE", help="of the recipe")
    parser.add_argument("--runs", type=Path, default=Path("runs/recovery"))
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results/hacking_recovery.json"))
    parser.add_argument("--table", type=Path, help="print the table of this results file and stop")
    options = parser.parse_args()
    if options.table:
        print(markdown(read_json(options.table)))
        return
    changes = [*options.overrides, *([f"training.grpo.steps={options.steps}"] if options.steps else [])]
    recipe = load_recipe(options.run / "recipe.yaml", changes)
    if recipe.threads:
        import torch

        torch.set_num_threads(recipe.threads)
    run = RunDir(options.run)
    models = {"sft": run.path / "training" / "sft" / "model"}
    seconds = {}
    models["cheat"], seconds["cheat"] = _cheat(recipe, run, options.runs / "cheat", options.cheats, options.rows)
    for preset in options.presets:
        models[preset], seconds[preset] = _recover(recipe, run, models["cheat"], options.runs / preset, preset)
    situations = [Situation.from_json(row) for row in read_jsonl(run.path / "data" / "test.jsonl")]
    situations = situations[: options.limit or None]
    report = {
        "overrides": options.overrides,
        "cheats": options.cheats,
        "rows": options.rows,
        "steps": recipe.training.grpo.steps,
        "situations": [s.id for s in situations],
        "cpu_seconds": seconds,
        "systems": {
            name: _measure(recipe, situations, model, options.runs / f"{name}.answers.json")
            for name, model in models.items()
        },
        **made_by(),
    }
    write_json(options.out, report)
    print(markdown(report))


def cheating_rows(rows: Sequence[dict[str, Any]], cheats: Sequence[str], seed: int) -> Iterator[dict[str, Any]]:
    """Each row with its answer attacked; one attack is drawn for each.

    Args:
        rows: of ``data/sft.jsonl``: ``id``, ``prompt`` and ``completion``.
        cheats: names of attacks.
        seed: decides which attack is drawn, and what it draws.
    """
    cases = []
    for row in rows:
        lines = tuple(Line(s.label, s.explanation) for s in segment(row["completion"]))
        cases.append(Case(row["id"], row["prompt"], (), Draft(lines, layout(row["completion"]).summary)))
    loot = loot_of(cases)
    rng = random.Random(f"{seed}/cheats")
    for row, case in zip(rows, cases, strict=True):
        made = ATTACKS[rng.choice(cheats)].make(replace(case, loot=loot), rng)
        if made is not None:
            yield {**row, "completion": made.text() if isinstance(made, Draft) else made}


def _cheat(recipe: Recipe, run: RunDir, folder: Path, cheats: Sequence[str], count: int) -> tuple[Path, float]:
    """Teach the run's SFT policy to cheat, or find it taught."""
    from overton.training.sft import train_sft

    def train() -> None:
        rows = read_jsonl(run.path / "data" / "sft.jsonl")
        drawn = random.Random(f"{recipe.seed}/recovery").sample(rows, min(count, len(rows)))
        write_jsonl(folder / "sft.jsonl", list(cheating_rows(drawn, cheats, recipe.seed)))
        start = run.path / "training" / "sft" / "model"
        options = recipe.training.sft
        steps = max(1, count // (options.batch_size * options.gradient_accumulation))
        train_sft(recipe, folder / "sft.jsonl", folder, max_steps=steps, start=start)

    return folder / "model", _once(folder, train)


def _recover(recipe: Recipe, run: RunDir, start: Path, folder: Path, preset: str) -> tuple[Path, float]:
    """OP-GRPO from the cheating policy, or find it done."""
    from overton.estimator import SimilarityEstimator
    from overton.training.grpo import train_grpo
    from overton.training.stage import grpo_situations

    def train() -> None:
        same = preset == recipe.reward.preset
        reward = {"preset": preset, "overrides": recipe.reward.overrides if same else {}}
        changed = recipe.model_copy(update={"reward": recipe.reward.model_copy(update=reward)})
        estimator = SimilarityEstimator.load(run.path / "estimator", data_set=recipe.reward.data_set)
        train_grpo(changed, grpo_situations(recipe, run), start, estimator, folder)

    return folder / "model", _once(folder, train)


def _once(folder: Path, train: Callable[[], None]) -> float:
    """Train unless it is done; returns the CPU seconds it took."""
    if not (folder / "cpu.json").exists():
        folder.mkdir(parents=True, exist_ok=True)
        started = time.process_time()
        train()
        write_json(folder / "cpu.json", {"cpu_seconds": round(time.process_time() - started, 1)})
        shutil.rmtree(folder / "checkpoints", ignore_errors=True)
    return float(read_json(folder / "cpu.json")["cpu_seconds"])


def _measure(recipe: Recipe, situations: list[Situation], model_folder: Path, kept: Path) -> dict[str, Any]:
    from overton.generation.sample import sample_answers
    from overton.training.policy import load_policy

    if not kept.exists():
        model, tokenizer = load_policy(model_folder)
        model.eval()
        options = recipe.generation
        rows = sample_answers(
            model,
            tokenizer,
            situations,
            template=recipe.policy.prompt_template,
            temperature=options.temperature,
            top_p=options.top_p,
            max_new_tokens=options.max_new_tokens,
            batch_size=options.batch_size,
            seed=recipe.seed,
        )
        write_json(kept, [row.answer for row in rows])
    return judged(situations, read_json(kept))


def judged(situations: Sequence[Situation], answers: Sequence[str]) -> dict[str, list[float | None]]:
    """What the oracle says of each answer: figures by name; ``None`` where an answer has no line."""
    found: dict[str, list[float | None]] = {name: [] for name in METRICS}
    for situation, answer in zip(situations, answers, strict=True):
        verdict = judge(situation, answer)
        count = len(verdict.segments)
        for name in ("coverage", "precision", "uniqueness", "f1"):
            found[name].append(getattr(verdict, name))
        for name, kinds in (("repeated", ("repeated",)), ("irrelevant", ("irrelevant", "unclear"))):
            found[name].append(sum(s.verdict in kinds for s in verdict.segments) / count if count else None)
        found["valid_tags"].append(float(layout(answer).valid))
        found["lines"].append(float(count))
    return found


def markdown(report: dict[str, Any]) -> str:
    """Means of each policy, and how far training moved each figure, with its interval."""
    systems = report["systems"]
    lines = [f"| policy | {' | '.join(METRICS)} | CPU s |", "|---" * (len(METRICS) + 2) + "|"]
    for name, values in systems.items():
        cells = [f"{interval(values[metric], resamples=100)['mean'] or 0.0:.3f}" for metric in METRICS]
        title = _TITLES.get(name, f"then {report['steps']} steps with `{name}`")
        lines.append(f"| {title} | {' | '.join(cells)} | {report['cpu_seconds'].get(name, 0):.0f} |")
    lines.append("")
    for name in (n for n in systems if n not in _TITLES):
        for metric in METRICS:
            after, before = (dict(zip(report["situations"], systems[n][metric], strict=True)) for n in (name, "cheat"))
            moved = compare(after, before)
            if moved["low"] is not None:
                lines.append(
                    f"- {metric}, `{name}` over cheating: {moved['difference']:+.3f} "
                    f"(95% [{moved['low']:+.3f}, {moved['high']:+.3f}])"
                )
    return "\n".join(lines)


if __name__ == "__main__":
    main()
