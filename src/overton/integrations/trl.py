"""TRL: a reward function for ``GRPOTrainer(reward_funcs=...)``.

The data set needs the columns ``situation`` (text), ``situation_id`` and ``references`` (a list of
``{"label", "explanation"}``). Call shape: TRL 1.16, ``GRPOTrainer._calculate_rewards``.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from overton.prompting import completion_text
from overton.rewards import OvertonReward
from overton.rundir import write_jsonl
from overton.segment import SUMMARY_CLOSE
from overton.types import Group, Perspective, Score


class TrlReward:
    """Adapts :class:`~overton.rewards.OvertonReward` to TRL.

    Attributes:
        last_scores: scores of the last call, one a completion, for trainers that take credit per token.
        last_texts: the completions' texts, which the scores' offsets belong to.
        seconds: duration of the last call.
    """

    def __init__(
        self,
        reward: OvertonReward,
        completions_folder: Path | None = None,
        every: int = 10,
        max_tokens: int = 0,
    ) -> None:
        """
        Args:
            reward: what scores.
            completions_folder: sampled answers and their matches go there as ``step_XXXX.jsonl``.
            every: ... every so many steps.
            max_tokens: completions of this many tokens count as cut off; 0 = never.
        """
        self.__name__ = "overton"
        self.reward = reward
        self.completions_folder = completions_folder
        self.every = every
        self.max_tokens = max_tokens
        self.last_scores: list[Score] = []
        self.last_texts: list[str] = []
        self.seconds = 0.0

    def __call__(
        self,
        prompts: list[Any],
        completions: list[Any],
        completion_ids: list[list[int]] | None = None,
        *,
        situation: list[str],
        situation_id: list[str],
        references: list[list[dict[str, str]]],
        trainer_state: Any = None,
        log_metric: Callable[[str, float], None] | None = None,
        **_: Any,
    ) -> list[float | None]:
        """Rewards of one local batch, in order; ``None`` where an answer could not be scored."""
        started = time.perf_counter()
        texts = [completion_text(c) for c in completions]
        members: dict[str, list[int]] = {}
        for index, key in enumerate(situation_id):
            members.setdefault(key, []).append(index)
        groups = [
            Group(
                prompt=situation[rows[0]],
                references=tuple(Perspective(r["label"], r["explanation"]) for r in references[rows[0]]),
                answers=tuple(texts[i] for i in rows),
                finished=tuple(self._finished(completion_ids, texts, i) for i in rows),
            )
            for rows in members.values()
        ]
        scores: list[Score | None] = [None] * len(texts)
        for rows, group_scores in zip(members.values(), self.reward.score(groups), strict=True):
            for index, score in zip(rows, group_scores, strict=True):
                scores[index] = score
        self.last_scores = [s for s in scores if s is not None]
        self.last_texts = texts
        self.seconds = time.perf_counter() - started
        if log_metric is not None:
            self._log(log_metric)
        step = int(getattr(trainer_state, "global_step", 0) or 0)
        main = getattr(trainer_state, "is_world_process_zero", True)
        if self.completions_folder is not None and main and step % self.every == 0:
            self._write(step, situation, texts)
        return [s.value for s in self.last_scores]

    def _finished(self, completion_ids: list[list[int]] | None, texts: list[str], index: int) -> bool:
        if not self.max_tokens or completion_ids is None:
            return True
        return len(completion_ids[index]) < self.max_tokens or texts[index].rstrip().endswith(SUMMARY_CLOSE)

    def _log(self, log_metric: Callable[[str, float], None]) -> None:
        scored = [s for s in self.last_scores if s.value is not None]
        for name in sorted({key for s in scored for key in s.terms}):
            values = [s.terms[name] for s in scored if name in s.terms]
            key = name if name in ("perspectives", "valid_tags") else f"terms/{name}"
            log_metric(key, sum(values) / len(values))
        log_metric("unscored", float(len(self.last_scores) - len(scored)))
        log_metric("seconds/reward", self.seconds)

    def _write(self, step: int, situation: list[str], texts: list[str]) -> None:
        assert self.completions_folder is not None
        rows = (
            {
                "step": step,
                "prompt": prompt,
                "answer": text,
                "reward": score.value,
                "reason": score.reason,
                "terms": dict(score.terms),
                "matches": [[m.reference, m.segment, round(m.cosine, 4)] for m in score.matches],
                "repeated": list(score.repeated),
                "credits": list(score.credits),
            }
            for prompt, text, score in zip(situation, texts, self.last_scores, strict=True)
        )
        write_jsonl(self.completions_folder / f"step_{step:04d}.jsonl", rows)
