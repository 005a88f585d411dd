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
any reference / n) is reported beside it. Reasons for each term, and the optional ones: docs/reward.md.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from overton.errors import RecipeError
from overton.rewards import terms
from overton.rewards.assign import MATCHINGS, assign
from overton.rewards.plan import Plan, unscorable
from overton.segment import layout, segment
from overton.types import Group, Match, Score, Segment

Vectors = npt.NDArray[np.float32]


@dataclass(frozen=True)
class OvertonPreset:
    """Fields of the preset.

    Attributes:
        threshold: cosine of a match; ``None`` takes the estimator's calibrated one.
        matching: ``optimal`` (as many pairs as there can be), ``greedy`` (best pairs first, as in the paper), or
            ``many-to-one`` for prose, where several segments may speak for one reference.
        beta: of the F-measure; below 1 precision weighs more, above 1 coverage.
        uniqueness_power: exponent of uniqueness; 0 leaves it out.
        tag_penalty: charged when the tag layout is broken; 0 for answers in free form.
        summary_penalty: times the share of labels, of segments that match a reference, that the summary does
            not name.
        cut_off_penalty: charged when the token limit ended the answer.
        faithfulness_penalty: times how far the summary is from saying what the matched segments say (0 = off).
        length_penalty: times the words beyond ``max_words`` as a share of them, at most 1.
        max_words: the length budget; 0 = none.
        diversity_weight: 0 to 1, how much of the value hangs on the log-determinant diversity of the segments that
            match (0 = off).
        depth_weight: 0 to 1, how much of the value hangs on how far the matched segments are worked out (0 = off).
        depth_words: distinct words, beside stop words and the situation's, of a fully worked out segment.
        novelty_weight: bonus times the share of references covered that siblings in the group miss (0 = off).
        miss_credit: credit of a segment that repeats or matches nothing (a new match has +1).
    """

    threshold: float | None = None
    matching: str = "optimal"
    beta: float = 1.0
    uniqueness_power: float = 1.0
    tag_penalty: float = 0.5
    summary_penalty: float = 0.1
    cut_off_penalty: float = 0.5
    faithfulness_penalty: float = 0.0
    length_penalty: float = 0.5
    max_words: int = 0
    diversity_weight: float = 0.0
    depth_weight: float = 0.0
    depth_words: int = 8
    novelty_weight: float = 0.0
    miss_credit: float = -1.0
    masks_alike = True

    def __post_init__(self) -> None:
        if self.matching not in MATCHINGS:
            raise RecipeError(f"reward: unknown matching {self.matching!r}; known: {', '.join(MATCHINGS)}")
        for name in ("diversity_weight", "depth_weight"):
            if not 0 <= getattr(self, name) <= 1:
                raise RecipeError(f"reward: {name} must lie between 0 and 1, found {getattr(self, name)}")
        if self.depth_words < 1:
            raise RecipeError(f"reward: depth_words must be at least 1, found {self.depth_words}")

    def plan(self, group: Group) -> Plan:
        """References and segments without their labels; the summaries' sentences where they are looked at."""
        segments = [segment(a) if isinstance(a, str) else [] for a in group.answers]
        texts = [p.explanation for p in group.references]
        texts += [s.explanation for found in segments for s in found]
        counts = []
        if self.faithfulness_penalty:
            for answer in group.answers:
                sentences = segment(layout(answer).summary) if isinstance(answer, str) else []
                texts += [s.explanation for s in sentences]
                counts.append(len(sentences))
        return Plan(texts, [group.prompt] * len(texts), segments, counts)

    def score(self, group: Group, plan: Plan, rows: Vectors, threshold: float) -> list[Score]:
        """Scores of one group from its encoded rows (n, d) and the cosine of a match."""
        own = plan.split(group, rows)
        scores = []
        for index, answer in enumerate(group.answers):
            reason = unscorable(group, answer)
            if reason:
                scores.append(Score(None, reason))
                continue
            finished = group.finished is None or group.finished[index]
            summary = own.summaries[index] if own.summaries else None
            scores.append(
                self._score_one(
                    group,
                    answer,
                    plan.segments[index],
                    own.references,
                    own.answers[index],
                    summary,
                    threshold,
                    finished,
                )
            )
        return self._add_novelty(group, scores) if self.novelty_weight else scores

    def _score_one(
        self,
        group: Group,
        answer: str,
        segments: list[Segment],
        references: Vectors,
        rows: Vectors,
        summary: Vectors | None,
        threshold: float,
        finished: bool,
    ) -> Score:
        m, n = len(references), len(segments)
        # A label alone says nothing that could be compared.
        silent = np.array([not s.explanation.strip() for s in segments], dtype=bool)
        similarity = np.where(silent, np.float32(-1.0), references @ rows.T)
        found = assign(similarity, rows @ rows.T, threshold, self.matching)
        standing = sorted(set(found.best.values()))
        coverage, precision = len(found.best) / m, found.precision
        b = self.beta**2
        f = (1 + b) * coverage * precision / (b * precision + coverage) if standing else 0.0
        read = layout(answer)
        named = read.summary.lower()
        labels = {s.label.lower() for s, hit in zip(segments, found.relevant, strict=True) if s.label and hit}
        unnamed = sum(label not in named for label in labels) / len(labels) if labels else 0.0
        form = 0.0 - self.tag_penalty * (not read.valid) - self.summary_penalty * unnamed
        form -= self.cut_off_penalty * (not finished)
        value = f * found.relevant_uniqueness**self.uniqueness_power
        extra: dict[str, float] = {}
        if self.diversity_weight:
            extra["diversity"] = terms.log_det_diversity(rows[found.relevant])
            value *= 1 - self.diversity_weight * (1 - extra["diversity"])
        if self.depth_weight:
            extra["depth"] = terms.depth([segments[s].explanation for s in standing], group.prompt, self.depth_words)
            value *= 1 - self.depth_weight * (1 - extra["depth"])
        if summary is not None:
            extra["faithfulness"] = terms.faithfulness(rows[standing], summary, threshold) if standing else 0.0
            form -= self.faithfulness_penalty * (1 - extra["faithfulness"])
        if self.max_words:
            extra["excess_length"] = terms.excess_length(len(answer.split()), self.max_words)
            form -= self.length_penalty * extra["excess_length"]
        repeats = set(found.repeated)
        matched = {s for _, s in found.pairs} - (repeats if self.matching == "many-to-one" else set())
        return Score(
            value=value + form,
            terms={
                "coverage": coverage,
                "precision": precision,
                "relevance": float(found.relevant.mean()) if n else 0.0,
                "uniqueness": found.distinct / n if n else 0.0,
                "f": f,
                "form": form,
                "valid_tags": float(read.valid),
                "perspectives": float(n),
                **extra,
            },
            matches=tuple(Match(r, s, float(similarity[r, s])) for r, s in found.pairs),
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
