"""A language model and an encoder by rule, for tests of refinement."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from overton.data.rows import TableRow, row_of
from overton.llm import Reply, Request
from overton.matching import Matrix
from overton.types import Perspective

COS = math.cos(math.radians(20.5))


class Fake:
    """Answers each question by a function of it, and remembers what was asked."""

    name = "fake-1"

    def __init__(self, answer: Callable[[str], str | None], cut_off: bool = False) -> None:
        self.answer = answer
        self.reason = "cut off after 9 tokens" if cut_off else ""
        self.asked: list[Request] = []

    def complete(self, requests: Sequence[Request], description: str = "") -> list[Reply]:
        self.asked += requests
        return [Reply(self.answer(r.messages[0][1]), self.reason) for r in requests]


def encode(texts: Sequence[str], contexts: Sequence[str]) -> Matrix:
    """The number in front of a text is its angle in degrees, so cosines are known."""
    assert len(texts) == len(contexts)
    angles = [math.radians(float(text.split()[0])) for text in texts]
    return np.array([[math.cos(a), math.sin(a)] for a in angles], dtype=np.float32)


def situation(*texts: str, name: str = "q", **changes: str) -> TableRow:
    """Views "ANGLE words", with ``/CLUSTER`` or ``+`` and ``-`` at the end where wanted."""
    views = []
    for i, text in enumerate(texts):
        body, _, cluster = text.partition("/")
        stance = body[-1] if body[-1] in "+-" else None
        views.append(Perspective(f"Value {i}", body.rstrip("+-"), stance, cluster or None, "human"))
    return replace(row_of(name, f"May {name}?", views, name), **changes)  # type: ignore[arg-type]


def yes_to_the_first(question: str) -> str:
    return "yes" if "A: 0 v\nB: 1 v" in question else "no"
