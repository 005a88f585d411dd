"""What the reward and the credit cost in a GRPO step, against the same step with a constant reward.

    python benchmarks/step_overhead.py --run runs/quickstart        # the quickstart's policy
    python benchmarks/step_overhead.py --references DIR --responses FILE   # a policy of 50 million parameters
    python benchmarks/step_overhead.py --page                       # the tables into docs/speed.md

Four trainers take turns in one process, two steps each, with the same prompts and random numbers: TRL's own GRPOTrainer
with a constant reward and with `op-grpo`, ours with a constant reward and with `overton` and credit per perspective.
Nothing is learnt (learning rate 0), so the policy stays the same for all. Seconds are those of processors.

The quickstart's policy writes its own answers, with its run's estimator. The larger policy has random weights: it
generates as many tokens as real answers of published systems have, and the reward and the update get those.
"""

from __future__ import annotations

import argparse
import shlex
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from overton.jsonio import read_json, write_json
from overton.rundir import versions
from pages import fill
from steps.parts import ConstantReward, StepClock, TimedReward, answer_ids, arguments, rows_of, written

ROOT = Path(__file__).resolve().parents[1]
RESULTS, PAGE = ROOT / "benchmarks" / "results" / "step_overhead.json", ROOT / "docs" / "speed.md"
BLOCK = 2  # steps of a trainer's turn
WAYS = ("TRL, constant", "TRL, op-grpo", "Overton, constant", "Overton, overton with credit")
PAIRS = ((WAYS[1], WAYS[0]), (WAYS[3], WAYS[2]), (WAYS[3], WAYS[0]))
# Within as many blocks as ways, each comes after each other one equally often (Williams, 1949). Those of one trainer do
# so between blocks too. What ran before decides what is compiled and cached: a second a turn after TRL's trainer.
ORDERS = {2: ((0, 1), (1, 0)), 4: ((0, 1, 3, 2), (2, 3, 1, 0), (1, 2, 0, 3), (3, 0, 2, 1))}


def trainers(
    load: Any,
    rows: Sequence[dict[str, Any]],
    estimators: Sequence[Any],
    settings: dict[str, Any],
    answers: Any,
    libraries: Sequence[str],
    folder: Path,
) -> dict[str, Any]:
    """One of each way, each with weights of its own.

    Args:
        load: gives a model and its tokenizer.
        rows: the data set.
        estimators: two, since each remembers the vectors it has seen.
        settings: of TRL.
        answers: of :func:`steps.parts.answer_ids`; ``None`` takes what the policy writes.
        libraries: ``trl``, ``overton`` or both.
        folder: what trainers and rewards write, for nobody.
    """
    from datasets import Dataset
    from transformers import PrinterCallback
    from trl import GRPOTrainer

    from overton.rewards import OvertonReward
    from overton.training.grpo import OpGrpoTrainer

    limit = settings["max_completion_length"]
    rewards = [
        ConstantReward(),
        TimedReward(OvertonReward(estimators[0], "op-grpo"), folder / "op-grpo", max_tokens=limit),
        ConstantReward(),
        TimedReward(OvertonReward(estimators[1], "overton"), folder / "overton", max_tokens=limit),
    ]
    found: dict[str, Any] = {}
    for way, reward in zip(WAYS, rewards, strict=True):
        if way.split(",")[0].lower() not in libraries:
            continue
        model, tokenizer = load()
        kind: Any = GRPOTrainer if way.startswith("TRL") else OpGrpoTrainer
        if answers is not None:
            kind = written(kind, answers)
        own: dict[str, Any] = {"reward_funcs": [reward]}
        if not way.startswith("TRL"):
            credit = 0.0 if isinstance(reward, ConstantReward) else 1.0
            own = {"reward": reward, "credit_weight": credit, "credit_discount": 0.9}
        trainer = kind(
            model=model,
            args=arguments(folder, **settings),
            train_dataset=Dataset.from_list(list(rows)),
            processing_class=tokenizer,
            **own,
        )
        trainer.clock = StepClock()
        trainer.timed = reward
        trainer.add_callback(trainer.clock)
        trainer.remove_callback(PrinterCallback)
        found[way] = trainer
    return found


def measure(found: dict[str, Any], blocks: int, keep: Callable[[dict[str, Any]], None]) -> None:
    """CPU seconds of each way's blocks; the first block of each is not counted.

    Args:
        found: trainers by way.
        blocks: to count.
        keep: gets the result so far after each block.
    """
    from transformers import set_seed

    from overton.training.trainers import settled_heap

    seconds: dict[str, list[float]] = {way: [] for way in found}
    rewards: dict[str, list[float]] = {way: [] for way in found}
    tokens: dict[str, list[float]] = {way: [] for way in found}
    with settled_heap():
        for block in range(blocks + 1):
            for place in ORDERS[len(found)][block % len(found)]:
                way = list(found)[place]
                trainer = found[way]
                trainer.args.max_steps = BLOCK
                trainer.args.seed = trainer.args.data_seed = block
                set_seed(block)
                steps = len(trainer.clock.seconds)
                calls = len(getattr(trainer.timed, "cpu", []))
                trainer.train()
                if not block:
                    continue
                seconds[way].append(round(sum(trainer.clock.seconds[steps:]), 4))
                rewards[way].append(round(sum(getattr(trainer.timed, "cpu", [])[calls:]), 4))
                logs = [row for row in trainer.state.log_history if "completions/mean_length" in row][-BLOCK:]
                tokens[way].append(float(np.mean([row["completions/mean_length"] for row in logs])))
            print(f"block {block} of {blocks}: " + ", ".join(f"{s[-1]:.2f}" for s in seconds.values() if s), flush=True)
            if block:
                keep(
                    {
                        "steps": block * BLOCK,
                        "cpu_seconds_of_blocks": seconds,
                        "cpu_seconds_of_reward": rewards,
                        "tokens": {way: round(float(np.mean(row)), 1) for way, row in tokens.items()},
                        "pairs": [ratio(seconds, *pair) for pair in PAIRS if set(pair) <= set(found)],
                    }
                )


def ratio(seconds: Mapping[str, Sequence[float]], above: str, below: str) -> dict[str, Any]:
    """Seconds of one way over those of another, with a 95% interval by the bootstrap over blocks (percentiles)."""
    over, under = np.array(seconds[above]), np.array(seconds[below])
    drawn = np.random.default_rng(0).integers(0, len(over), (10_000, len(over)))
    low, high = np.quantile(over[drawn].sum(1) / under[drawn].sum(1), [0.025, 0.975])
    return {
        "way": above,
        "against": below,
        "ratio": round(float(over.sum() / under.sum()), 4),
        "low": round(float(low), 4),
        "high": round(float(high), 4),
    }


def quickstart(
    run: Path, prompts: int, libraries: Sequence[str], folder: Path
) -> tuple[dict[str, Any], dict[str, Any]]:
    """The policy of a finished run of the quickstart after SFT, with its situations, settings and estimator."""
    from overton.data import read_situations
    from overton.estimator import SimilarityEstimator
    from overton.recipe import load_recipe
    from overton.training.policy import load_policy
    from overton.types import Group

    training = load_recipe(ROOT / "recipes" / "quickstart.yaml").training
    options = training.grpo
    per_step = prompts * options.num_generations
    settings = {
        "per_device_train_batch_size": per_step,
        "num_generations": options.num_generations,
        "max_completion_length": options.max_completion_length,
        "temperature": options.temperature,
        "gradient_checkpointing": training.gradient_checkpointing,
    }
    start = run / "training" / "sft" / "model"
    _, tokenizer = load_policy(start)
    groups = [Group(s.text, s.perspectives, ()) for s in read_situations(run / "data" / "train.jsonl")[-6000:]]
    estimators = [SimilarityEstimator.load(run / "estimator") for _ in range(2)]
    rows = rows_of(groups, tokenizer)
    found = trainers(lambda: load_policy(start, "float32"), rows, estimators, settings, None, libraries, folder)
    return found, describe(found, "the quickstart's", per_step)


def larger(
    references: Path, responses: Path, sizes: dict[str, int], libraries: Sequence[str], folder: Path
) -> tuple[dict[str, Any], dict[str, Any]]:
    """A policy with random weights, and real answers."""
    from overton.estimator import open_estimator
    from overton.sections_training import PolicySection
    from overton.training.policy import build_scratch_model
    from overton.training.tokenizer import train_tokenizer
    from speed.data import read_groups

    generations, prompts = sizes.pop("generations"), sizes.pop("prompts")
    limit = sizes.pop("tokens")
    groups = read_groups(references, responses, generations, seed=0)
    tokenizer = train_tokenizer((f"{g.prompt}\n{a}" for g in groups for a in g.answers), sizes["vocab_size"])
    policy = PolicySection(**sizes)

    def load() -> tuple[Any, Any]:
        return build_scratch_model(policy, tokenizer, 0), tokenizer

    settings = {
        "per_device_train_batch_size": generations * prompts,
        "num_generations": generations,
        "max_completion_length": limit,
    }
    answers = answer_ids(groups, tokenizer, limit)
    estimators = [open_estimator()[0] for _ in range(2)]
    found = trainers(load, rows_of(groups, tokenizer), estimators, settings, answers, libraries, folder)
    return found, describe(found, "random weights", generations * prompts)


def describe(found: dict[str, Any], policy: str, answers: int) -> dict[str, Any]:
    """What is measured."""
    trainer = next(iter(found.values()))
    return {
        "policy": policy,
        "precision": "bfloat16" if trainer.args.bf16 else "float32",
        "parameters": trainer.model.num_parameters(),
        "answers_a_step": answers,
    }


def table(results: dict[str, Any]) -> list[str]:
    """Ratios and what they come from."""
    lines = [
        "| policy | parameters | answers x tokens | steps | step of | against | CPU s a step | the reward | ratio |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for row in results.values():
        for pair in row["pairs"]:
            above, below = pair["way"], pair["against"]
            one, other = (sum(row["cpu_seconds_of_blocks"][way]) / row["steps"] for way in (above, below))
            reward = sum(row["cpu_seconds_of_reward"][above]) / sum(row["cpu_seconds_of_blocks"][above])
            lines.append(
                f"| {row['policy']}, {row['precision']} | {row['parameters'] / 1e6:.1f} million "
                f"| {row['answers_a_step']} x {row['tokens'][above]:.0f} | {row['steps']} "
                f"| {pair['way']} | {pair['against']} | {one:.2f} against {other:.2f} | {reward:.1%} "
                f"| {pair['ratio']:.3f} ({pair['low']:.3f} to {pair['high']:.3f}) |"
            )
    return lines


def main() -> int:
    """Measure what is asked for, keep what was measured before, write the page."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--run", type=Path, help="a finished run of the quickstart")
    parser.add_argument("--references", type=Path, help="folder with test_5p.csv, test_6p.csv and test_7p.csv")
    parser.add_argument("--responses", type=Path, help="logged answers, JSON lines, gzipped")
    parser.add_argument("--blocks", type=int, default=12, help=f"blocks of {BLOCK} steps of each trainer")
    parser.add_argument("--libraries", nargs="+", choices=["trl", "overton"], default=["trl", "overton"])
    parser.add_argument("--run-prompts", type=int, default=12, help="situations a step of the quickstart's policy")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--out", type=Path, default=RESULTS)
    parser.add_argument("--page", action="store_true", help="only write the table")
    sizes = {
        "hidden_size": 512,
        "layers": 12,
        "heads": 8,
        "kv_heads": 8,
        "intermediate_size": 2048,
        "vocab_size": 8000,
        "max_length": 512,
        "tokens": 256,
        "prompts": 2,
        "generations": 4,
    }
    for name, value in sizes.items():
        parser.add_argument(f"--{name.replace('_', '-')}", type=int, default=value, help="of the larger policy")
    options = parser.parse_args()
    report = read_json(options.out) if options.out.exists() else {"results": {}}
    command = {"command": shlex.join(["python", "benchmarks/step_overhead.py", *sys.argv[1:]])}
    if not options.page:
        import torch

        torch.set_num_threads(options.threads)
        report |= {"threads": options.threads, "versions": versions()}

        def keep(name: str, about: dict[str, Any], result: dict[str, Any]) -> None:
            report["results"][f"{name}, {about['precision']}"] = command | about | result
            write_json(options.out, report)

        with tempfile.TemporaryDirectory(prefix="step-overhead-") as folder:
            if options.run is not None:
                found, about = quickstart(options.run, options.run_prompts, options.libraries, Path(folder))
                measure(found, options.blocks, partial(keep, "quickstart", about))
            if options.references is not None:
                chosen = {name: getattr(options, name) for name in sizes}
                found, about = larger(options.references, options.responses, chosen, options.libraries, Path(folder))
                measure(found, options.blocks, partial(keep, "larger", about))
    if options.out == RESULTS:
        fill(PAGE, "step", table(report["results"]))
    return 0


if __name__ == "__main__":
    sys.exit(main())
