"""Whether two ways give the same scores, and where the time goes."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import numpy as np

from overton.estimator import SimilarityEstimator
from overton.rewards import OvertonReward
from overton.rewards.near import near_texts
from overton.types import Group, Score

# The ladders' values in order; a step is one to the next.
_LADDERS = {"coverage_ladder": [0, 1, 2, 3, 4, 5], "uniqueness_ladder": [0, 0.4, 0.75, 1]}


def agreement(left: Sequence[Score], right: Sequence[Score]) -> dict[str, Any]:
    """How many rollouts have the same value, and how far the others are apart."""
    same, steps, most = 0, 0, 0.0
    for one, two in zip(left, right, strict=True):
        assert one.value is not None and two.value is not None
        difference = abs(one.value - two.value)
        same += difference < 1e-6
        most = max(most, difference)
        for name, ladder in _LADDERS.items():
            if name in one.terms:
                steps = max(steps, abs(ladder.index(one.terms[name]) - ladder.index(two.terms[name])))
    found = {"rollouts": len(left), "same": same, "largest_difference": most}
    return found | ({"ladder_steps": steps} if "coverage_ladder" in left[0].terms else {})


def profile(estimator: SimilarityEstimator, preset: str, groups: Sequence[Group]) -> dict[str, float]:
    """Shares of processor seconds: reading answers, masking and the like, rounded vectors, exact ones of what is near
    a threshold, matching."""
    reward = OvertonReward(estimator, preset)
    estimator.clear_cache()
    marks = [time.process_time()]
    plans = [reward.preset.plan(group) for group in groups]
    texts = [t for plan in plans for t in plan.texts]
    contexts = [c for plan in plans for c in plan.contexts]
    marks.append(time.process_time())
    alike = reward.preset.masks_alike
    if alike:
        estimator.preprocessing(texts, contexts)
    marks.append(time.process_time())
    rounded = estimator.encode(texts, contexts if alike else None, preprocess=alike)
    marks.append(time.process_time())
    fixed = reward.preset.threshold
    threshold = estimator.threshold if fixed is None else fixed
    cuts = np.cumsum([len(plan.texts) for plan in plans])[:-1]
    rows, places = (
        [plan.split(group, part) for plan, group, part in zip(plans, groups, np.split(whole, cuts), strict=True)]
        for whole in (rounded, np.arange(len(texts)))
    )
    _, again = near_texts(reward.preset, threshold, rows, places)
    marks.append(time.process_time())
    estimator.encode_exact([texts[i] for i in again], [contexts[i] for i in again] if alike else None, preprocess=alike)
    marks.append(time.process_time())
    for group, plan, own in zip(groups, plans, rows, strict=True):
        reward.preset.score(group, plan, own, threshold)
    marks.append(time.process_time())
    names = ("reading", "masking", "encoding", "near thresholds", "encoding again", "matching")
    seconds = np.diff(marks)
    if alike:
        seconds[2] -= seconds[1]  # what encodes prepares too
    return dict(zip(names, (seconds / seconds.sum()).tolist(), strict=True))
