"""Stage ``generation``: answers to the held-out situations, by the run's policies and by any other systems."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from overton.errors import ModelError, RunError
from overton.generation.prompts import load_prompts
from overton.generation.sample import sample_answers
from overton.generation.session import Settings
from overton.generation.systems import Home, Outcome, answers_of
from overton.jsonio import read_jsonl, write_jsonl
from overton.progress import progress
from overton.recipe import Recipe
from overton.rundir import RunDir
from overton.segment import layout
from overton.types import Answer, Situation
from overton.weights import ready_to_generate


def check(recipe: Recipe, run: RunDir) -> None:
    """Read the prompts of all systems, before the stage removes answers that were made otherwise.

    Args:
        recipe: as for :func:`run`.
        run: the run directory.

    Raises:
        RecipeError: a prompt cannot be used.
        DataError: the run's SFT answers, where examples are drawn from them, cannot be read.
    """
    for system in recipe.generation.others:
        load_prompts(system, run.stage("data") / "sft.jsonl", recipe.seed)


def run(recipe: Recipe, run: RunDir) -> None:
    """Write ``generation/SYSTEM.jsonl`` for each system of the recipe, and ``SYSTEM-greedy.jsonl`` of policies.

    Replies of models that are asked lie in ``llm/`` of the run, so a stage that was killed goes on where it was.

    Raises:
        RunError: an endpoint brought no reply to some questions; what came is kept.
        ModelError: a model cannot be had, or a system has not one answer.
    """
    situations = _questions(recipe, run)
    folder, home = run.stage("generation"), _home(recipe, run)
    missing = []
    for system in recipe.generation.systems:
        if isinstance(system, str):
            _policy_files(recipe, run, system, situations)
            continue
        outcome = answers_of(system, situations, _settings(recipe), home)
        check_answers(system.name, outcome)
        write_jsonl(folder / f"{system.name}.jsonl", (a.to_json() for a in outcome.answers))
        if outcome.failed:
            missing.append(unanswered(system.name, outcome.failed, len(situations)))
    if missing:
        raise RunError("\n".join([*missing, "What came is kept: run the same command again for the rest."]))


def rehearse(recipe: Recipe, run: RunDir) -> None:
    """Print how many calls, tokens and dollars the systems that are asked would take; writes no answers.

    Raises:
        RunError: the run has no questions yet.
    """
    questions = run.path / "data" / "test.jsonl"
    if not questions.is_file():
        raise RunError(f"{questions}: missing. Run `overton data RECIPE` first, which makes the questions.")
    situations = _questions(recipe, run)
    home = replace(_home(recipe, run), dry_run=True)
    for system in recipe.generation.others:
        answers_of(system, situations, _settings(recipe), home)


def check_answers(system: str, outcome: Outcome) -> None:
    """Refuse a system without one answer that says anything.

    Raises:
        ModelError: with the most common reason.
    """
    if outcome.answers and not any(answer.answer for answer in outcome.answers):
        reason = Counter(answer.reason for answer in outcome.answers).most_common(1)[0][0]
        raise ModelError(f"{system}: not one of {len(outcome.answers)} answers says anything; most often: {reason}")


def unanswered(system: str, failed: Mapping[str, str], count: int) -> str:
    """One line on questions whose answers could not be fetched."""
    reasons = Counter(failed.values()).most_common(3)
    return f"{system}: {len(failed)} of {count} questions have no answer: " + "; ".join(
        f"{n} x {r}" for r, n in reasons
    )


def _questions(recipe: Recipe, run: RunDir) -> list[Situation]:
    situations = [Situation.from_json(row) for row in read_jsonl(run.path / "data" / "test.jsonl")]
    return situations[: recipe.generation.limit or None]


def _home(recipe: Recipe, run: RunDir) -> Home:
    return Home(run.path / "llm", run.path, recipe.policy.prompt_template)


def _settings(recipe: Recipe) -> Settings:
    own = recipe.generation
    return Settings(own.temperature, own.top_p, own.max_new_tokens, recipe.seed, own.format_retries)


def _policy_files(recipe: Recipe, run: RunDir, system: str, situations: Sequence[Situation]) -> None:
    """Answers of a policy as it was trained, sampled and greedy."""
    from overton.training.policy import load_policy

    options = recipe.generation
    model, tokenizer = load_policy(run.path / "training" / system / "model")
    model = ready_to_generate(model, recipe.training.bf16)
    with progress() as bar:
        for suffix, temperature in (("", options.temperature), ("-greedy", 0.0)):
            if suffix and not options.greedy:
                continue
            task = bar.add_task(f"answers of {system}{suffix}", total=len(situations))

            sample = partial(
                sample_answers,
                model,
                tokenizer,
                template=recipe.policy.prompt_template,
                system=system + suffix,
                temperature=temperature,
                top_p=options.top_p,
                max_new_tokens=options.max_new_tokens,
                batch_size=options.batch_size,
                on_batch=partial(bar.advance, task),
            )
            answers = sample(situations, seed=recipe.seed)
            for turn in range(1, 1 + (options.format_retries if temperature else 0)):
                broken = [i for i, answer in enumerate(answers) if not layout(answer.answer).valid]
                again = sample([situations[i] for i in broken], seed=recipe.seed + turn)
                for i, new in zip(broken, again, strict=True):
                    answers[i] = _retried(answers[i], new)
            write_jsonl(run.stage("generation") / f"{system}{suffix}.jsonl", (a.to_json() for a in answers))


def _retried(old: Answer, new: Answer) -> Answer:
    """The new answer with what both took."""

    def both(*values: Any) -> Any:
        return None if None in values else sum(values)

    def written(answer: Answer) -> int | None:
        return answer.tokens if answer.completion_tokens is None else answer.completion_tokens

    return replace(
        new,
        calls=(old.calls or 1) + 1,
        retries=(old.retries or 0) + 1,
        completion_tokens=both(written(old), written(new)),
        seconds=both(old.seconds, new.seconds),
    )
