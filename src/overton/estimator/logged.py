"""Logged answers of published systems: does a model rank systems and answers as the published log does?

The log holds, for each answer, which references the authors' estimator found in it. That estimator is no judge of
truth (systems were trained against it), so agreement with it says that a model measures the same thing, not that it
measures it better.
"""

from __future__ import annotations

import gzip
import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from overton.data.table import read_table
from overton.errors import DataError
from overton.estimator.encode import SimilarityEstimator
from overton.matching import optimal_matching
from overton.segment import strip_label
from overton.spelling import one_spelling
from overton.types import Situation

if TYPE_CHECKING:
    import numpy as np

# A sentence with fewer letters is the number of a list, or what is left of a tag.
_LETTERS = 3


@dataclass(frozen=True, slots=True)
class LoggedAnswer:
    """One answer of the log.

    Attributes:
        system: who wrote it.
        split: which file of questions it belongs to (``5p``).
        situation: the question with its references.
        sentences: of the answer.
        logged: share of the references that the log found in it.
    """

    system: str
    split: str
    situation: Situation
    sentences: tuple[str, ...]
    logged: float


def read_logged(responses: Path, questions: Path, limit: int = 0) -> list[LoggedAnswer]:
    """Read the log and join it with its questions.

    Args:
        responses: ``.jsonl`` or ``.jsonl.gz``, rows with ``system``, ``split``, ``prompt``, ``response_sentences`` and
            ``logged.pairs`` of [reference, sentence, cosine].
        questions: folder with ``test_SPLIT.csv``.
        limit: only the first questions of each split; 0 = all.

    Raises:
        DataError: a file is missing or broken, or no answer belongs to a question.
    """
    try:
        opener: Any = gzip.open if responses.suffix == ".gz" else open
        with opener(responses, "rt", encoding="utf-8") as file:
            rows = [json.loads(line) for line in file]
    except (OSError, ValueError) as error:
        raise DataError(f"{responses}: cannot be read as JSON lines: {error}") from None
    known: dict[str, dict[str, Situation]] = {}
    found = []
    for number, row in enumerate(rows, 1):
        try:
            system, split, prompt = row["system"], row["split"], row["prompt"]
            sentences = [s for s in row["response_sentences"] if sum(c.isalpha() for c in s) >= _LETTERS]
            covered = {pair[0] for pair in row["logged"]["pairs"]}
        except (KeyError, TypeError) as error:
            raise DataError(f"{responses}, row {number}: {error} is missing or of the wrong kind") from None
        if split not in known:
            table = read_table(questions / f"test_{split}.csv", {}, labels=False)[: limit or None]
            known[split] = {one_spelling(r.situation.text): r.situation for r in table}
        situation = known[split].get(one_spelling(prompt))
        if situation is not None:
            share = len(covered) / len(situation.perspectives)
            found.append(LoggedAnswer(system, split, situation, tuple(map(strip_label, sentences)), share))
    if not found:
        raise DataError(f"{responses}: no answer belongs to a question of {questions}")
    return found


def agreement(estimator: SimilarityEstimator, answers: list[LoggedAnswer], threshold: float) -> dict[str, Any]:
    """How a model's coverage of the answers agrees with the log's.

    Args:
        estimator: any model.
        answers: from :func:`read_logged`.
        threshold: cosine of a match.

    Returns:
        ``{"systems": {SPLIT: {SYSTEM: {"coverage", "logged", "answers"}}}, "ranking": mean Kendall tau of the
        systems' mean coverages over splits, "answers": Spearman correlation over all answers}``.
    """
    import numpy as np
    from scipy.stats import kendalltau, spearmanr

    coverage = _coverage(estimator, answers, threshold)
    logged = np.array([a.logged for a in answers])
    systems: dict[str, dict[str, Any]] = {}
    ranks = []
    for split in sorted({a.split for a in answers}):
        own: dict[str, list[int]] = {}
        for i, answer in enumerate(answers):
            if answer.split == split:
                own.setdefault(answer.system, []).append(i)
        means = {s: (float(coverage[rows].mean()), float(logged[rows].mean())) for s, rows in own.items()}
        systems[split] = {s: {"coverage": a, "logged": b, "answers": len(own[s])} for s, (a, b) in means.items()}
        if len(means) > 1:
            ranks.append(float(kendalltau(*zip(*means.values(), strict=True)).statistic))
    return {
        "systems": systems,
        "ranking": float(np.mean(ranks)) if ranks else None,
        "answers": float(spearmanr(coverage, logged).statistic),
    }


def _coverage(estimator: SimilarityEstimator, answers: list[LoggedAnswer], threshold: float) -> np.ndarray:
    """(n,) share of the references matched one-to-one."""
    import numpy as np

    texts = [t for a in answers for t in (*(p.explanation for p in a.situation.perspectives), *a.sentences)]
    contexts = [a.situation.text for a in answers for _ in range(len(a.situation.perspectives) + len(a.sentences))]
    rows = estimator.encode(texts, contexts, "Logged answers")
    found, start = [], 0
    for answer in answers:
        middle = start + len(answer.situation.perspectives)
        stop = middle + len(answer.sentences)
        matched = optimal_matching(rows[start:middle] @ rows[middle:stop].T, threshold) if stop > middle else []
        found.append(len(matched) / (middle - start))
        start = stop
    return np.array(found)
