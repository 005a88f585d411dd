"""One reward object for every trainer: groups in, scores out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import accumulate, pairwise
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from overton.errors import RecipeError
from overton.rewards.background import Background
from overton.rewards.language import warn_of_languages
from overton.rewards.near import near_texts
from overton.rewards.plan import Rows, Vectors
from overton.rewards.presets import check_background, make_preset
from overton.rewards.references import checked_groups
from overton.spelling import HALF, whole
from overton.types import Group, Match, Score, Situation

# Groups whose language is looked at: a trainer may bring one a call, and a server scores one of its own first.
_FIRST = 100


class Encoder(Protocol):
    """What the reward needs of an estimator; :class:`overton.estimator.SimilarityEstimator` has it.

    One that rounds may say so: with ``bf16`` true and a method ``encode_exact`` like ``encode``, texts that stand near
    a threshold are encoded once more with that.
    """

    @property
    def threshold(self) -> float:
        """Cosine from which two texts state the same perspective."""

    def encode(
        self, texts: Sequence[str], contexts: Sequence[str] | None = None, *, preprocess: bool = True
    ) -> Vectors:
        """Unit rows (n, d). ``contexts`` are the situations whose words are masked; without ``preprocess``
        the texts are taken as they are."""


class Scorer(Protocol):
    """What a trainer's adapter needs of a reward: :class:`OvertonReward` here, or a client of a reward server."""

    def score(self, groups: Sequence[Group]) -> list[list[Score]]:
        """One list a group, one score an answer, in order."""


class OvertonReward:
    """Scores groups of answers with a preset.

    Args:
        estimator: similarity estimator, calibrated unless ``threshold`` is overridden.
        preset: ``"overton"`` (default), ``"op-grpo"`` (the paper's arithmetic), or a YAML or JSON file with
            ``preset`` and ``overrides``, alone or in the section ``reward`` of a recipe.
        background: situations with references, best those of the training data, or a
            :class:`~overton.rewards.background.Background` of them. What is near to references of other situations too
            has to be nearer to one of its own. Preset ``overton`` alone; none by default.
        overrides: fields of the preset, for example ``beta=0.5``.

    Raises:
        RecipeError: unknown preset or field, a file that cannot be read or names a background that is not given, a path
            or a tuple in place of an estimator, or a background for a preset that looks at none.
        DataError: a background that is too small, or holds something else than situations.
        ModelError: the estimator has no calibration, and nothing else gives a threshold.
    """

    def __init__(
        self,
        estimator: Encoder,
        preset: str | Path = "overton",
        *,
        background: Background | Sequence[Situation] | None = None,
        **overrides: Any,
    ) -> None:
        if isinstance(estimator, str | Path):
            raise RecipeError(
                f"OvertonReward wants an estimator, found the name {str(estimator)!r}; give "
                f"SimilarityEstimator.load({str(estimator)!r}), or take load_reward for a run"
            )
        if isinstance(estimator, tuple):
            raise RecipeError("OvertonReward wants an estimator, found a tuple; give open_estimator()[0]")
        self.estimator = estimator
        self.preset = make_preset(preset, overrides)
        check_background(self.preset, preset, bool(background))
        if self.preset.threshold is None:
            _ = estimator.threshold  # of a model that nobody calibrated this says so, now and not after a generation
        if not isinstance(background, Background):
            background = Background.of(background, estimator) if background else None
        self.background = background
        self._unread = _FIRST

    def score(self, groups: Sequence[Group]) -> list[list[Score]]:
        """Score every answer of every group; all texts are encoded in one call.

        An estimator that rounds (:attr:`~overton.estimator.SimilarityEstimator.bf16`) is asked a second time, without
        rounding, for the few texts with a cosine that is nearly a threshold within one answer. How far answers are from
        each other, which ``quality-diversity`` looks at, is told from rounded vectors.

        Returns:
            One list a group, one :class:`~overton.types.Score` an answer, in order. An answer that cannot be
            scored has ``value=None`` and a reason.

        Raises:
            DataError: as :func:`~overton.rewards.references.checked_groups` raises.
        """
        groups = [_encodable(group) for group in checked_groups(groups)]
        plans = [self.preset.plan(group) for group in groups]
        texts = [text for plan in plans for text in plan.texts]
        contexts = [context for plan in plans for context in plan.contexts]
        fixed = self.preset.threshold
        threshold = self.estimator.threshold if fixed is None else fixed
        if fixed is None and self._unread > 0:
            warned = warn_of_languages(self.estimator, groups[: self._unread])
            self._unread = 0 if warned else self._unread - len(groups)
        every = self._encode(texts, contexts, range(len(texts)))
        bounds = list(pairwise(accumulate((len(plan.texts) for plan in plans), initial=0)))
        rows = [
            [self._with_excess(one, g.prompt) for one in p.split(g, every[slice(*own)])]
            for p, g, own in zip(plans, groups, bounds, strict=True)
        ]
        if getattr(self.estimator, "bf16", False) and hasattr(self.estimator, "encode_exact"):
            places = [p.split(g, np.arange(*own)) for p, g, own in zip(plans, groups, bounds, strict=True)]
            self._decide_exactly(groups, rows, places, texts, contexts, threshold)
        scores = [
            self.preset.score(group, plan, own, threshold) for group, plan, own in zip(groups, plans, rows, strict=True)
        ]
        return self._with_probabilities(scores)

    def _decide_exactly(
        self,
        groups: Sequence[Group],
        rows: list[list[Rows]],
        places: Sequence[Sequence[Rows]],
        texts: Sequence[str],
        contexts: Sequence[str],
        threshold: float,
    ) -> None:
        """Put rows of full precision where something is decided by a hair.

        Args:
            groups: that are scored.
            rows: rounded, of each answer of each group; changed in place. An answer that needs a reference in full
                precision gets references of its own, so its siblings keep theirs.
            places: where each row's text is in ``texts``.
            texts: all.
            contexts: of all.
            threshold: cosine of a match.
        """
        near, chosen = near_texts(self.preset, threshold, rows, places)
        exact = dict(zip(chosen, self._encode(texts, contexts, chosen, exact=True), strict=True))
        for group, own, found, where in zip(groups, rows, near, places, strict=True):
            for index, (one, place) in enumerate(zip(found, where, strict=True)):
                if not any(one):
                    continue
                parts = zip(own[index][:3], one, place[:3], strict=True)
                own[index] = self._with_excess(Rows(*(_replaced(*part, exact) for part in parts)), group.prompt)

    def _with_excess(self, rows: Rows, situation: str) -> Rows:
        weight = getattr(self.preset, "background_weight", 0.0)
        if self.background is None or not weight or not len(rows.segments):
            return rows
        return rows._replace(excess=np.float32(weight) * self.background.excess(rows.segments, situation))

    def _encode(
        self, texts: Sequence[str], contexts: Sequence[str], chosen: Sequence[int], exact: bool = False
    ) -> Vectors:
        """Rows of the chosen texts, prepared as the preset wants them."""
        if not chosen:
            return np.zeros((0, 0), dtype=np.float32)
        alike = self.preset.masks_alike
        encode = getattr(self.estimator, "encode_exact" if exact else "encode")
        found: Vectors = encode(
            [texts[i] for i in chosen], [contexts[i] for i in chosen] if alike else None, preprocess=alike
        )
        return found

    def _with_probabilities(self, scores: list[list[Score]]) -> list[list[Score]]:
        """Calibrated probabilities of the matches, where there is a calibration for texts encoded this way."""
        if not self.preset.masks_alike or getattr(self.estimator, "calibration", None) is None:
            return scores
        cosines = [match.cosine for row in scores for score in row for match in score.matches]
        found = iter(self.estimator.probability(cosines).tolist())  # type: ignore[attr-defined]
        return [[replace(s, matches=tuple(_told(m, next(found)) for m in s.matches)) for s in row] for row in scores]


def _told(match: Match, probability: float) -> Match:
    # There are hundreds in a step, and `replace` takes several times as long.
    return Match(match.reference, match.segment, match.cosine, probability)


def _encodable(group: Group) -> Group:
    """The group with U+FFFD in place of half characters; as long as before, so offsets stay."""
    texts = [group.prompt, *group.answers, *(p.explanation for p in group.references)]
    texts += [p.label for p in group.references]
    if not any(isinstance(text, str) and HALF.search(text) for text in texts):
        return group
    return replace(
        group,
        prompt=whole(group.prompt),
        references=tuple(replace(p, label=whole(p.label), explanation=whole(p.explanation)) for p in group.references),
        answers=tuple(whole(answer) if isinstance(answer, str) else answer for answer in group.answers),
    )


def _replaced(rows: Any, near: list[int], places: Vectors, exact: dict[int, Vectors]) -> Vectors:
    """The rows, or where some are near, a copy with these in full precision."""
    if near:
        rows = rows.copy()
        for i in near:
            rows[i] = exact[int(places[i])]
    return rows
