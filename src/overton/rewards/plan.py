"""What a preset wants encoded for one group, before anything is encoded."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from overton.types import Group, Segment

Vectors = npt.NDArray[np.float32]


class Rows(NamedTuple):
    """Encoded rows of one group: of its references, of each answer's segments, of each answer's summary."""

    references: Vectors
    answers: list[Vectors]
    summaries: list[Vectors]


@dataclass(frozen=True, slots=True)
class Plan:
    """Texts of one group in one list: the references, the segments of each answer, the sentences of each summary.

    Attributes:
        texts: what to encode.
        contexts: the situation of each text.
        segments: the segments of each answer, in the order of ``texts``.
        summaries: number of summary sentences of each answer; empty when summaries are not looked at.
    """

    texts: list[str]
    contexts: list[str]
    segments: list[list[Segment]]
    summaries: list[int] = field(default_factory=list)

    def split(self, group: Group, rows: Vectors) -> Rows:
        """Encoded rows (n, d), in the order of ``texts``, to whom they belong."""
        start = len(group.references)
        parts: list[Vectors] = []
        for size in [*(len(found) for found in self.segments), *self.summaries]:
            parts.append(rows[start : start + size])
            start += size
        return Rows(rows[: len(group.references)], parts[: len(self.segments)], parts[len(self.segments) :])


def unscorable(group: Group, answer: str) -> str:
    """Why an answer cannot be scored at all, ``""`` when it can. An empty answer can: it covers nothing."""
    if not group.references:
        return "the situation has no reference perspectives"
    if any(not p.explanation.strip() for p in group.references):
        return "a reference perspective is empty"
    if not isinstance(answer, str):
        return f"the answer is {type(answer).__name__}, not text"
    return ""
