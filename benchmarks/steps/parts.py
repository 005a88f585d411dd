"""A reward that costs nothing, a clock of steps, and trainers whose answers are known beforehand."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from transformers import TrainerCallback

from overton.integrations.trl import TrlReward
from overton.precision import has_fast_bf16
from overton.prompting import build_prompt
from overton.types import Group, Score


class ConstantReward:
    """The same number for every answer: what a step costs without a reward.

    Attributes:
        last_scores: as of :class:`~overton.integrations.trl.TrlReward`.
        last_texts: likewise, empty.
    """

    __name__ = "constant"

    def __init__(self) -> None:
        self.last_scores: list[Score] = []
        self.last_texts: list[str] = []

    def __call__(self, prompts: Sequence[Any], completions: Sequence[Any], **columns: Any) -> list[float]:
        """Zeros."""
        self.last_scores, self.last_texts = [Score(0.0)] * len(completions), [""] * len(completions)
        return [0.0] * len(completions)


class TimedReward(TrlReward):
    """A :class:`~overton.integrations.trl.TrlReward` that keeps the CPU and wall seconds of each call.

    A call counts as a step: trainers that begin anew at every turn would write their answers at each first step, where
    a training writes them at every tenth.

    Attributes:
        cpu: seconds of processors, one a call.
        wall: seconds by the clock, one a call.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.cpu: list[float] = []
        self.wall: list[float] = []

    def __call__(self, *args: Any, **kwargs: Any) -> list[float | None]:
        """As the base."""
        kwargs["trainer_state"] = SimpleNamespace(global_step=len(self.cpu))
        cpu, wall = time.process_time(), time.perf_counter()
        values = super().__call__(*args, **kwargs)
        self.cpu.append(time.process_time() - cpu)
        self.wall.append(time.perf_counter() - wall)
        return values


class StepClock(TrainerCallback):
    """Seconds of each step, from its batch to its row of metrics.

    Args:
        clock: for example ``time.process_time``.

    Attributes:
        seconds: one a step.
    """

    def __init__(self, clock: Callable[[], float] = time.process_time) -> None:
        self.clock = clock
        self.seconds: list[float] = []
        self._began = 0.0

    def on_step_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Start."""
        self._began = self.clock()

    def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **kwargs: Any) -> None:
        """Stop; the trainer logs every step, and once more at the end."""
        if logs and "train_runtime" not in logs:
            self.seconds.append(self.clock() - self._began)


def rows_of(groups: Sequence[Group], tokenizer: Any, template: str = "{situation}") -> list[dict[str, Any]]:
    """Rows of a data set for GRPO, with the answers that :func:`written` gives."""
    return [
        {
            "prompt": build_prompt(group.prompt, template, tokenizer),
            "situation": group.prompt,
            "situation_id": str(index),
            "references": [{"label": p.label, "explanation": p.explanation} for p in group.references],
        }
        for index, group in enumerate(groups)
    ]


def written(trainer: type, answers: dict[str, list[list[int]]]) -> type:
    """A trainer that generates as ever and then takes other answers in place of what came.

    A policy with random weights writes nonsense, which costs to generate what anything costs, but nothing to score. So
    the reward and the update get real answers.

    Args:
        trainer: class of the trainer.
        answers: prompt, as text -> token ids of the answers that its group gets, in turn.
    """

    class Written(trainer):  # type: ignore[misc, valid-type]
        def __init__(self, *args: Any, **kwargs: Any) -> None:
            super().__init__(*args, **kwargs)
            self.generations: list[tuple[int, int, float]] = []  # rows, tokens a row, seconds

        def _generate_single_turn(self, prompt_ids: Any, images: Any, fields: Any, count: int, **more: Any) -> Any:
            seen: dict[tuple[int, ...], int] = {}
            found = []
            for prompt in prompt_ids:
                key = tuple(prompt)
                turn = seen[key] = seen.get(key, -1) + 1
                given = answers[self._tokenizer.decode(prompt, skip_special_tokens=True)]
                found.append(list(given[turn % len(given)]))
            # A batch is done when its longest answer is.
            longest = max(map(len, found))
            self.generation_config.update(max_new_tokens=longest, min_new_tokens=longest)
            began = time.perf_counter()
            _, probabilities = super()._generate_single_turn(prompt_ids, images, fields, count, **more)
            self.generations.append((len(found), longest, time.perf_counter() - began))
            return found, probabilities

    return Written


def answer_ids(
    groups: Sequence[Group], tokenizer: Any, limit: int, template: str = "{situation}"
) -> dict[str, list[list[int]]]:
    """What :func:`written` wants: the groups' answers as tokens, with the end of text where it fits into the limit."""
    from overton.prompting import prompt_ids

    found = {}
    for group in groups:
        key = tokenizer.decode(prompt_ids(group.prompt, template, tokenizer), skip_special_tokens=True)
        rows = tokenizer(list(group.answers), add_special_tokens=False)["input_ids"]
        found[key] = [[*row, tokenizer.eos_token_id][:limit] for row in rows]
    return found


def arguments(folder: Path, **settings: Any) -> Any:
    """Settings of TRL for measuring: nothing is learnt, nothing is saved, every step is logged.

    As in our trainers, bfloat16 only where the machine is fast at it.
    """
    import torch
    from trl import GRPOConfig

    cpu = not torch.cuda.is_available()
    return GRPOConfig(
        **{
            "output_dir": str(folder),
            "learning_rate": 0.0,
            "lr_scheduler_type": "constant",
            "logging_steps": 1,
            "save_strategy": "no",
            "report_to": "none",
            "disable_tqdm": True,
            "use_cpu": cpu,
            "bf16": has_fast_bf16("cpu" if cpu else "cuda"),
            "dataloader_pin_memory": not cpu,
            "beta": 0.0,
        }
        | settings
    )
