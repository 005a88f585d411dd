"""Answers of each system to the held-out situations, and what the evaluators say of them, one column a metric."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from headline.systems import SYSTEMS
from headline.train import Seed, part
from overton.data import read_answers, read_situations
from overton.errors import ModelError
from overton.evaluation.nli_train import train_world_nli
from overton.evaluation.score import evaluate
from overton.generation.session import Settings
from overton.generation.stage import check_answers, unanswered
from overton.generation.systems import Home, answers_of
from overton.jsonio import read_json, sha256, write_json, write_jsonl

# column -> (evaluator, its column)
COLUMNS = {
    "coverage": ("oracle", "coverage"),
    "precision": ("oracle", "precision"),
    "f1": ("oracle", "f1"),
    "set_f1": ("oracle", "set_f1"),
    "uniqueness": ("oracle", "uniqueness"),
    "nli_mean": ("nli", "nli_mean"),
    "nli_accuracy": ("nli", "nli_accuracy"),
    "perspective_ratio": ("form", "perspective_ratio"),
    "valid_tags": ("form", "valid_tags"),
    "tokens": ("form", "tokens"),
}


def measure(seed: Seed, name: str) -> None:
    """Let a system answer, and judge it. Needs its policies trained, and the answers that decide its length."""
    system, recipe = SYSTEMS[name], seed.recipe
    limit = round(_mean(values(seed, system.as_long_as)["tokens"])) if system.as_long_as else 0
    section = system.section(seed.policies.path, limit)
    made_from = {
        "system": {"strategy": system.strategy, "keys": system.keys, "limit": limit},
        "prompts": {name: sha256(Path(file)) for name, file in section.prompts.items()},
        "models": {name: sha256(seed.policies.stage(name) / "model") for name in system.policies},
        "generation": recipe.generation.deciding(),
        "evaluation": recipe.evaluation.deciding(),
        "situations": sha256(seed.run.path / "data" / "test.jsonl"),
        "nli": sha256(nli_model(seed) / "model.safetensors"),
    }
    part(seed.answers, name, made_from, lambda folder: _measure(seed, section, folder))


def values(seed: Seed, name: str) -> dict[str, list[float | None]]:
    """The measured columns of a system, one value a situation."""
    found: dict[str, list[float | None]] = read_json(seed.answers.stage(name) / "values.json")
    return found


def nli_model(seed: Seed) -> Path:
    """The evaluator's own model, trained once a seed."""
    pairs = seed.run.path / "data" / "nli.jsonl"
    made_from = {"pairs": sha256(pairs), "seed": seed.recipe.seed}
    part(seed.run, "nli", made_from, lambda folder: train_world_nli(pairs, folder / "model", seed.recipe.seed))
    return seed.run.stage("nli") / "model"


def _measure(seed: Seed, section: Any, folder: Path) -> None:
    from overton.evaluation import load_nli

    options = seed.recipe.generation
    situations = read_situations(seed.run.path / "data" / "test.jsonl")[: options.limit or None]
    settings = Settings(options.temperature, options.top_p, options.max_new_tokens, seed.recipe.seed)
    home = Home(seed.cache, seed.run.path, seed.recipe.policy.prompt_template)
    file = folder / "answers.jsonl"
    if not file.is_file():
        outcome = answers_of(section, situations, settings, home)
        check_answers(section.name, outcome)
        if outcome.failed:
            raise ModelError(unanswered(section.name, outcome.failed, len(situations)))
        write_jsonl(file, (a.to_json() for a in outcome.answers))
    answers = read_answers(file)
    rows = evaluate(
        section.name,
        answers,
        {s.id: s for s in situations},
        oracle=True,
        nli=load_nli(nli_model(seed)),
        nli_threshold=seed.recipe.evaluation.nli_threshold,
    )
    found = {name: [row[column] for row in rows[kind]] for name, (kind, column) in COLUMNS.items()}
    found["written"] = [a.completion_tokens for a in answers]  # by all calls
    found["seconds"] = [a.seconds for a in answers]
    write_json(folder / "values.json", found)


def _mean(column: list[float | None]) -> float:
    known = [x for x in column if x is not None]
    return sum(known) / len(known)
