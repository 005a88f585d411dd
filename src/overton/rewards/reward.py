"""One reward object for every trainer: groups in, scores out."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from overton.errors import RecipeError
from overton.rewards.op_grpo import OpGrpoPreset
from overton.rewards.overton import OvertonPreset
from overton.types import Group, Score

Vectors = npt.NDArray[np.float32]
PRESETS: dict[str, type[OpGrpoPreset] | type[OvertonPreset]] = {
    "overton": OvertonPreset,
    "op-grpo": OpGrpoPreset,
}


class Encoder(Protocol):
    """What the reward needs of an estimator; :class:`overton.estimator.SimilarityEstimator` has it."""

    @property
    def threshold(self) -> float:
        """Cosine from which two texts state the same perspective."""

    def encode(
        self, texts: Sequence[str], contexts: Sequence[str] | None = None, *, preprocess: bool = True
    ) -> Vectors:
        """Unit rows (n, d). ``contexts`` are the situations whose words are masked; without ``preprocess``
        the texts are taken as they are."""


class OvertonReward:
    """Scores groups of answers with a preset.

    Args:
        estimator: similarity estimator, calibrated unless ``threshold`` is overridden.
        preset: ``"overton"`` (default) or ``"op-grpo"`` (the paper's arithmetic).
        overrides: fields of the preset, for example ``beta=0.5``.

    Raises:
        RecipeError: unknown preset or field.
    """

    def __init__(self, estimator: Encoder, preset: str = "overton", **overrides: Any) -> None:
        self.estimator = estimator
        self.preset = make_preset(preset, overrides)

    def score(self, groups: Sequence[Group]) -> list[list[Score]]:
        """Score every answer of every group; all texts are encoded in one call.

        Returns:
            One list a group, one :class:`~overton.types.Score` an answer, in order. An answer that cannot be
            scored has ``value=None`` and a reason.
        """
        plans = [self.preset.plan(group) for group in groups]
        texts: list[str] = []
        contexts: list[str] = []
        for plan in plans:
            texts += plan.texts
            contexts += plan.contexts
        if texts:
            alike = self.preset.masks_alike
            rows = self.estimator.encode(texts, contexts if alike else None, preprocess=alike)
        else:
            rows = np.zeros((0, 1), dtype=np.float32)
        fixed = self.preset.threshold
        threshold = self.estimator.threshold if fixed is None else fixed
        scores = []
        start = 0
        for group, plan in zip(groups, plans, strict=True):
            stop = start + len(plan.texts)
            scores.append(self.preset.score(group, plan, rows[start:stop], threshold))
            start = stop
        return scores


def make_preset(name: str, overrides: dict[str, Any]) -> OpGrpoPreset | OvertonPreset:
    """The preset with some fields replaced.

    Raises:
        RecipeError: unknown preset or field, or a value of the wrong type.
    """
    if name not in PRESETS:
        raise RecipeError(f"reward.preset: unknown preset {name!r}; known: {', '.join(PRESETS)}")
    defaults = {f.name: f.default for f in dataclasses.fields(PRESETS[name])}
    for key, value in overrides.items():
        if key not in defaults:
            raise RecipeError(
                f"reward.overrides.{key}: preset {name!r} has no such field; known: {', '.join(sorted(defaults))}"
            )
        number = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
        if not number and not (value is None and defaults[key] is None):
            raise RecipeError(f"reward.overrides.{key}: a number is wanted, found {value!r}")
    return PRESETS[name](**overrides)
