"""Preset ``op-grpo``: the published arithmetic (arXiv 2602.20759 and the authors' public code), weaknesses
included.

    total = max(0, 0.3 coverage + 0.3 uniqueness + 0.1 format + tag)

Segments start at "In/From the perspective of" and keep their labels; the prompt's words are masked in the
answer and not in the references; uniqueness depends on order; one perspective alone is fully unique.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from overton.matching import greedy_matching, redundant_in_order
from overton.rewards.plan import Plan, unscorable
from overton.segment import keywords, layout, mask_words
from overton.types import Group, Match, Score, Segment

Vectors = npt.NDArray[np.float32]

_START = re.compile(r"\b(?:In|From) the perspective of\b")
_LABELLED = re.compile(r"^(?:In|From) the perspective of ([^,\n]+),")
_CORE_END = re.compile(r"</core perspectives>|<summary>")
_SENTENCE = re.compile(r"(?<=[.!?])\s+|\n+")


@dataclass(frozen=True)
class OpGrpoPreset:
    """Fields of the preset, the paper's values as defaults.

    Attributes:
        threshold: cosine of a match.
        unique_threshold: cosine from which a segment repeats an earlier kept one.
        coverage_weight: weight of the coverage ladder (0 to 5).
        uniqueness_weight: weight of the uniqueness ladder (0 to 1).
        format_weight: weight of the format term (0 to 2).
        tag_penalty: charged when the tag layout is broken.
    """

    threshold: float = 0.70
    unique_threshold: float = 0.78
    coverage_weight: float = 0.3
    uniqueness_weight: float = 0.3
    format_weight: float = 0.1
    tag_penalty: float = 0.2
    masks_alike = False

    def plan(self, group: Group) -> Plan:
        """References with their labels; segments with theirs and the prompt's words masked by ``[KW]``."""
        hidden = keywords(group.prompt)
        segments = [_segments(a) if isinstance(a, str) else [] for a in group.answers]
        texts = [f"In the perspective of {p.label}, {p.explanation}" for p in group.references]
        texts += [mask_words(s.explanation, hidden, "[KW]") for found in segments for s in found]
        return Plan(texts, [group.prompt] * len(texts), segments)

    def score(self, group: Group, plan: Plan, rows: Vectors, threshold: float) -> list[Score]:
        """Scores of one group from its encoded rows (n, d) and the cosine of a match."""
        references, answers = plan.split(group, rows)
        scores = []
        for answer, segments, vectors in zip(group.answers, plan.segments, answers, strict=True):
            reason = unscorable(group, answer)
            if reason:
                scores.append(Score(None, reason))
            else:
                scores.append(self._score_one(answer, segments, references, vectors, threshold))
        return scores

    def _score_one(
        self, answer: str, segments: list[Segment], references: Vectors, rows: Vectors, threshold: float
    ) -> Score:
        n = len(segments)
        similarity = references @ rows.T
        pairs = greedy_matching(similarity, threshold) if n else []
        redundant = redundant_in_order(rows @ rows.T, self.unique_threshold) if n else []
        rate = len(pairs) / len(references)
        unique = (n - len(redundant)) / n if n else 0.0
        found = layout(answer)
        form = format_score(segments, found.summary)
        tag = 0.0 if found.valid else -self.tag_penalty
        value = (
            self.coverage_weight * coverage_ladder(rate)
            + self.uniqueness_weight * (uniqueness_ladder(unique) if n else 0.0)
            + self.format_weight * form
            + tag
        )
        matched = {s for _, s in pairs}
        return Score(
            value=max(0.0, value),
            terms={
                "coverage": rate,
                "precision": len(pairs) / n if n else 0.0,
                "relevance": float((similarity >= threshold).any(axis=0).mean()) if n else 0.0,
                "uniqueness": unique,
                "coverage_ladder": coverage_ladder(rate),
                "uniqueness_ladder": uniqueness_ladder(unique) if n else 0.0,
                "form": form,
                "valid_tags": float(found.valid),
                "perspectives": float(n),
            },
            matches=tuple(Match(r, s, float(similarity[r, s])) for r, s in pairs),
            repeated=tuple(redundant),
            credits=tuple(1.0 if s in matched else -1.0 for s in range(n)),
            segments=tuple(segments),
        )


def coverage_ladder(rate: float) -> float:
    """0 -> 0, below .2 -> 1, below .4 -> 2, below .6 -> 3, below .8 -> 4, else 5."""
    if rate <= 0:
        return 0.0
    return float(1 + sum(rate >= step for step in (0.2, 0.4, 0.6, 0.8)))


def uniqueness_ladder(rate: float) -> float:
    """1 -> 1, above .8 -> .75, above .6 -> .4, else 0."""
    if rate >= 1:
        return 1.0
    return 0.75 if rate > 0.8 else 0.4 if rate > 0.6 else 0.0


def format_score(segments: list[Segment], summary: str) -> float:
    """0 to 2: share of labelled segments (>= .7 -> 2, >= .3 -> 1), less .5 a repeated sentence or label,
    less up to 1 when fewer than 75 / 50 / 25% of the labels are named in the summary; never below 0."""
    if not segments:
        return 0.0
    labels = [s.label.lower() for s in segments if s.label]
    share = len(labels) / len(segments)
    score = 2.0 if share >= 0.7 else 1.0 if share >= 0.3 else 0.0
    sentences = [t.strip().lower() for s in segments for t in _SENTENCE.split(s.explanation) if t.strip()]
    score -= 0.5 * (len(sentences) - len(set(sentences)))
    score -= 0.5 * (len(labels) - len(set(labels)))
    if labels:
        named = sum(label in summary.lower() for label in set(labels)) / len(set(labels))
        score -= 0.0 if named >= 0.75 else 0.25 if named >= 0.5 else 0.5 if named >= 0.25 else 1.0
    return max(0.0, score)


def _segments(answer: str) -> list[Segment]:
    end = _CORE_END.search(answer)
    stop = end.start() if end else len(answer)
    starts = [m.start() for m in _START.finditer(answer, 0, stop)]
    found = []
    for start, limit in pairwise([*starts, stop]):
        text = answer[start:limit].rstrip()
        label = _LABELLED.match(text)
        found.append(Segment(label.group(1).strip() if label else "", text, start, start + len(text)))
    return found
