"""TRL's reward function as an object: :class:`TrlReward`, and :class:`AsyncTrlReward` around it."""

from __future__ import annotations

import asyncio
import math
import time
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from overton.errors import NonFiniteError, RecipeError
from overton.integrations.trl_batch import Batch, read_call, shared_scores
from overton.integrations.trl_preflight import GroupSplitError, check_groups
from overton.jsonio import write_jsonl
from overton.processes import count, gather, is_first
from overton.rewards.reward import Scorer
from overton.types import Score

# What TRL's table of completions shows of each.
COLUMNS = ("value", "coverage", "uniqueness", "precision", "perspectives", "reason")


class TrlReward:
    """Adapts :class:`~overton.rewards.OvertonReward` to TRL: an object of this class is a reward function.

    Several of them around one ``OvertonReward`` score a batch once.

    Attributes:
        last_scores: scores of the last call, one a completion, for trainers that take credit per token.
        last_texts: the completions' texts, which the scores' offsets belong to.
        seconds: duration of the last call.
    """

    def __init__(
        self,
        reward: Scorer,
        completions_folder: Path | None = None,
        every: int = 10,
        max_tokens: int | None = None,
        *,
        term: str = "",
        name: str = "overton",
        num_generations: int | None = 0,
    ) -> None:
        """
        Args:
            reward: what scores.
            completions_folder: sampled answers and their matches go there as ``step_XXXX.jsonl``, those of all
                processes; not those of evaluation.
            every: ... every so many steps.
            max_tokens: completions of this many tokens count as cut off, unless they end as the template does or with
                a token that ends the trainer's answers; 0 = never, ``None`` = the trainer's ``max_completion_length``,
                and never where no trainer can be asked.
            term: answer with this term instead of the whole reward.
            name: in TRL's logs, followed by the term; two rewards of one trainer need two names.
            num_generations: answers a situation must have in a batch, to notice groups that are split across
                processes; 0 = do not look, ``None`` = check the trainer's batch shape, where it can be asked.

        Raises:
            RecipeError: a path in place of a reward.
        """
        if isinstance(reward, str | Path):
            raise RecipeError(
                f"TrlReward wants a reward, found the name {str(reward)!r}; give load_reward({str(reward)!r})"
            )
        self.__name__ = f"{name}_{term}" if term else name
        self.reward = reward
        self.completions_folder = completions_folder
        self.every = every
        self.max_tokens = max_tokens
        self.term = term
        self.name = name
        self.num_generations = num_generations
        self.last_scores: list[Score] = []
        self.last_texts: list[str] = []
        self.seconds = 0.0
        self._written: tuple[int, list[dict[str, Any]]] = (-1, [])

    def __call__(
        self,
        prompts: list[Any],
        completions: list[Any],
        completion_ids: list[list[int]] | None = None,
        *,
        trainer_state: Any = None,
        log_metric: Callable[[str, float], None] | None = None,
        log_extra: Callable[[str, list[Any]], None] | None = None,
        **columns: Any,
    ) -> list[float | None]:
        """Rewards of one local batch, in order; ``None`` where an answer could not be scored.

        Raises:
            DataError: a column is missing or has the wrong length.
            NonFiniteError: a reward, or a term of it, is NaN or infinite; TRL would give the answer no weight.
            GroupSplitError: groups are split across processes.
            RecipeError: the preset has no such term.
        """
        started = time.perf_counter()
        # Of the methods that TRL hands over, the owner is the trainer. AsyncGRPO hands over none.
        trainer = getattr(log_metric, "__self__", None)
        limit = self.max_tokens
        if limit is None:
            limit = int(getattr(trainer, "max_completion_length", 0) or 0)
        ends = getattr(trainer, "eos_token_ids", None) or ()
        batch = read_call(prompts, completions, completion_ids, columns, limit, ends, trainer)
        self._check_groups(batch, trainer)
        scores, seconds, first = shared_scores(self.reward, batch, self.__name__, trainer)
        self.last_scores = list(scores)
        self.last_texts = list(batch.texts)
        _refuse_non_finite(scores)
        values = self._values(scores)
        self.seconds = time.perf_counter() - started
        if first:
            self._log(log_metric, log_extra, seconds)
        step = int(getattr(trainer_state, "global_step", 0) or 0)
        # Evaluation has the step of the training before it.
        trains = getattr(getattr(trainer, "model", None), "training", True)
        if self.completions_folder is not None and step % self.every == 0 and trains:
            self._write(step, batch)
        return values

    def _check_groups(self, batch: Batch, trainer: Any) -> None:
        if self.num_generations is None:
            if hasattr(trainer, "args"):
                check_groups(trainer.args)
            return
        wanted = self.num_generations
        if wanted and trainer is not None and not getattr(trainer.model, "training", True):
            wanted = getattr(trainer, "num_generations_eval", wanted)
        for rows in batch.rows() if wanted else ():
            if len(rows) % wanted:
                raise GroupSplitError(
                    f"this process has {len(rows)} of the answers to {batch.situations[rows[0]][:60]!r}, no multiple "
                    f"of num_generations {wanted}: the others are on another process. Make per_device_train_batch_size "
                    "x steps_per_generation (and per_device_eval_batch_size) a multiple of it."
                )

    def _values(self, scores: tuple[Score, ...]) -> list[float | None]:
        if not self.term:
            return [s.value for s in scores]
        scored = [s for s in scores if s.value is not None]
        if any(self.term not in s.terms for s in scored):
            raise RecipeError(
                f"{self.__name__}: the preset has no term {self.term!r}; it has {', '.join(sorted(scored[0].terms))}"
            )
        return [None if s.value is None else s.terms[self.term] for s in scores]

    def _log(
        self,
        log_metric: Callable[[str, float], None] | None,
        log_extra: Callable[[str, list[Any]], None] | None,
        seconds: float,
    ) -> None:
        scored = [s for s in self.last_scores if s.value is not None]
        for reason in sorted({s.reason for s in self.last_scores if s.value is None}):
            # Once for each reason, as Python's filter has it; TRL's own warning does not know why.
            warnings.warn(f"answers that could not be scored: {reason}", stacklevel=2)
        if log_metric is not None:
            prefix = "" if self.name == "overton" else f"{self.name}/"
            for name in sorted({key for s in scored for key in s.terms}):
                key = name if name in ("perspectives", "valid_tags") else f"terms/{name}"
                # TRL takes the mean over all calls on all processes: so every answer counts the same.
                for score in scored:
                    if name in score.terms:
                        log_metric(prefix + key, score.terms[name])
            # ... and what shall be a sum is told as many times larger.
            log_metric(f"{prefix}unscored", float(count() * (len(self.last_scores) - len(scored))))
            log_metric(f"{prefix}seconds/reward", seconds)
        if log_extra is not None:
            for name in COLUMNS:
                log_extra(f"{self.name}/{name}", [_cell(score, name) for score in self.last_scores])

    def _write(self, step: int, batch: Batch) -> None:
        assert self.completions_folder is not None
        rows = [
            {
                "step": step,
                "prompt": prompt,
                "answer": "" if text is None else text,
                "reward": score.value,
                "reason": score.reason,
                "terms": dict(score.terms),
                "matches": [[m.reference, m.segment, round(m.cosine, 4)] for m in score.matches],
                "repeated": list(score.repeated),
                "credits": list(score.credits),
            }
            for prompt, text, score in zip(batch.situations, batch.texts, self.last_scores, strict=True)
        ]
        rows = gather(rows)
        # A step of several batches has several calls.
        self._written = (step, [*self._written[1], *rows] if self._written[0] == step else rows)
        if is_first():
            write_jsonl(self.completions_folder / f"step_{step:04d}.jsonl", self._written[1])


def _refuse_non_finite(scores: Sequence[Score]) -> None:
    for place, score in enumerate(scores, 1):
        numbers = {"reward": score.value, **score.terms, **{f"credit {i}": c for i, c in enumerate(score.credits, 1)}}
        bad = [f"{name} {value}" for name, value in numbers.items() if value is not None and not math.isfinite(value)]
        if bad:
            raise NonFiniteError(f"the reward of answer {place} of {len(scores)} is not finite ({', '.join(bad)})")


def _cell(score: Score, name: str) -> Any:
    return getattr(score, name) if name in ("value", "reason") else score.terms.get(name)


class AsyncTrlReward:
    """A :class:`TrlReward` for TRL's asynchronous path: it scores in a thread while other functions wait.

    Args:
        reward: what is called; its name is kept.
    """

    def __init__(self, reward: TrlReward) -> None:
        self.__name__ = reward.__name__
        self.reward = reward

    async def __call__(self, *args: Any, **kwargs: Any) -> list[float | None]:
        """As :meth:`TrlReward.__call__`."""
        return await asyncio.to_thread(self.reward, *args, **kwargs)
