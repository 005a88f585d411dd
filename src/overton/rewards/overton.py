"""Preset ``overton``, the default: an F-measure of one-to-one matching times uniqueness, with credit per
line.

    k  references matched, one segment each (optimal matching at the calibrated threshold)
    n  segments of the answer          m  references          u  distinct segments (clusters)

    i  distinct segments that match no reference

    coverage = k / m      precision = k / n      uniqueness = u / n
    value = F_beta(coverage, precision) * ((u - i) / (n - i)) ** uniqueness_power - penalties

The last factor is the uniqueness of the segments that match something: irrelevant ones would dilute
repetitions and are charged by precision. Segments that are alike and best matched by one reference count as
one in the matching. So neither a duplicate of a line nor an irrelevant line ever raises the value.

``precision`` here charges repetitions too, since a reference pays once. ``relevance`` (segments that match
any reference / n) is reported beside it. Reasons for each term: docs/reward.md.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from overton.matching import clusters, optimal_matching
from overton.rewards.plan import Plan, unscorable
from overton.segment import layout, segment
from overton.types import Group, Match, Score, Segment

Vectors = npt.NDArray[np.float32]


@dataclass(frozen=True)
class OvertonPreset:
    """Fields of the preset.

    Attributes:
        threshold: cosine of a match; ``None`` takes the estimator's calibrated one.
        beta: of the F-measure; below 1 precision weighs more, above 1 coverage.
        uniqueness_power: exponent of uniqueness; 0 leaves it out.
        tag_penalty: charged when the tag layout is broken.
        summary_penalty: times the share of labels, of segments that match a reference, that the summary does
            not name.
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

    def score(self, group: Group, plan: Plan, rows: Vectors, threshold: float) -> list[Score]:
        """Scores of one group from its encoded rows (n, d) and the cosine of a match."""
        references, answers = plan.split(group, rows)
        scores = []
        for index, answer in enumerate(group.answers):
            reason = unscorable(group, answer)
            if reason:
                scores.append(Score(None, reason))
                continue
            finished = group.finished is None or group.finished[index]
            scores.append(
                self._score_one(answer, plan.segments[index], references, answers[index], threshold, finished)
            )
        return scores

    def _score_one(
        self,
        answer: str,
        segments: list[Segment],
        references: Vectors,
        rows: Vectors,
        threshold: float,
        finished: bool,
    ) -> Score:
        m, n = len(references), len(segments)
        similarity = references @ rows.T
        own = rows @ rows.T
        same = _same_best(similarity, threshold)
        relevant = same.diagonal()
        pairs = _match(similarity, clusters(np.where(same, own, -1.0), threshold), threshold)
        k = len(pairs)
        groups = clusters(np.where(same, 1.0, own), threshold)
        matched = {s for _, s in pairs}
        kept: set[int] = set()
        repeated = []
        for i, cluster in sorted(enumerate(groups), key=lambda item: (item[0] not in matched, item[0])):
            if cluster in kept and i not in matched:
                repeated.append(i)
            kept.add(cluster)
        found = layout(answer)
        summary = found.summary.lower()
        labels = {s.label.lower() for s, hit in zip(segments, relevant, strict=True) if s.label and hit}
        unnamed = sum(label not in summary for label in labels) / len(labels) if labels else 0.0
        coverage = k / m
        precision = k / n if n else 0.0
        distinct = len(set(groups))
        beside = distinct - len({g for g, hit in zip(groups, relevant, strict=True) if hit})
        b = self.beta**2
        f = (1 + b) * coverage * precision / (b * precision + coverage) if k else 0.0
        form = 0.0 - self.tag_penalty * (not found.valid) - self.summary_penalty * unnamed
        form -= self.cut_off_penalty * (not finished)
        terms = {
            "coverage": coverage,
            "precision": precision,
            "relevance": float(relevant.mean()) if n else 0.0,
            "uniqueness": distinct / n if n else 0.0,
            "f": f,
            "form": form,
            "valid_tags": float(found.valid),
            "perspectives": float(n),
        }
        return Score(
            value=f * ((distinct - beside) / (n - beside)) ** self.uniqueness_power + form if k else form,
            terms=terms,
            matches=tuple(Match(r, s, float(similarity[r, s])) for r, s in pairs),
            repeated=tuple(sorted(repeated)),
            credits=tuple(1.0 if s in matched else self.miss_credit for s in range(n)),
            segments=tuple(segments),
        )


def _same_best(similarity: Vectors, threshold: float) -> npt.NDArray[np.bool_]:
    """(s, s): whether two segments are best matched by one reference; the diagonal: whether any matches."""
    best = (similarity == similarity.max(axis=0)) & (similarity >= threshold)
    return np.any(best[:, :, None] & best[:, None, :], axis=0)


def _match(similarity: Vectors, groups: list[int], threshold: float) -> list[tuple[int, int]]:
    """(reference, segment) pairs; of the segments of one group at most one is matched."""
    members = [[i for i, g in enumerate(groups) if g == group] for group in range(len(set(groups)))]
    if not members:
        return []
    merged = np.stack([similarity[:, m].max(axis=1) for m in members], axis=1)
    pairs = optimal_matching(merged, threshold)
    return [(r, max(members[g], key=lambda s, r=r: similarity[r, s])) for r, g in pairs]  # type: ignore[misc]
