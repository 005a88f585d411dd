"""What a preset wants encoded for one group, before anything is encoded."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from overton.segment import Layout
from overton.types import Group, Segment

Vectors = npt.NDArray[np.float32]


class Rows(NamedTuple):
    """Encoded rows of one answer.

    Attributes:
        references: (m, d) of the situation's.
        segments: (n, d) of the answer's.
        summary: (k, d) of the summary's sentences; none when summaries are not looked at.
        excess: (n,) what comes off each segment's cosines with references; ``None`` = nothing.
    """

    references: Vectors
    segments: Vectors
    summary: Vectors
    excess: Vectors | None = None

    def similarity(self) -> Vectors:
        """(m, n) cosines of references and segments, less what comes off."""
        cosines = self.references @ self.segments.T
        return cosines if self.excess is None else cosines - self.excess


@dataclass(frozen=True, slots=True)
class Plan:
    """Texts of one group in one list: the references, the segments of each answer, the sentences of each summary.

    Attributes:
        texts: what to encode.
        contexts: the situation of each text.
        segments: the segments of each answer, in the order of ``texts``.
        layouts: of each answer; empty where the preset does not look at them before it scores.
        summaries: number of summary sentences of each answer; empty when summaries are not looked at.
    """

    texts: list[str]
    contexts: list[str]
    segments: list[list[Segment]]
    layouts: list[Layout] = field(default_factory=list)
    summaries: list[int] = field(default_factory=list)

    def split(self, group: Group, rows: npt.NDArray[Any]) -> list[Rows]:
        """Rows (n, ...) of ``texts``, in their order, as those of each answer. No row is copied."""
        start = len(group.references)
        sizes = [*(len(found) for found in self.segments), *(self.summaries or [0] * len(self.segments))]
        stops = list(itertools.accumulate(sizes, initial=start))
        parts = [rows[first:last] for first, last in itertools.pairwise(stops)]
        count = len(self.segments)
        return [Rows(rows[:start], *own) for own in zip(parts[:count], parts[count:], strict=True)]


def unscorable(group: Group, answer: str) -> str:
    """Why an answer cannot be scored at all, ``""`` when it can. An empty answer can: it covers nothing."""
    if not group.references:
        return "the situation has no reference perspectives"
    if any(not p.explanation.strip() for p in group.references):
        return "a reference perspective is empty"
    if not isinstance(answer, str):
        return f"the answer is {type(answer).__name__}, not text"
    return ""
