"""Rewards as published code computes them: for each rollout three calls of the encoder, in float32, nothing kept.

The arithmetic of the scores is ours, so that they can be compared.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from overton.estimator import SimilarityEstimator
from overton.estimator.encode import without_situation
from overton.estimator.preprocess import plain_layout
from overton.rewards import OvertonReward
from overton.types import Group, Score

Vectors = npt.NDArray[np.float32]


class _ThreeCalls:
    """An encoder that takes a rollout's references, and its segments once for coverage and once for uniqueness.

    Both rows of a segment are the same, since the model is; the second is computed and thrown away.
    """

    def __init__(self, estimator: SimilarityEstimator) -> None:
        self.estimator = estimator
        self.references = 0
        self.threshold = estimator.threshold
        self._last: tuple[str, Vectors] = "", np.zeros((0, 1), dtype=np.float32)

    def encode(
        self, texts: Sequence[str], contexts: Sequence[str] | None = None, *, preprocess: bool = True
    ) -> Vectors:
        """Unit rows (n, d)."""
        prepared = self.estimator.preprocessing(texts, contexts) if preprocess else list(texts)
        wanted, own = prepared[: self.references], prepared[self.references :]
        parts = [self._call(wanted), self._call(own)]
        self._call(own)
        rows = np.concatenate([part for part in parts if len(part)])
        share = self.estimator.preprocessing.subtract_situation
        if not (share and contexts and preprocess):
            return rows
        situation = self._situation(plain_layout(contexts[0]))
        return without_situation(rows, situation, np.full(len(rows), share))

    def _situation(self, text: str) -> Vectors:
        """(1, d), once a question: not even this way would encode it for every rollout."""
        if self._last[0] != text:
            self._last = text, self._call([text])
        return self._last[1]

    def _call(self, texts: list[str]) -> Vectors:
        if not texts:
            return np.zeros((0, 1), dtype=np.float32)
        rows = self.estimator.model.encode(
            texts, show_progress_bar=False, convert_to_numpy=True, normalize_embeddings=True
        )
        return np.asarray(rows, dtype=np.float32)


def score_naively(estimator: SimilarityEstimator, preset: str, groups: Sequence[Group]) -> list[list[Score]]:
    """Scores of every answer, one rollout at a time, in batches of 32 texts (the library's default)."""
    encoder = _ThreeCalls(estimator)
    reward = OvertonReward(encoder, preset)
    found = []
    for group in groups:
        encoder.references = len(group.references)
        found.append(
            [reward.score([Group(group.prompt, group.references, (answer,))])[0][0] for answer in group.answers]
        )
    return found
