"""The evaluation stage: judges answers with evaluators that share no code and no weights with the reward."""

from overton.evaluation.coverage import CoverageScore, Sentence, score_coverage, split_sentences
from overton.evaluation.nli import NliModel, load_nli, nli_rows
from overton.evaluation.score import score_answers
from overton.evaluation.statistics import compare, interval

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
]
