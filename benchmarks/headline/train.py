"""Training of one seed: data and estimator as the recipe's stages, then each policy as a part of its own.

A part is skipped when it is finished and was made from the same; otherwise it is made anew, or goes on from its last
checkpoint. So a change of one baseline's settings trains that one alone.
"""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from headline.rows import (
    Row,
    communities,
    community_rows,
    full_merger_rows,
    load_prompt,
    merger_rows,
    mixed_rows,
)
from headline.systems import COMMUNITIES, POLICIES, START, Policy
from overton.data.world.content import load_world
from overton.jsonio import read_json, read_jsonl, sha256, write_jsonl
from overton.pipeline import run_stages
from overton.progress import console
from overton.recipe import Recipe, load_recipe
from overton.rundir import RunDir
from overton.types import Situation


class Seed:
    """One seed's folder.

    Attributes:
        recipe: with the seed and what the command line changes.
        run: an ordinary run directory with ``data/`` and ``estimator/``, and ``rows/`` beside.
        policies: one folder a policy.
        answers: one folder a system.
        cache: replies.
    """

    def __init__(self, file: Path, overrides: list[str], folder: Path) -> None:
        self._file, self._overrides = file, overrides
        self.recipe = load_recipe(file, overrides)
        self.run = RunDir(folder)
        self.policies = RunDir(folder / "policies")
        self.answers = RunDir(folder / "answers")
        self.cache = folder / "llm"

    def _changed(self, policy: Policy) -> Recipe:
        """The recipe with the policy's own keys. An untuned estimator has the best threshold on dev pairs too."""
        own = list(policy.overrides)
        if policy.estimator == "untuned":
            measured = read_json(self.run.path / "estimator" / "benchmark.json")
            own.append(f"reward.overrides.threshold={measured['systems']['base']['threshold']}")
        return load_recipe(self._file, [*self._overrides, *own])

    def prepare(self) -> None:
        """Situations, SFT rows of everybody, and the estimator."""
        run_stages(self.recipe, self.run, "data", "estimator")
        prompts = {name: load_prompt(name).version for name in ("explicit", "modular")}
        made_from = {"sft": sha256(self.run.path / "data" / "sft.jsonl"), "prompts": prompts}
        part(self.run, "rows", made_from, self._write_rows)

    def _write_rows(self, folder: Path) -> None:
        rows = read_jsonl(self.run.path / "data" / "sft.jsonl")
        train = read_jsonl(self.run.path / "data" / "train.jsonl")
        situations = {s.id: s for s in map(Situation.from_json, train)}
        groups, seed = communities(load_world(), COMMUNITIES), self.recipe.seed

        def write(name: str, found: list[Row]) -> None:
            # No more than are trained on: the rest would only be turned to tokens.
            enough = math.ceil(POLICIES[name].share * len(rows))
            write_jsonl(folder / f"{POLICIES[name].rows}.jsonl", found[:enough])

        write(START, mixed_rows(rows, situations, seed))
        for n, labels in enumerate(groups, 1):
            write(f"community-{n}", community_rows(rows, situations, labels))
        write("merger", merger_rows(rows, groups))
        write("merger-full", full_merger_rows(rows, situations, groups, seed))

    def train(self, name: str) -> None:
        """Train a policy, and before it the one that it starts from."""
        policy = POLICIES[name]
        if policy.start:
            self.train(policy.start)
        recipe = self._changed(policy)
        training = recipe.training
        made_from: dict[str, Any] = {"seed": recipe.seed, "bf16": training.bf16, "policy": recipe.policy.deciding()}
        if policy.start:
            made_from["start"] = sha256(self.policies.stage(policy.start) / "model")
        if policy.rows:
            file = self.run.path / "rows" / f"{policy.rows}.jsonl"
            made_from |= {"rows": sha256(file), "share": policy.share, "sft": training.sft.deciding()}
            part(self.policies, name, made_from, lambda folder: self._sft(recipe, policy, file, folder))
            return
        made_from |= {
            "grpo": training.grpo.deciding(),
            "reward": recipe.reward.deciding(),
            "estimator": [policy.estimator, sha256(self.run.path / "estimator" / "calibration.json")],
            "situations": sha256(self.run.path / "data" / "train.jsonl"),
        }
        part(self.policies, name, made_from, lambda folder: self._grpo(recipe, policy, folder))

    def _sft(self, recipe: Recipe, policy: Policy, file: Path, folder: Path) -> None:
        from overton.training.sft import train_sft

        options = recipe.training.sft
        count = len(read_jsonl(self.run.path / "rows" / f"{POLICIES[START].rows}.jsonl"))
        whole = count / (options.batch_size * options.gradient_accumulation) * options.epochs
        start = self.policies.stage(policy.start) / "model" if policy.start else None
        train_sft(recipe, file, folder, max_steps=max(1, round(policy.share * whole)), start=start)

    def _grpo(self, recipe: Recipe, policy: Policy, folder: Path) -> None:
        from overton.training.grpo import train_grpo
        from overton.training.stage import grpo_situations

        start = self.policies.stage(policy.start) / "model"
        train_grpo(recipe, grpo_situations(recipe, self.run), start, self.estimator(policy.estimator), folder)

    def estimator(self, kind: str) -> Any:
        """The reward's estimator: as the recipe trains it, untuned, or trained and used without masking."""
        from overton.estimator import SimilarityEstimator

        if kind == "tuned":
            return SimilarityEstimator.load(self.run.path / "estimator")
        if kind == "untuned":
            return _untuned(self.recipe, self.run)
        other = RunDir(self.run.path / kind)
        if not other.path.exists():
            other.path.mkdir()
            os.symlink(Path("..") / "data", other.path / "data")
        recipe = load_recipe(self._file, [*self._overrides, "estimator.situation=ignore"])
        made_from = {"estimator": recipe.estimator.deciding(), "triplets": sha256(other.path / "data/triplets.jsonl")}
        part(other, "estimator", made_from, lambda folder: _train_estimator(recipe, other))
        return SimilarityEstimator.load(other.path / "estimator")


def part(run: RunDir, name: str, made_from: dict[str, Any], make: Callable[[Path], object]) -> None:
    """Make one part of a run, unless it is finished and made from the same."""
    if run.is_complete(name, made_from):
        return
    console.rule(f"{run.path.parent.name}: {name}", align="left")
    run.begin(name, made_from)
    wall, cpu = time.perf_counter(), time.process_time()
    make(run.stage(name))
    run.finish(name, time.perf_counter() - wall, time.process_time() - cpu)


def _train_estimator(recipe: Recipe, run: RunDir) -> None:
    from overton.estimator.stage import run as train

    train(recipe, run)


def _untuned(recipe: Recipe, run: RunDir) -> Any:
    """The base as it is, without a calibration."""
    from overton.estimator import SimilarityEstimator
    from overton.estimator.models import load_sentence_transformer, resolve_base

    section = recipe.estimator
    base = load_sentence_transformer(resolve_base(section.base), section.max_seq_length)
    tuned = SimilarityEstimator.load(run.path / "estimator")
    return SimilarityEstimator(base, tuned.preprocessing, bf16=section.bf16)
