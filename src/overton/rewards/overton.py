"""Preset ``overton``, the default: an F-measure of one-to-one matching times uniqueness, with credit per line.

    k  references matched, one segment each (optimal matching at the calibrated threshold)
    n  segments of the answer          m  references          u  distinct segments (clusters)

    coverage = k / m      precision = k / n      uniqueness = u / n
    value = F_beta(coverage, precision) * uniqueness ** uniqueness_power - penalties

``precision`` here charges repetitions too, since a reference pays once. ``relevance`` (segments that match any
reference / n) is reported beside it. Reasons for each term: docs/reward.md.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from overton.matching import clusters, optimal_matching
from overton.rewards.plan import Plan, unscorable
from overton.segment import layout, segment
from overton.types import Group, Match, Score


@dataclass(frozen=True)
class OvertonPreset:
    """Fields of the preset.

    Attributes:
        threshold: cosine of a match; ``None`` takes the estimator's calibrated one.
        beta: of the F-measure; below 1 precision weighs more, above 1 coverage.
        uniqueness_power: exponent of uniqueness; 0 leaves it out.
        tag_penalty: charged when the tag layout is broken.
        summary_penalty: times the share of labels that the summary does not name.
        cut_off_penalty: charged when the token limit ended the answer.
        miss_credit: credit of a segment that repeats or matches nothing (a new match has +1).
    """

    threshold: float | None = None
    beta: float = 1.0
    uniqueness_power: float = 1.0
    tag_penalty: float = 0.5
    summary_penalty: float = 0.1
    cut_off_penalty: float = 0.5
    miss_credit: float = -1.0
    masks_alike = True

    def plan(self, group: Group) -> Plan:
        """References and segments without their labels."""
        segments = [segment(a) if isinstance(a, str) else [] for a in group.answers]
        texts = [p.explanation for p in group.references]
        texts += [s.explanation for found in segments for s in found]
        return Plan(texts, [group.prompt] * len(texts), segments)

    def score(
        self, group: Group, plan: Plan, rows: npt.NDArray[np.float32], calibrated: float
    ) -> list[Score]:
        """Scores of one group from its encoded rows (n, d)."""
        threshold = calibrated if self.threshold is None else self.threshold
        references, answers = plan.split(group, rows)
        scores = []
        for index, answer in enumerate(group.answers):
            reason = unscorable(group, answer)
            if reason:
                scores.append(Score(None, reason))
                continue
            finished = group.finished is None or group.finished[index]
            scores.append(self._score_one(group, answer, plan.segments[index], references, answers[index], threshold, finished))
        return scores

    def _score_one(self, group, answer, segments, references, rows, threshold, finished) -> Score:  # type: ignore[no-untyped-def]
        m, n = len(group.references), len(segments)
        similarity = references @ rows.T
        pairs = optimal_matching(similarity, threshold) if n else []
        k = len(pairs)
        groups = self._distinct(similarity, rows @ rows.T, threshold) if n else []
        matched = {s for _, s in pairs}
        kept: set[int] = set()
        repeated = []
        for i, cluster in sorted(enumerate(groups), key=lambda item: (item[0] not in matched, item[0])):
            if cluster in kept and i not in matched:
                repeated.append(i)
            kept.add(cluster)
        found = layout(answer)
        summary = found.summary.lower()
        labels = {s.label.lower() for s in segments if s.label}
        unnamed = sum(label not in summary for label in labels) / len(labels) if labels else 0.0
        coverage = k / m
        precision = k / n if n else 0.0
        uniqueness = len(set(groups)) / n if n else 0.0
        b = self.beta**2
        f = (1 + b) * coverage * precision / (b * precision + coverage) if k else 0.0
        form = -self.tag_penalty * (not found.valid) - self.summary_penalty * unnamed
        form -= self.cut_off_penalty * (not finished)
        relevant = (similarity >= threshold).any(axis=0) if n else np.zeros(0, dtype=bool)
        terms = {
            "coverage": coverage,
            "precision": precision,
            "relevance": float(relevant.mean()) if n else 0.0,
            "uniqueness": uniqueness,
            "f": f,
            "form": form,
            "valid_tags": float(found.valid),
            "perspectives": float(n),
        }
        return Score(
            value=f * uniqueness**self.uniqueness_power + form,
            terms=terms,
            matches=tuple(Match(r, s, float(similarity[r, s])) for r, s in pairs),
            repeated=tuple(sorted(repeated)),
            credits=tuple(self._credits(pairs, n)),
            segments=tuple(segments),
        )

    def _credits(self, pairs: list[tuple[int, int]], n: int) -> list[float]:
        matched = {s for _, s in pairs}
        return [1.0 if s in matched else self.miss_credit for s in range(n)]

    @staticmethod
    def _distinct(
        similarity: npt.NDArray[np.float32], own: npt.NDArray[np.float32], threshold: float
    ) -> list[int]:
        """Clusters of segments: alike, or both best matched by one and the same reference."""
        best = np.where(similarity.max(axis=0) >= threshold, similarity.argmax(axis=0), -1)
        same = (best[:, None] == best[None, :]) & (best[:, None] >= 0)
        return clusters(np.where(same, 1.0, own), threshold)
