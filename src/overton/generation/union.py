"""The union of several answers to one question: each perspective once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from overton.errors import ModelError, RecipeError
from overton.segment import OPENER, format_answer, layout, segment
from overton.types import Perspective

# n texts and the question of each -> (n, d), rows of length 1.
Encode = Callable[[Sequence[str], Sequence[str]], Any]


@dataclass(frozen=True, slots=True)
class Merger:
    """What finds near-duplicates.

    Attributes:
        encode: texts to unit vectors.
        threshold: cosine from which two perspectives are one.
    """

    encode: Encode
    threshold: float


def load_merger(encoder: str, threshold: float | None, run: Path | None = None) -> Merger:
    """A Sentence Transformer as merger.

    Args:
        encoder: folder or hub name; ``run`` = the estimator of the run, ``""`` = the untuned all-MiniLM-L6-v2.
        threshold: ``None`` = the encoder's calibrated one.
        run: the run's folder.

    Raises:
        ModelError: the encoder cannot be had, or has no calibration and no threshold is given.
        RecipeError: ``run``, and there is none.
    """
    from overton.estimator.open import open_estimator

    if encoder == "run" and run is None:
        raise RecipeError(
            "encoder: run is the estimator of a run, and there is none here; give its folder, or leave it out"
        )
    estimator, name = open_estimator(run if encoder == "run" else encoder or None)
    if threshold is None and estimator.calibration is None:
        raise ModelError(f"{name}: was never calibrated, so `threshold` must say which cosine makes two views one")
    return Merger(estimator.encode, estimator.threshold if threshold is None else threshold)


def merge(samples: Sequence[str], question: str, merger: Merger, budget: float) -> str:
    """The union of some answers, as one answer.

    A perspective joins the most similar one kept before it, when that is near enough. What more of the samples state
    comes first, then what is stated earlier; what no longer fits the budget is left out. Labelled perspectives are
    written in the template, others as a list. The summary is that of the sample with the most perspectives kept.

    Args:
        samples: answers; those that state nothing are passed over.
        question: what they answer.
        merger: finds near-duplicates.
        budget: characters of the union.

    Returns:
        The answer, ``""`` when no sample states anything. One perspective at least is kept.
    """
    owners, stated = [], []
    for number, text in enumerate(samples):
        for piece in segment(text):
            owners.append(number)
            stated.append(Perspective(piece.label, " ".join(piece.explanation.split())))
    if not stated:
        return ""
    homes = _homes([p.explanation or p.label for p in stated], question, merger)
    support = {kept: {owners[i] for i, home in enumerate(homes) if home == kept} for kept in set(homes)}
    order = sorted(support, key=lambda kept: (-len(support[kept]), kept))
    own = [owners[kept] for kept in order]
    summary = layout(samples[max(set(own), key=lambda sample: (own.count(sample), -sample))]).summary
    for count in range(len(order), 0, -1):
        answer = _written([stated[kept] for kept in order[:count]], summary)
        if len(answer) <= budget:
            break
    return answer


def _homes(texts: Sequence[str], question: str, merger: Merger) -> list[int]:
    """For each text the index of the kept one that says the same; its own when it is kept."""
    import numpy as np

    vectors = np.asarray(merger.encode(texts, [question] * len(texts)))
    cosines = vectors @ vectors.T
    kept: list[int] = []
    homes = []
    for index in range(len(texts)):
        near = max(kept, key=lambda other: cosines[index, other], default=None)
        if near is None or cosines[index, near] < merger.threshold:
            near = index
            kept.append(index)
        homes.append(near)
    return homes


def _written(perspectives: Sequence[Perspective], summary: str) -> str:
    labelled = all(p.label for p in perspectives)
    if labelled and summary:
        return format_answer(perspectives, summary)
    if labelled:
        return "\n".join(f"{OPENER} {p.label}, {p.explanation.rstrip('.')}." for p in perspectives)
    return "\n".join(f"- {p.label + ': ' if p.label else ''}{p.explanation}" for p in perspectives)
