"""References of other situations, to tell a line that fits everything from one that answers its question."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from overton.errors import DataError
from overton.rewards.plan import Vectors
from overton.spelling import one_spelling
from overton.types import Situation

if TYPE_CHECKING:  # which imports this module
    from overton.rewards.reward import Encoder

NEIGHBOURS = 10
LARGEST_BACKGROUND = 500
# Lines of prose are about as near to references of other situations as the lowest tenth of those are to each other.
_USUAL = 0.1
# What is unlike everything, as gibberish is, would match almost anything without an end to how near it has to be.
_LEAST = -0.1


@dataclass(frozen=True)
class Background:
    """Encoded references of other situations.

    A line that fits everything is near to references of many situations. So what decides whether it matches is how much
    nearer it is to a reference of its own situation. It is what cross-domain similarity local scaling (CSLS; Conneau et
    al. 2018, arXiv 1710.04087, section 2.3) does for one of the two sides.

    Attributes:
        rows: (b, d) unit rows of references.
        situations: the situation of each, in one spelling.
        usual: how near these references are to those of other situations among them, the lowest tenth of it.
    """

    rows: Vectors
    situations: tuple[str, ...]
    usual: float

    @classmethod
    def of(cls, situations: Sequence[Situation], estimator: Encoder, count: int = LARGEST_BACKGROUND) -> Background:
        """Encode references.

        Args:
            situations: with references, best those of the training data; of more than ``count`` references so many are
                drawn, the same ones each time.
            estimator: of the reward.
            count: references at most.

        Raises:
            DataError: as :func:`draw_references` raises.
        """
        found = draw_references(situations, count)
        names = tuple(one_spelling(situation) for _, situation in found)
        encode = getattr(estimator, "encode_exact", estimator.encode)
        rows: Vectors = encode([text for text, _ in found], [situation for _, situation in found])
        own = np.array(names)
        near = [_nearness(rows[own == name] @ rows[own != name].T) for name in dict.fromkeys(names)]
        return cls(rows, names, float(np.quantile(np.concatenate(near), _USUAL)))

    def excess(self, rows: Vectors, situation: str) -> Vectors:
        """How much nearer than usual lines are to what is said of other situations: (n,) differences of cosines, -0.1
        at the least.

        Args:
            rows: (n, d) unit rows of the lines.
            situation: their own, however it is spelled; its references do not count.
        """
        mine = one_spelling(situation)
        cosines = rows @ self.rows.T
        cosines[:, [i for i, name in enumerate(self.situations) if name == mine]] = -1.0  # never among the ten largest
        return np.maximum(_nearness(cosines) - self.usual, _LEAST).astype(np.float32)


def draw_references(situations: Sequence[Situation], count: int = LARGEST_BACKGROUND) -> list[tuple[str, str]]:
    """References for a background, each with its situation.

    Args:
        situations: with references.
        count: references at most; of more so many are drawn, the same ones each time.

    Raises:
        DataError: something else than situations, fewer than 10 references, or all of one situation.
    """
    found = [(p.explanation, s.text) for s in _checked(situations) for p in s.perspectives if p.explanation.strip()]
    if len(found) > count:
        found = random.Random(0).sample(found, count)
    counts = Counter(one_spelling(situation) for _, situation in found)
    if len(found) - max(counts.values(), default=0) < NEIGHBOURS:
        raise DataError(
            f"a reward's background needs {NEIGHBOURS} references beside those of any one situation; found "
            f"{len(found)} of {len(counts)} situations. Give more situations with perspectives, or none"
        )
    return found


def _checked(situations: Any) -> list[Situation]:
    """The situations as a list.

    Raises:
        DataError: a path, or something else than situations.
    """
    if isinstance(situations, str | Path):
        raise DataError(
            f"a reward's background wants situations, found the path {str(situations)!r}; give "
            f"read_situations({str(situations)!r}) of overton.data, or name it in a settings file for load_reward"
        )
    items = list(situations) if isinstance(situations, Iterable) else [situations]
    wrong = next((item for item in items if not isinstance(item, Situation)), None)
    if wrong is not None or not isinstance(situations, Iterable):
        kind = type(situations if wrong is None else wrong).__name__
        raise DataError(f"a reward's background wants a list of situations (overton.types.Situation), found {kind}")
    return items


def _nearness(cosines: Vectors) -> Vectors:
    """Mean of the ten largest cosines of each row."""
    largest = np.partition(cosines, -NEIGHBOURS, axis=1)[:, -NEIGHBOURS:]
    return np.asarray(largest.mean(axis=1), dtype=np.float32)
