"""Preset `quality-diversity`: rewards of methods that want good answers which differ from each other, for comparison.

    quality    f1: 2 * coverage * relevance / (coverage + relevance), 0 without a match
               precision: relevance
    product        value = quality * distance - penalties
    determinant    value = quality + weight * gain - penalties
    none           value = quality - penalties

Relevance is the share of segments that match any reference, coverage the share of references that have a segment of
their own. With `f1` the method is told as much as preset `overton`; `precision` is what such methods have where nobody
lists the perspectives of a question. Diversity is that between the answers of a group, not within one: no quality
charges a repetition.

*product* is after DARLING (Li et al. 2025, arXiv 2509.02534): quality times the share of siblings that are not the
same answer. A learned classifier says there which answers are the same. Here answers hold several perspectives and are
hardly ever the same as a whole, so the distance of two is 1 less the Dice coefficient of their perspectives, matched
one to one at the estimator's threshold. (DARLING also leaves out the division by the group's standard deviation; the
trainer here is the same for all presets.)

*determinant* is after DQO (Chen et al. 2025, arXiv 2509.04784): the log-determinant of the Gram matrix of the answers'
vectors, to each answer what it adds to that of its siblings. An answer's vector is the mean of its segments' vectors,
brought to length 1.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from overton.errors import RecipeError
from overton.matching import optimal_matching
from overton.rewards.assign import assign
from overton.rewards.bounds import COSINE, NOT_NEGATIVE, check_bounds
from overton.rewards.plan import Plan, Rows, Vectors, unscorable
from overton.segment import Layout, parse
from overton.types import Group, Match, Score, Segment

DIVERSITIES = ("product", "determinant", "none")
QUALITIES = ("f1", "precision")
_BOUNDS = {
    "threshold": COSINE,
    "weight": NOT_NEGATIVE,
    "tag_penalty": NOT_NEGATIVE,
    "cut_off_penalty": NOT_NEGATIVE,
}


@dataclass(frozen=True)
class QualityDiversityPreset:
    """Fields of the preset.

    Attributes:
        threshold: cosine of a match; ``None`` takes the estimator's calibrated one.
        diversity: ``product``, ``determinant`` or ``none``.
        quality: ``f1`` or ``precision``.
        weight: of the gain, with ``determinant`` alone.
        tag_penalty: charged when the tag layout is broken; 0 for answers in free form.
        cut_off_penalty: charged when the token limit ended the answer.
    """

    threshold: float | None = None
    diversity: str = "product"
    quality: str = "f1"
    weight: float = 1.0
    tag_penalty: float = 0.5
    cut_off_penalty: float = 0.5
    masks_alike = True
    nearest_decides = True

    def __post_init__(self) -> None:
        if self.diversity not in DIVERSITIES:
            raise RecipeError(f"reward: unknown diversity {self.diversity!r}; known: {', '.join(DIVERSITIES)}")
        if self.quality not in QUALITIES:
            raise RecipeError(f"reward: unknown quality {self.quality!r}; known: {', '.join(QUALITIES)}")
        check_bounds(self, _BOUNDS)

    @property
    def compares(self) -> str:
        """The field by which answers of a group are compared with each other; ``""`` = each counts by itself."""
        return "" if self.diversity == "none" else "diversity"

    def plan(self, group: Group) -> Plan:
        """References and segments without their labels."""
        read = [parse(answer if isinstance(answer, str) else "") for answer in group.answers]
        segments = [r[1] for r in read]
        texts = [p.explanation for p in group.references]
        texts += [s.explanation for found in segments for s in found]
        return Plan(texts, [group.prompt] * len(texts), segments, [r[0] for r in read])

    def score(self, group: Group, plan: Plan, rows: list[Rows], threshold: float) -> list[Score]:
        """Scores of one group from the encoded rows of each answer and the cosine of a match."""
        reasons = [unscorable(group, answer) for answer in group.answers]
        scored = [i for i, reason in enumerate(reasons) if not reason]
        vectors = [rows[i].segments for i in scored]
        if self.diversity == "determinant":
            found = log_det_gains(vectors)
        else:
            found = distances(vectors, threshold)
        diversity = dict(zip(scored, found, strict=True))
        scores = []
        for index in range(len(group.answers)):
            if reasons[index]:
                scores.append(Score(None, reasons[index]))
                continue
            finished = group.finished is None or group.finished[index]
            scores.append(
                self._score_one(
                    plan.layouts[index],
                    plan.segments[index],
                    rows[index].references,
                    rows[index].segments,
                    threshold,
                    finished,
                    diversity[index],
                )
            )
        return scores

    def _score_one(
        self,
        read: Layout,
        segments: list[Segment],
        references: Vectors,
        rows: Vectors,
        threshold: float,
        finished: bool,
        diversity: float,
    ) -> Score:
        silent = np.array([not s.explanation.strip() for s in segments], dtype=bool)
        similarity = np.where(silent, np.float32(-1.0), references @ rows.T)
        found = assign(similarity, rows @ rows.T, threshold, "optimal")
        relevance = float(found.relevant.mean()) if segments else 0.0
        coverage = len(found.pairs) / len(references)
        quality = relevance
        if self.quality == "f1":
            quality = 2 * coverage * relevance / (coverage + relevance) if found.pairs else 0.0
        form = 0.0 - self.tag_penalty * (not read.valid) - self.cut_off_penalty * (not finished)
        if self.diversity == "product":
            value = quality * diversity
        else:
            value = quality + self.weight * diversity * (self.diversity == "determinant")
        matched = {s for _, s in found.pairs}
        return Score(
            value=value + form,
            terms={
                "coverage": coverage,
                "precision": found.relevance * found.uniqueness,
                "relevance": relevance,
                "uniqueness": found.uniqueness,
                "diversity": diversity,
                "form": form,
                "valid_tags": float(read.valid),
                "perspectives": float(len(segments)),
            },
            matches=tuple(Match(r, s, float(similarity[r, s])) for r, s in found.pairs),
            repeated=tuple(found.repeated),
            credits=tuple(1.0 if s in matched else -1.0 for s in range(len(segments))),
            segments=tuple(segments),
            clusters=found.repetitions,
        )


def distances(answers: Sequence[Vectors], threshold: float) -> list[float]:
    """How far each answer is from its siblings: the mean of 1 - 2 * shared / (n + n').

    Args:
        answers: (n, d) unit rows of each answer's segments.
        threshold: cosine from which two segments say the same.

    Returns:
        One number from 0 to 1 an answer; 1 for an answer without siblings.
    """
    count = len(answers)
    apart = np.zeros((count, count))
    for i in range(count):
        for j in range(i):
            total = len(answers[i]) + len(answers[j])
            shared = len(optimal_matching(answers[i] @ answers[j].T, threshold)) if total else 0
            apart[i, j] = apart[j, i] = 1 - 2 * shared / total if total else 0.0
    return [float(row.sum() / (count - 1)) if count > 1 else 1.0 for row in apart]


def log_det_gains(answers: Sequence[Vectors]) -> list[float]:
    """What each answer adds to the log-determinant of its group: log det(K + I) - log det(K' + I), K' without it.

    Args:
        answers: (n, d) rows of each answer's segments.

    Returns:
        One number an answer, from 0 (no segment) to log 2 (orthogonal to all others).
    """
    if not answers:
        return []
    means = np.stack(
        [np.asarray(a, dtype=np.float64).mean(axis=0) if len(a) else np.zeros(a.shape[1]) for a in answers]
    )
    lengths = np.linalg.norm(means, axis=1, keepdims=True)
    unit = np.divide(means, lengths, out=np.zeros_like(means), where=lengths > 0)
    # By Cramer's rule, det(K' + I) / det(K + I) is the diagonal of the inverse.
    inverse = np.linalg.inv(unit @ unit.T + np.eye(len(answers)))
    return [float(-np.log(x)) for x in inverse.diagonal()]
