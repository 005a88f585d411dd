"""Optional terms of the preset ``overton``, each a number from 0 to 1 and each blind to what matches no reference.

That blindness is what keeps them honest: a line beside the point moves none of them up, and one that repeats neither
diversity nor novelty. Depth and faithfulness look at the segment that stands for each reference.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Sequence

import numpy as np

from overton.rewards.plan import Vectors
from overton.segment import keywords
from overton.spelling import run

# Keeps a determinant of near-copies above 0, so that it still tells two copies from three.
RIDGE = 1e-3


def log_det_diversity(rows: Vectors, covered: int) -> float:
    """How far apart the texts are: the determinant of their Gram matrix, ``exp(logdet(K) / k)``.

    No further row raises a determinant whose diagonal is 1, so with the same k a repetition cannot raise this. Where
    each text covers a reference of its own it is the geometric mean of the matrix' eigenvalues.

    Args:
        rows: (n, d) unit rows of the segments that match.
        covered: the references they cover, k, at least 1 where n is 2 or more.

    Returns:
        1 for orthogonal texts or a single one, near 0 when one repeats another. (Diversity by determinant: Kulesza
        and Taskar, Determinantal point processes for machine learning, 2012; a ridge of .001 is added.)
    """
    n = len(rows)
    if n < 2:
        return 1.0
    gram = rows.astype(np.float64) @ rows.T.astype(np.float64) + RIDGE * np.eye(n)
    _, value = np.linalg.slogdet(gram / (1 + RIDGE))
    return float(np.exp(min(0.0, value) / covered))


def novelty(covered: Sequence[Collection[int]], references: int) -> list[float]:
    """How much each answer of a group covers that its siblings do not.

    Args:
        covered: the references (indices) that each answer covers.
        references: their number m.

    Returns:
        One number an answer: the sum over its references of the share of siblings that miss it, divided by m. 0 for
        an answer without siblings.
    """
    siblings = len(covered) - 1
    if siblings < 1:
        return [0.0] * len(covered)
    count = Counter(r for own in covered for r in set(own))
    return [sum((siblings - (count[r] - 1)) / siblings for r in set(own)) / references for own in covered]


def depth(explanations: Sequence[str], prompt: str, full: int) -> float:
    """How far the explanations are worked out: their distinct words beside stop words and those of the prompt, as a
    share of ``full`` words, at most 1 each; the mean of all, 0 without any."""
    if not explanations:
        return 0.0
    given = keywords(prompt)
    return sum(min(1.0, len(keywords(text) - given) / full) for text in explanations) / len(explanations)


def faithfulness(segments: Vectors, summary: Vectors, threshold: float) -> float:
    """Whether a summary says what the perspectives say: harmonic mean of the share of segments that a sentence of it
    states and the share of its sentences that state a segment.

    Args:
        segments: (k, d) unit rows of the segments that count.
        summary: (s, d) unit rows of the summary's sentences.
        threshold: cosine from which two texts state the same.
    """
    if not len(segments) or not len(summary):
        return 0.0
    alike = segments @ summary.T >= threshold
    said, held = float(alike.any(axis=1).mean()), float(alike.any(axis=0).mean())
    return 2 * said * held / (said + held) if said and held else 0.0


# A word as a reader counts it, whatever stands between two; of scripts without spaces, two characters.
_UNSPACED = "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff\uff66-\uff9f"
_SPACED = run(rf"[^\W_{_UNSPACED}]")
_WORD = re.compile(rf"[{_UNSPACED}]{{1,2}}|{_SPACED}(?:['’][^\W\d_]{{1,2}}(?!\w))?")


def count_words(text: str) -> int:
    """Words of a text. Dots, dashes or line characters in place of spaces do not join them."""
    return sum(1 for _ in _WORD.finditer(text))


def excess_length(words: int, budget: int) -> float:
    """Words beyond the budget as a share of the budget, at most 1; 0 without a budget."""
    return min(1.0, max(0, words - budget) / budget) if budget else 0.0
