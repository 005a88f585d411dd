"""Language models as judges: scores of single answers, comparisons of two, and how far judges agree.

Names are loaded on first use, so importing this package costs nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from overton.evaluation.judge.agreement import krippendorff_alpha
    from overton.evaluation.judge.ask import Judge, load_judges
    from overton.evaluation.judge.pairwise import compare_answers, pair_summary
    from overton.evaluation.judge.score import judge_answers

_HOME = {
    "Judge": "ask",
    "compare_answers": "pairwise",
    "judge_answers": "score",
    "krippendorff_alpha": "agreement",
    "load_judges": "ask",
    "pair_summary": "pairwise",
}
__all__ = ["Judge", "compare_answers", "judge_answers", "krippendorff_alpha", "load_judges", "pair_summary"]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
