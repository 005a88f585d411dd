"""What the adapters of verl, OpenRLHF and ms-swift share; it knows the call shape of none of them."""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Sequence
from concurrent.futures import Future
from threading import Lock
from typing import Any

from overton.errors import DataError, RecipeError
from overton.rewards import OvertonReward, load_reward, shared_reward
from overton.rewards.load import VARIABLE
from overton.types import Group, Perspective, Score

_log = logging.getLogger("overton.integrations")
MOST_UNREADABLE = 32
_SAID_AT_MOST = 100
_said: set[str] = set()
_Job = tuple[Sequence[Group], "Future[list[Score]]"]


class Scorer:
    """A reward that answers may come to one by one, from any number of threads.

    Whoever finds the encoder free takes along all answers that wait by then, so that a pool of threads gets
    batches without waiting for any.

    Attributes:
        reward: what scores.
        terms: names of the terms that every score of this reward has.
    """

    def __init__(self, reward: OvertonReward) -> None:
        """
        Args:
            reward: what scores.

        Raises:
            OvertonError: the reward cannot score anything at all, for example without a threshold.
        """
        self.reward = reward
        # One score now tells the names of the terms, and brings up what would fail on every answer.
        probe = Group("?", (Perspective("", "a reason"),), ("a reason",))
        self.terms = tuple(reward.score([probe])[0][0].terms)
        self._waiting: list[_Job] = []
        self._list_lock = Lock()
        self._encoder_lock = Lock()

    def score(self, groups: Sequence[Group]) -> list[Score]:
        """Scores of groups of one answer each, in order."""
        job: Future[list[Score]] = Future()
        with self._list_lock:
            self._waiting.append((groups, job))
        with self._encoder_lock:
            if not job.done():
                with self._list_lock:
                    jobs, self._waiting = self._waiting, []
                self._run(jobs)
        return job.result()

    def named_terms(self, score: Score) -> dict[str, float]:
        """Every term of the reward as a plain number; 0 where the score has none, since it could not be made."""
        return {name: float(score.terms.get(name, 0.0)) for name in self.terms}

    def _run(self, jobs: Sequence[_Job]) -> None:
        try:
            scores = iter(self.reward.score([group for groups, _ in jobs for group in groups]))
            for groups, job in jobs:
                job.set_result([next(scores)[0] for _ in groups])
        except BaseException as error:
            if len(jobs) > 1 and isinstance(error, Exception):  # only the one to blame may fail
                for alone in jobs:
                    self._run([alone])
                return
            for _, job in jobs:
                job.set_exception(error)


_lock = Lock()
_scorers: dict[str, Scorer] = {}


def load_scorer(reward: str | None = None, preset: str | None = None, **overrides: Any) -> Scorer:
    """The process's scorer with these settings, loaded on first use; safe to call from threads.

    Args:
        reward: as for :func:`overton.rewards.load_reward`; ``None`` = the environment variable ``OVERTON_REWARD``.
        preset: takes the place of the preset that ``reward`` names; of another one its overrides do not count.
        overrides: fields of the preset.

    Raises:
        OvertonError: the settings, or the estimator they name, are of no use.
    """
    shared = shared_reward() if reward is None and preset is None and not overrides else None
    named = os.environ.get(VARIABLE) if reward is None else reward
    key = repr((named, preset, sorted(overrides.items()))) if shared is None else f"shared {id(shared)}"
    with _lock:
        if key not in _scorers:
            _scorers[key] = Scorer(load_reward(reward, preset=preset, **overrides) if shared is None else shared)
        return _scorers[key]


def load_lone_scorer(framework: str, reward: str | None = None, preset: str | None = None, **overrides: Any) -> Scorer:
    """:func:`load_scorer` for a framework that shows one answer at a time, and not whether it was cut off.

    A ``cut_off_penalty`` that somebody chose is warned of once; the default one is not.

    Args:
        framework: its name, for messages.
        reward: as for :func:`load_scorer`, like the other two.
        preset: likewise.
        overrides: likewise.

    Raises:
        OvertonError: the settings are of no use, or a term of the preset compares answers of a group.
    """
    scorer = load_scorer(reward, preset, **overrides)
    own = scorer.reward.preset
    if own.compares:
        none = "none" if isinstance(getattr(own, own.compares), str) else 0
        raise RecipeError(
            f"reward: `{own.compares}: {getattr(own, own.compares)}` compares the answers of a group, and {framework} "
            f"shows one answer at a time, so it would add a constant. Set `{own.compares}: {none}`, or take a trainer "
            "or a reward server that sees whole groups (docs/trainers.md)"
        )
    chosen = getattr(own, "cut_off_penalty", 0.0)
    if chosen and chosen != getattr(type(own), "cut_off_penalty", 0.0):
        _warn_once(f"cut_off_penalty {chosen:g} does nothing here: {framework} does not say which answers were cut off")
    return scorer


def from_json_text(value: Any, where: str) -> Any:
    """The value itself, or what it says as JSON where it is text.

    Raises:
        DataError: it is text, but not JSON.
    """
    if not isinstance(value, str):
        return value
    try:
        return json.loads(value)
    except ValueError:
        raise DataError(f"{where}: JSON is wanted, found the text {value[:60]!r}") from None


def is_missing(value: Any) -> bool:
    """Whether a cell holds nothing, so that another column counts in its place: ``None`` or an empty text."""
    return value is None or (isinstance(value, str) and not value.strip())


def situation_text(value: Any, where: str) -> str:
    """The situation, whose words are masked before texts are compared.

    Raises:
        DataError: it is missing, empty or no text.
    """
    if not isinstance(value, str) or not value.strip():
        raise DataError(f"{where}: the situation is wanted, a text that is not empty; found {value!r:.60}")
    return value


class FirstRows:
    """Notices a data set of which no row can be read, such as one with a column of another name.

    Without it every reward of a run would be 0. Once a row could be read, nothing is an error any more.
    """

    def __init__(self) -> None:
        self._read = False
        self._failed = 0
        self._lock = Lock()

    def readable(self) -> None:
        """A row could be read."""
        self._read = True

    def unreadable(self, error: DataError, rows: int = 1) -> None:
        """Some rows could not.

        Raises:
            DataError: none could be read yet, of :data:`MOST_UNREADABLE`.
        """
        with self._lock:
            self._failed += rows
            if self._read or self._failed < MOST_UNREADABLE:
                return
        raise DataError(f"not one row of the data set could be read so far; the last one: {error}")


first_rows = FirstRows()  # of the process


def log_unscored(reason: str) -> None:
    """Warn of answers that could not be scored; the same reason is said once a process."""
    _warn_once(f"an answer could not be scored (said once): {reason}")


def _warn_once(text: str) -> None:
    if text not in _said and len(_said) < _SAID_AT_MOST:
        _said.add(text)
        _log.warning("%s", text)
