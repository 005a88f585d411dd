"""How often the 95% bootstrap interval of a difference leaves out 0 where there is none, by number of questions.

    python benchmarks/small_samples.py

Prints a row a number of questions: normal differences, and differences of two shares of three references. 5% would be
right. A few seconds on one thread.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from overton.evaluation.statistics import Array, bootstrap_bounds

TABLES = 2000  # without a difference, for each number of questions
RESAMPLES = 2000
BLOCK = 200  # tables with the same resamples
Draw = Callable[[np.random.Generator, tuple[int, int]], Array]


def normal(rng: np.random.Generator, shape: tuple[int, int]) -> Array:
    """Differences as tests like them."""
    return rng.normal(size=shape)


def shares(rng: np.random.Generator, shape: tuple[int, int]) -> Array:
    """Differences of the coverage of two systems alike."""
    return (rng.integers(0, 4, shape) - rng.integers(0, 4, shape)) / 3


def false_alarms(draw: Draw, questions: int) -> float:
    """Share of tables whose interval leaves out 0."""
    table = draw(np.random.default_rng(questions), (questions, TABLES))
    found = 0
    for start in range(0, TABLES, BLOCK):
        low, high = bootstrap_bounds(table[:, start : start + BLOCK], RESAMPLES, start)
        found += int(((low > 0) | (high < 0)).sum())
    return found / TABLES


if __name__ == "__main__":
    print("questions  normal  shares")
    for questions in (5, 10, 20, 30, 50, 100):
        print(f"{questions:9}  {false_alarms(normal, questions):6.1%}  {false_alarms(shares, questions):6.1%}")
