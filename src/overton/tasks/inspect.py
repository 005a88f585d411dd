"""The benchmark as a task of Inspect (https://inspect.aisi.org.uk, package inspect-ai).

Inspect finds it through the entry point ``inspect_ai`` of this package: ``inspect eval overton/overton``.
"""

from __future__ import annotations

import asyncio
import math

from inspect_ai import Task, task
from inspect_ai.dataset import MemoryDataset, Sample
from inspect_ai.model import GenerateConfig
from inspect_ai.scorer import Score, Scorer, Target, mean, scorer, stderr
from inspect_ai.solver import TaskState, generate

from overton.tasks.measure import METRICS, Evaluator, check_evaluator, load_questions, prompt_text, score_answer
from overton.types import Situation


@task
def overton(references: str = "", prompt: str = "implicit", estimator: str = "", nli_model: str = "") -> Task:
    """How much of the spectrum of reasonable perspectives does an answer show?

    Args:
        references: questions with references, any file that ``overton score --references`` takes; without one, 200
            held-out situations of the bundled world.
        prompt: ``implicit`` (the bare question), ``explicit`` (asked for all perspectives), or a file with
            ``{question}`` in it.
        estimator: encoder that judges; without one the untuned all-MiniLM-L6-v2 at its measured threshold.
        nli_model: three-class cross-encoder that judges instead.
    """
    samples = [
        Sample(id=s.id, input=prompt_text(s.text, prompt), target=_target(s), metadata={"situation": s.to_json()})
        for s in load_questions(references)
    ]
    return Task(
        dataset=MemoryDataset(samples, name="overton"),
        solver=generate(),
        scorer=spectrum(estimator, nli_model),
        metadata={"evaluator": check_evaluator(Evaluator(estimator, nli_model))},
        config=GenerateConfig(temperature=0.0, max_tokens=1024),  # as overton.yaml
        version="1.0",  # as there
    )


@scorer(metrics={name: [mean(), stderr()] for name in METRICS})
def spectrum(estimator: str = "", nli_model: str = "") -> Scorer:
    """Coverage, precision, uniqueness and F1 of an answer against the references; arguments as of the task."""
    evaluator = Evaluator(estimator, nli_model)
    told = {"evaluator": check_evaluator(evaluator)}  # in each score too: a log may be scored again by another one
    turn = asyncio.Lock()  # one answer at a time: the encoder uses all cores, and Inspect scores many samples at once

    async def score(state: TaskState, target: Target) -> Score:
        situation = Situation.from_json(state.metadata["situation"])
        async with turn:
            found = await asyncio.to_thread(score_answer, situation, state.output.completion, evaluator)
        if all(found[name] is None for name in METRICS):
            return Score.unscored(reason=found["reason"], answer=state.output.completion, metadata=told)
        return Score(
            # Inspect leaves NaN out of the mean, and counts it as unscored.
            value={name: math.nan if found[name] is None else float(found[name]) for name in METRICS},
            answer=state.output.completion,
            explanation=found["reason"] or None,
            metadata=told,
        )

    return score


def _target(situation: Situation) -> list[str]:
    return [p.explanation for p in situation.perspectives]
