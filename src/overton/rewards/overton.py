"""Preset ``overton``, the default: an F-measure of what an answer covers and what it says, with credit per line.

    m  references
    n  segments of the answer
    r  segments that match any reference, at the calibrated threshold
    k  references matched, one segment each, as many as possible

    coverage = k / m      relevance = r / n      uniqueness = k / r      precision = relevance * uniqueness
    value = F_beta(coverage, precision) - penalties

A segment that matches and gets no reference of its own repeats what another one says. So precision is k / n, and a line
that repeats costs as much as one beside the point: neither ever raises the value. Segments that are alike and nearest
to one reference count as one in the matching.

With ``many-to-one`` a segment that works out a view without repeating it is not looked at. Reasons for each term, and
the optional ones: docs/reward.md.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from overton.errors import RecipeError
from overton.rewards import terms
from overton.rewards.assign import MATCHINGS, assign
from overton.rewards.bounds import COSINE, LARGEST, NOT_NEGATIVE, SHARE, check_bounds
from overton.rewards.plan import Plan, Rows, unscorable
from overton.segment import Layout, parse, segment
from overton.types import Group, Match, Score, Segment

_BOUNDS = {
    "threshold": COSINE,
    "beta": (0.0, 1000.0),  # its square is taken; beyond that F is coverage
    "tag_penalty": NOT_NEGATIVE,
    "cut_off_penalty": NOT_NEGATIVE,
    "faithfulness_penalty": NOT_NEGATIVE,
    "length_penalty": NOT_NEGATIVE,
    "max_words": NOT_NEGATIVE,
    "diversity_weight": SHARE,
    "depth_weight": SHARE,
    "depth_words": (1.0, LARGEST),
    "novelty_weight": NOT_NEGATIVE,
    "background_weight": SHARE,
    "miss_credit": (-LARGEST, 1.0),  # a miss is never worth more than a match
}


@dataclass(frozen=True)
class OvertonPreset:
    """Fields of the preset.

    Attributes:
        threshold: cosine of a match; ``None`` takes the estimator's calibrated one.
        matching: ``optimal`` (as many pairs as there can be), ``greedy`` (best pairs first, as in the paper), or
            ``many-to-one`` for prose, where several segments may speak for one reference.
        beta: of the F-measure; below 1 precision weighs more, above 1 coverage; 0 = precision alone.
        tag_penalty: charged when the tag layout is broken; 0 for answers in free form.
        cut_off_penalty: charged when the token limit ended the answer.
        faithfulness_penalty: times how far the summary is from saying what the matched segments say (0 = off).
        length_penalty: times the words beyond ``max_words`` as a share of them, at most 1.
        max_words: the length budget; 0 = none.
        diversity_weight: 0 to 1, how much of the value hangs on the determinant diversity of the segments that
            match, repetitions included (0 = off).
        depth_weight: 0 to 1, how much of the value hangs on how far the matched segments are worked out (0 = off).
        depth_words: distinct words, beside stop words and the situation's, of a fully worked out segment.
        novelty_weight: bonus times the share of references covered that siblings in the group miss (0 = off).
        background_weight: 0 to 1, how much nearer to a reference a segment has to be where it is near to references of
            other situations too; counts where the reward has a background.
        miss_credit: credit of a segment that repeats or matches nothing, at most 1 (a new match has +1).
    """

    threshold: float | None = None
    matching: str = "optimal"
    beta: float = 1.4
    tag_penalty: float = 0.5
    cut_off_penalty: float = 0.5
    faithfulness_penalty: float = 0.0
    length_penalty: float = 0.5
    max_words: int = 0
    diversity_weight: float = 0.0
    depth_weight: float = 0.0
    depth_words: int = 8
    novelty_weight: float = 0.0
    background_weight: float = 1.0
    miss_credit: float = -1.0
    masks_alike = True
    nearest_decides = True

    def __post_init__(self) -> None:
        if self.matching not in MATCHINGS:
            raise RecipeError(f"reward: unknown matching {self.matching!r}; known: {', '.join(MATCHINGS)}")
        check_bounds(self, _BOUNDS)

    @property
    def compares(self) -> str:
        """The field by which answers of a group are compared with each other; ``""`` = each counts by itself."""
        return "novelty_weight" if self.novelty_weight else ""

    def plan(self, group: Group) -> Plan:
        """References and segments without their labels; the summaries' sentences where they are looked at."""
        read = [parse(answer if isinstance(answer, str) else "") for answer in group.answers]
        layouts, segments = [r[0] for r in read], [r[1] for r in read]
        texts = [p.explanation for p in group.references]
        texts += [s.explanation for found in segments for s in found]
        counts = []
        if self.faithfulness_penalty:
            for own in layouts:
                sentences = segment(own.summary)
                texts += [s.explanation for s in sentences]
                counts.append(len(sentences))
        return Plan(texts, [group.prompt] * len(texts), segments, layouts, counts)

    def score(self, group: Group, plan: Plan, rows: list[Rows], threshold: float) -> list[Score]:
        """Scores of one group from the encoded rows of each answer and the cosine of a match."""
        scores = []
        for index, answer in enumerate(group.answers):
            reason = unscorable(group, answer)
            if reason:
                scores.append(Score(None, reason))
                continue
            finished = group.finished is None or group.finished[index]
            read = plan.layouts[index], plan.segments[index]
            scores.append(self._score_one(group, answer, *read, rows[index], threshold, finished))
        return self._add_novelty(group, scores) if self.novelty_weight else scores

    def _score_one(
        self,
        group: Group,
        answer: str,
        read: Layout,
        segments: list[Segment],
        own: Rows,
        threshold: float,
        finished: bool,
    ) -> Score:
        rows, summary = own.segments, own.summary
        m, n = len(own.references), len(segments)
        # A label alone says nothing that could be compared.
        silent = np.array([not s.explanation.strip() for s in segments], dtype=bool)
        similarity = np.where(silent, np.float32(-1.0), own.similarity())
        cosines = similarity if own.excess is None else similarity + own.excess
        found = assign(similarity, rows @ rows.T, threshold, self.matching)
        standing = sorted(set(found.best.values()))
        coverage = len(found.best) / m
        relevance, uniqueness = found.relevance, found.uniqueness
        precision = relevance * uniqueness
        b = self.beta**2
        f = (1 + b) * coverage * precision / (b * precision + coverage) if standing else 0.0
        form = 0.0 - self.tag_penalty * (not read.valid)
        form -= self.cut_off_penalty * (not finished)
        value = f
        extra: dict[str, float] = {}
        if self.diversity_weight:
            extra["diversity"] = terms.log_det_diversity(rows[found.relevant], len(found.best))
            value *= 1 - self.diversity_weight * (1 - extra["diversity"])
        if self.depth_weight:
            extra["depth"] = terms.depth([segments[s].explanation for s in standing], group.prompt, self.depth_words)
            value *= 1 - self.depth_weight * (1 - extra["depth"])
        if self.faithfulness_penalty:
            extra["faithfulness"] = terms.faithfulness(rows[standing], summary, threshold) if standing else 0.0
            form -= self.faithfulness_penalty * (1 - extra["faithfulness"])
        if self.max_words:
            extra["excess_length"] = terms.excess_length(terms.count_words(answer), self.max_words)
            form -= self.length_penalty * extra["excess_length"]
        repeats = set(found.repeated)
        matched = {s for _, s in found.pairs} - (repeats if self.matching == "many-to-one" else set())
        return Score(
            value=value + form,
            terms={
                "coverage": coverage,
                "precision": precision,
                "relevance": relevance,
                "uniqueness": uniqueness,
                "f": f,
                "form": form,
                "valid_tags": float(read.valid),
                "perspectives": float(n),
                **extra,
            },
            matches=tuple(Match(r, s, float(cosines[r, s])) for r, s in found.pairs),
            repeated=tuple(found.repeated),
            credits=tuple(1.0 if s in matched else self.miss_credit for s in range(n)),
            segments=tuple(segments),
            clusters=found.repetitions,
        )

    def _add_novelty(self, group: Group, scores: list[Score]) -> list[Score]:
        """The bonus for references that siblings miss; answers without a value are no siblings."""
        scored = [i for i, s in enumerate(scores) if s.value is not None]
        covered = [{m.reference for m in scores[i].matches} for i in scored]
        for i, new in zip(scored, terms.novelty(covered, len(group.references)), strict=True):
            value = scores[i].value
            assert value is not None
            scores[i] = replace(
                scores[i], value=value + self.novelty_weight * new, terms={**scores[i].terms, "novelty": new}
            )
        return scores
