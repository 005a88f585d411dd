"""ms-swift: importing this module registers the rewards ``overton``, ``overton_coverage``, ``overton_uniqueness``.

Give ``--external_plugins`` a file of your own that imports it (``examples/swift/plugin.py``), since ms-swift puts
the folder of that file on ``sys.path``. The data set needs the column ``references``, and should have ``situation``.
Call shape: ms-swift 4.6, ``swift/rl_core/grpo_algorithm.py``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from overton.errors import DataError, MissingDependencyError, RecipeError
from overton.integrations.common import (
    MOST_UNREADABLE,
    first_rows,
    is_missing,
    load_scorer,
    log_unscored,
    situation_text,
)
from overton.prompting import plain_text
from overton.rewards import parse_references
from overton.types import Group, Perspective, Score

if __name__ != "overton.integrations.swift":
    # The folder of this file, now on sys.path, holds modules called trl, verl and swift.
    raise RecipeError(
        f"--external_plugins {__file__}: give a file of your own instead, outside the package, with the line "
        "`import overton.integrations.swift`"
    )

try:
    from swift.rewards import ORM, orms
except ImportError as error:
    raise MissingDependencyError(
        f"overton.integrations.swift needs ms-swift in this environment ({error}): pip install ms-swift==4.6.0"
    ) from None


class Overton(ORM):  # type: ignore[misc]
    """The whole reward. ms-swift names metrics after the class.

    Attributes:
        term: the term that is the reward; ``""`` = the whole reward.
    """

    term = ""

    def __init__(
        self,
        args: Any = None,
        *,
        reward: str | None = None,
        preset: str | None = None,
        overrides: Mapping[str, float] | None = None,
        **kwargs: Any,
    ) -> None:
        """
        Args:
            args: ms-swift's; nothing of it is looked at.
            reward: for subclasses, another reward than the environment variable ``OVERTON_REWARD``: a settings
                file, run directory, estimator folder or hub name.
            preset: name of a preset, or its file.
            overrides: fields of the preset.
            kwargs: ms-swift's.

        Raises:
            OvertonError: the settings, or the estimator they name, are of no use, or there is no such term.
        """
        super().__init__(args, **kwargs)
        scorer = load_scorer(reward, preset, **(overrides or {}))
        if self.term and self.term not in scorer.terms:
            raise DataError(f"this preset has no term {self.term!r}; it has: {', '.join(scorer.terms)}")
        self.reward = scorer.reward

    def __call__(self, completions: Sequence[Any], **kwargs: Any) -> list[float | None]:
        """Rewards of one batch, in order; ``None`` where an answer could not be scored, and the reason is logged.

        Args:
            completions: the answers.
            kwargs: columns of the data set and of ms-swift, one value an answer: ``references`` in a form that
                :func:`overton.rewards.parse_references` reads, ``situation`` (without it the last message of the
                user), ``prompt_id`` (without it answers to the same situation are a group), ``is_truncated``.

        Raises:
            DataError: the data set has no column ``references``, a column has another length, or no row of this batch
                can be read and none could before.
        """
        scores = _scores(self.reward, completions, kwargs)
        for score in scores:
            if score.value is None:
                log_unscored(score.reason)
        if not self.term:
            return [score.value for score in scores]
        return [None if score.value is None else float(score.terms[self.term]) for score in scores]


class OvertonCoverage(Overton):
    """Share of the references that the answer covers."""

    term = "coverage"


class OvertonUniqueness(Overton):
    """Share of the answer's perspectives that differ from each other."""

    term = "uniqueness"


def _scores(reward: Any, completions: Sequence[Any], columns: Mapping[str, Any]) -> list[Score]:
    size = len(completions)
    if size and columns.get("references") is None:
        raise DataError(
            "the data set needs the column `references` (a list of texts, or of mappings with `explanation` and "
            f"perhaps `label`, for each row); found the columns {', '.join(sorted(columns))}"
        )
    for name in ("references", "situation", "prompt_id", "is_truncated", "messages"):
        if columns.get(name) is not None and len(columns[name]) != size:
            raise DataError(f"column `{name}` has {len(columns[name])} rows for {size} answers")
    scores = [Score(None)] * size
    members: dict[tuple[Any, str, tuple[Perspective, ...]], list[int]] = {}
    for row in range(size):
        try:
            # The prompt's id holds within one batch, and says nothing of the references.
            key = (_value(columns, "prompt_id", row), _situation(columns, row), _references(columns, row))
        except DataError as error:
            scores[row] = Score(None, str(error))
        else:
            members.setdefault(key, []).append(row)
    if members:
        first_rows.readable()
    elif size:
        first_rows.unreadable(DataError(scores[-1].reason), MOST_UNREADABLE)
    groups = [
        Group(
            prompt=situation,
            references=references,
            answers=tuple(completions[row] for row in rows),
            finished=tuple(not _value(columns, "is_truncated", row) for row in rows),
        )
        for (_, situation, references), rows in members.items()
    ]
    for rows, found in zip(members.values(), reward.score(groups), strict=True):
        for row, score in zip(rows, found, strict=True):
            scores[row] = score
    return scores


def _value(columns: Mapping[str, Any], name: str, row: int) -> Any:
    return columns[name][row] if columns.get(name) is not None else None


def _references(columns: Mapping[str, Any], row: int) -> tuple[Perspective, ...]:
    return parse_references(columns["references"][row], "column `references`")


def _situation(columns: Mapping[str, Any], row: int) -> str:
    found = _value(columns, "situation", row)
    if is_missing(found):
        asked = [m for m in _value(columns, "messages", row) or [] if m.get("role") == "user"]
        found = plain_text(asked[-1].get("content")) if asked else None
    return situation_text(found, "column `situation`")


orms.update(overton=Overton, overton_coverage=OvertonCoverage, overton_uniqueness=OvertonUniqueness)
