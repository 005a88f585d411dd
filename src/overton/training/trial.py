"""One invented situation with answers from perfect to empty: whatever the reward, the first should earn most."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from overton.segment import CORE_CLOSE, CORE_OPEN, SUMMARY_CLOSE, SUMMARY_OPEN
from overton.types import Group, Perspective

_VIEWS = (
    Perspective("Honesty", "plain words keep faith among neighbours"),
    Perspective("Mercy", "kindness spares somebody needless sorrow"),
    Perspective("Justice", "equal treatment binds every member alike"),
)


def _answer(views: Sequence[Perspective]) -> str:
    lines = "\n".join(f"In the perspective of {v.label}, {v.explanation}." for v in views)
    labels = ", ".join(v.label for v in views)
    return f"{CORE_OPEN}\n{lines}\n{CORE_CLOSE}\n\n{SUMMARY_OPEN}\n{labels} all count.\n{SUMMARY_CLOSE}"


_BESIDE = Perspective("Weather", "rain tomorrow might ruin gardens")
TRIAL = Group(
    prompt="May I?",
    references=_VIEWS,
    answers=(
        _answer(_VIEWS),
        _answer(_VIEWS[:1]),
        _answer((*_VIEWS[:1], *_VIEWS[:1])),
        _answer((_BESIDE,)),
        "Nothing to say.",
        "",
    ),
)


class ExactEncoder:
    """Each text has a direction of its own, but for case and full stops."""

    threshold = 0.5

    def encode(
        self, texts: Sequence[str], contexts: Sequence[str] | None = None, *, preprocess: bool = True
    ) -> npt.NDArray[np.float32]:
        """Unit rows (n, n), equal where the texts are."""
        plain = [text.strip().rstrip(".").lower() for text in texts]
        place = {text: index for index, text in enumerate(dict.fromkeys(plain))}
        rows = np.zeros((len(plain), max(1, len(plain))), dtype=np.float32)
        for row, text in enumerate(plain):
            rows[row, place[text]] = 1.0
        return rows
