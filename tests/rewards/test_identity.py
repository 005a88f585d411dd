"""Two rewards that score alike have the same identity, and others another one."""

from __future__ import annotations

from pathlib import Path

import torch

from overton.estimator import SimilarityEstimator
from overton.rewards import OvertonReward
from overton.rewards.identity import identity
from overton.testing import tiny_encoder
from overton.types import Perspective, Situation


def test_what_decides_scores_decides_the_identity(tmp_path: Path) -> None:
    folder = tiny_encoder(tmp_path / "model")
    first = SimilarityEstimator.load(folder)
    known = identity(OvertonReward(first, threshold=0.7))
    assert known == identity(OvertonReward(SimilarityEstimator.load(folder, bf16=False), threshold=0.7))
    views = (Perspective("A", "it hurts"), Perspective("B", "it helps"))
    behind = [Situation(str(n), f"May I {n}?", views) for n in range(12)]
    others = [
        OvertonReward(first, threshold=0.8),
        OvertonReward(first, threshold=0.7, beta=0.5),
        OvertonReward(first, "op-grpo", threshold=0.7),
        OvertonReward(first, threshold=0.7, background=behind),
    ]
    found = {known, *map(identity, others)}
    with torch.no_grad():
        next(first.model.parameters()).add_(0.1)
    assert len(found | {identity(OvertonReward(first, threshold=0.7))}) == 6
