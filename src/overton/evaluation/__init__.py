"""The evaluation stage: evaluators that share no weights with the reward, and no measure of likeness.

Names are loaded on first use, so importing this package costs nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from overton.evaluation.coverage import CoverageScore, Sentence, score_coverage, split_sentences
    from overton.evaluation.nli import NliModel, load_nli, nli_rows
    from overton.evaluation.nli_train import train_world_nli
    from overton.evaluation.score import score_answers
    from overton.evaluation.statistics import compare, interval
    from overton.evaluation.summary import summarise

__all__ = [
    "CoverageScore",
    "NliModel",
    "Sentence",
    "compare",
    "interval",
    "load_nli",
    "nli_rows",
    "score_answers",
    "score_coverage",
    "split_sentences",
    "summarise",
    "train_world_nli",
]

_HOME = {
    "CoverageScore": "coverage",
    "NliModel": "nli",
    "Sentence": "coverage",
    "compare": "statistics",
    "interval": "statistics",
    "load_nli": "nli",
    "nli_rows": "nli",
    "score_answers": "score",
    "score_coverage": "coverage",
    "split_sentences": "coverage",
    "summarise": "summary",
    "train_world_nli": "nli_train",
}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
