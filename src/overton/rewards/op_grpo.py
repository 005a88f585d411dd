"""Preset ``op-grpo``: the published arithmetic (arXiv 2602.20759 and the authors' public code), weaknesses
included.

    total = max(0, 0.3 coverage + 0.1 format + tag + 0.3 uniqueness)

Segments keep their labels; the prompt's words are masked in the answer and not in the references; uniqueness
depends on order; no segment, or one alone, is fully unique.
"""

from __future__ import annotations

from dataclasses import dataclass

from overton.errors import RecipeError
from overton.matching import greedy_matching, redundant_in_order
from overton.rewards.bounds import COSINE, NOT_NEGATIVE, check_bounds
from overton.rewards.op_grpo_text import format_score, keywords, mask, segments, strict_core
from overton.rewards.plan import Plan, Rows, Vectors, unscorable
from overton.types import Group, Match, Score, Segment

STEPS = ("ladder", "smooth")
_BOUNDS = {
    "threshold": COSINE,
    "unique_threshold": COSINE,
    "coverage_weight": NOT_NEGATIVE,
    "uniqueness_weight": NOT_NEGATIVE,
    "format_weight": NOT_NEGATIVE,
    "tag_penalty": NOT_NEGATIVE,
}


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
        steps: ``ladder``, or ``smooth`` for 5 times the covered share and the unique share themselves, which have the
            same range.
    """

    threshold: float = 0.70
    unique_threshold: float = 0.78
    coverage_weight: float = 0.3
    uniqueness_weight: float = 0.3
    format_weight: float = 0.1
    tag_penalty: float = 0.2
    steps: str = "ladder"
    masks_alike = False
    compares = ""

    def __post_init__(self) -> None:
        if self.steps not in STEPS:
            raise RecipeError(f"reward: unknown steps {self.steps!r}; known: {', '.join(STEPS)}")
        check_bounds(self, _BOUNDS)

    def plan(self, group: Group) -> Plan:
        """References with their labels; segments with theirs and the prompt's words masked by ``[KW]``."""
        hidden = keywords(group.prompt)
        found = [_segments(a) if isinstance(a, str) else [] for a in group.answers]
        texts = [
            f"In the perspective of {p.label}, {p.explanation}" if p.label else p.explanation for p in group.references
        ]
        texts += [mask(s.explanation, hidden) for own in found for s in own]
        return Plan(texts, [group.prompt] * len(texts), found)

    def score(self, group: Group, plan: Plan, rows: list[Rows], threshold: float) -> list[Score]:
        """Scores of one group from the encoded rows of each answer and the cosine of a match."""
        scores = []
        for answer, found, own in zip(group.answers, plan.segments, rows, strict=True):
            reason = unscorable(group, answer)
            if reason:
                scores.append(Score(None, reason))
            else:
                scores.append(self._score_one(answer, found, own.references, own.segments, threshold))
        return scores

    def _score_one(
        self, answer: str, found: list[Segment], references: Vectors, rows: Vectors, threshold: float
    ) -> Score:
        n = len(found)
        similarity = references @ rows.T
        pairs = greedy_matching(similarity, threshold) if n else []
        redundant = redundant_in_order(rows @ rows.T, self.unique_threshold) if n else []
        rate = len(pairs) / len(references)
        unique = (n - len(redundant)) / n if n else 1.0
        form = format_score(answer)
        valid = strict_core(answer) is not None
        if self.steps == "ladder":
            covered, distinct = coverage_ladder(rate), uniqueness_ladder(unique)
        else:
            covered, distinct = 5 * rate, unique
        # In the order of the public code, so that sums round alike.
        value = self.coverage_weight * covered
        value += self.format_weight * form
        value += 0.0 if valid else -self.tag_penalty
        value += self.uniqueness_weight * distinct
        matched = {s for _, s in pairs}
        return Score(
            value=max(value, 0.0),
            terms={
                "coverage": rate,
                "precision": len(pairs) / n if n else 0.0,
                "relevance": float((similarity >= threshold).any(axis=0).mean()) if n else 0.0,
                "uniqueness": unique,
                "coverage_ladder": coverage_ladder(rate),
                "uniqueness_ladder": uniqueness_ladder(unique),
                "form": form,
                "valid_tags": float(valid),
                "perspectives": float(n),
            },
            matches=tuple(Match(r, s, float(similarity[r, s])) for r, s in pairs),
            repeated=tuple(redundant),
            credits=tuple(1.0 if s in matched else -1.0 for s in range(n)),
            segments=tuple(found),
        )


def coverage_ladder(rate: float) -> float:
    """0 -> 0, below .2 -> 1, below .4 -> 2, below .6 -> 3, below .8 -> 4, else 5."""
    if rate == 0:
        return 0.0
    return float(1 + sum(rate >= step for step in (0.2, 0.4, 0.6, 0.8)))


def uniqueness_ladder(rate: float) -> float:
    """1 -> 1, above .8 -> .75, above .6 -> .4, else 0."""
    if rate == 1:
        return 1.0
    return 0.75 if rate > 0.8 else 0.4 if rate > 0.6 else 0.0


def _segments(answer: str) -> list[Segment]:
    """Of the core when the layout is right, of the whole answer otherwise."""
    core = strict_core(answer)
    return segments(answer, *(core or (0, len(answer))))
