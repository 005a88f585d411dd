"""What a preset wants encoded for one group, before anything is encoded."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from overton.types import Group, Segment


@dataclass(frozen=True, slots=True)
class Plan:
    """Texts of one group in one list: first the references, then the segments of each answer.

    Attributes:
        texts: what to encode.
        contexts: the situation of each text.
        segments: the segments of each answer, in the order of ``texts``.
    """

    texts: list[str]
    contexts: list[str]
    segments: list[list[Segment]]

    def split(
        self, group: Group, rows: npt.NDArray[np.float32]
    ) -> tuple[npt.NDArray[np.float32], list[npt.NDArray[np.float32]]]:
        """Encoded rows -> those of the references and those of each answer."""
        start = len(group.references)
        references, answers = rows[:start], []
        for found in self.segments:
            answers.append(rows[start : start + len(found)])
            start += len(found)
        return references, answers


def unscorable(group: Group, answer: str) -> str:
    """Why an answer cannot be scored at all, ``""`` when it can. An empty answer can: it covers nothing."""
    if not group.references:
        return "the situation has no reference perspectives"
    if any(not p.explanation.strip() for p in group.references):
        return "a reference perspective is empty"
    if not isinstance(answer, str):
        return f"the answer is {type(answer).__name__}, not text"
    return ""
