"""The stages in order, and how a run goes through them: skip what is done, resume what was killed.

Of several processes the first one runs every stage. The others wait until the training, take part in it, and leave.
"""

from __future__ import annotations

import importlib
import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from overton import processes
from overton.errors import DataError, RunError
from overton.inputs import input_hash, outside_hash
from overton.jsonio import write_text
from overton.lock import LOCK, locked
from overton.progress import console, say
from overton.recipe import Recipe, dump_recipe
from overton.rundir import RunDir


@dataclass(frozen=True, slots=True)
class Stage:
    """One stage of a run.

    Attributes:
        name: section of the recipe, package and folder.
        verb: verb of the command line.
        sections: sections of the recipe that its result depends on.
        reads: files or folders of other stages, relative to the run; a missing one is an error.
        uses: the same, for files that may be absent.
    """

    name: str
    verb: str
    sections: tuple[str, ...]
    reads: tuple[str, ...]
    uses: tuple[str, ...] = ()


STAGES = (
    Stage("data", "data", ("data", "llm"), ()),
    # What it is trained on, its section says (`reads`).
    Stage("estimator", "estimator", ("estimator",), ()),
    Stage(
        "training",
        "train",
        ("policy", "reward", "training"),
        ("data/train.jsonl", "data/sft.jsonl", "estimator/model", "estimator/calibration.json"),
    ),
    # What else it reads, the recipe's systems decide.
    Stage("generation", "generate", ("policy", "generation"), ("data/test.jsonl",)),
    Stage("evaluation", "evaluate", ("evaluation",), ("data/test.jsonl", "generation"), ("data/nli.jsonl",)),
    Stage(
        "report",
        "report",
        ("report",),
        ("evaluation/summary.json", "generation"),
        (
            "data/test.jsonl",
            "training/grpo/metrics.jsonl",
            "training/sft/metrics.jsonl",
            "estimator/calibration.json",
            "estimator/benchmark.json",
        ),
    ),
)
NAMES = tuple(stage.name for stage in STAGES)
# The only stage that all processes take part in.
_SHARED = "training"
_POLL_SECONDS = 0.5


def find_stage(name: str) -> Stage:
    """A stage by its name or verb.

    Raises:
        RunError: there is no such stage.
    """
    for stage in STAGES:
        if name in (stage.name, stage.verb):
            return stage
    raise RunError(f"no stage named {name!r}; stages in order: {', '.join(NAMES)}")


def open_run(recipe: Recipe, run: RunDir) -> None:
    """Make or reopen the run's folder and store the resolved recipe in it.

    Raises:
        RunError: the folder belongs to another recipe, or cannot be written.
    """
    _check_folder(recipe, run)
    write_text(run.path / "recipe.yaml", dump_recipe(recipe))


def _check_folder(recipe: Recipe, run: RunDir) -> None:
    stored = run.path / "recipe.yaml"
    if run.path.exists() and not run.path.is_dir():
        raise RunError(f"{run.path}: is a file; give a folder with --run-dir")
    if stored.exists():
        import yaml

        try:
            other = (yaml.safe_load(stored.read_text(encoding="utf-8")) or {}).get("name")
        except (OSError, ValueError, yaml.YAMLError, AttributeError):
            other = None
        if other != recipe.name:
            raise RunError(
                f"{run.path}: holds a run of recipe {other!r}, not {recipe.name!r}. "
                "Give another folder with --run-dir, or remove this one."
            )
    elif run.path.is_dir() and any(path.name != LOCK for path in run.path.iterdir()):
        raise RunError(
            f"{run.path}: is not empty and not a run directory. Give another folder with --run-dir. If its files were "
            f"made for this run, put a recipe.yaml with the line `name: {recipe.name}` beside them."
        )


def stages_between(recipe: Recipe, first: str, last: str) -> tuple[Stage, ...]:
    """The stages from ``first`` to ``last``, without the training where no system that answers needs it.

    Raises:
        RunError: there is no such stage, or ``first`` comes after ``last``.
    """
    start, stop = NAMES.index(find_stage(first).name), NAMES.index(find_stage(last).name)
    if start > stop:
        raise RunError(f"stage {first} comes after {last}; stages in order: {', '.join(NAMES)}")
    stages = STAGES[start : stop + 1]
    if _trains(recipe, [stage.name for stage in stages]):
        return stages
    return tuple(stage for stage in stages if stage.name != _SHARED)


def run_stages(recipe: Recipe, run: RunDir, first: str = "data", last: str = "report") -> None:
    """Run the stages from ``first`` to ``last``; finished ones with unchanged inputs are skipped.

    Stages before ``first`` are taken as they are; one that was made with other settings is named in a warning.
    The training is left out where it lies between others and no system that answers is a policy of this run.

    Args:
        recipe: the resolved recipe.
        run: where to.
        first: name or verb of the first stage.
        last: name or verb of the last stage.

    Raises:
        RunError: an earlier stage's file is missing, ``first`` comes after ``last``, or another process works on the
            run.
        OvertonError: what a stage raises for bad input.
    """
    stages = stages_between(recipe, first, last)
    start, stop = NAMES.index(find_stage(first).name), NAMES.index(find_stage(last).name)
    if len(stages) <= stop - start:
        console.print("[dim]training: left out, no system of generation.systems is trained here[/dim]")
    if not processes.is_first():
        _help_first(recipe, run, stages)
        return
    _check_folder(recipe, run)  # a folder of something else gets no lock either
    if not (run.path / "recipe.yaml").exists():
        _read(recipe, run, stages[0])  # a mistyped folder is not made
    with locked(run.path):
        if others := [told for stage in STAGES[:start] if (told := _made_otherwise(recipe, run, stage))]:
            say(
                f"taken as they are, though this recipe has other settings for them: {'; '.join(others)}. "
                "`overton run RECIPE` makes them anew",
                style="yellow",
            )
        open_run(recipe, run)
        for stage in stages:
            if stage.name == _SHARED:
                run_stage(recipe, run, stage)
            else:
                with processes.alone():
                    run_stage(recipe, run, stage)


def run_stage(recipe: Recipe, run: RunDir, stage: Stage) -> bool:
    """Run one stage unless it is finished; returns whether it ran."""
    made_from = _made_from(recipe, run, stage)
    if run.is_complete(stage.name, made_from):
        console.print(f"[dim]{stage.name}: up to date[/dim]")
        return False
    console.rule(f"[bold]{stage.name}[/bold]", align="left")
    if recipe.threads and (stage.name != "data" or recipe.data.encodes):
        import torch

        torch.set_num_threads(recipe.threads)
    module = importlib.import_module(f"overton.{stage.name}.stage")
    if processes.is_first():
        if check := getattr(module, "check", None):
            check(recipe, run)  # what cannot be used must not cost what is there
        writes = recipe.generation.writes if stage.name == "generation" else None
        run.begin(stage.name, made_from, writes, clear=stage.name != _SHARED)  # the training has parts, which may stay
    wall, cpu = time.perf_counter(), _cpu_seconds()
    if stage.name == _SHARED:
        processes.wait_for_all()  # what the stage finds was made from something else is gone now
    module.run(recipe, run)
    if stage.name == _SHARED:
        processes.part()
    seconds = time.perf_counter() - wall
    if processes.is_first():
        run.finish(stage.name, seconds, _cpu_seconds() - cpu)
    console.print(f"[dim]{stage.name}: done in {seconds:.0f} s[/dim]")
    return True


def _made_otherwise(recipe: Recipe, run: RunDir, stage: Stage) -> str:
    """Which settings a finished stage was made with that are not the recipe's: "data (data.train)", or nothing."""
    record = run.manifest(stage.name) or {}
    if record.get("status") != "complete":
        return ""
    before, now = record["made_from"], _settings(recipe, stage)
    keys = ["seed"] if before["seed"] != now["seed"] else []
    for name in {**before["sections"], **now["sections"]}:
        old, new = before["sections"].get(name, {}), now["sections"].get(name, {})
        keys += [f"{name}.{key}" for key in {**old, **new} if old.get(key) != new.get(key)]
    return f"{stage.name} ({', '.join(keys)})" if keys else ""


def _trains(recipe: Recipe, stages: Sequence[str]) -> bool:
    """Whether these stages need the training, or are asked for it by name."""
    if _SHARED not in stages[1:] or "generation" not in stages:
        return True
    return any(name.startswith(f"{_SHARED}/") for name in recipe.generation.reads)


def _help_first(recipe: Recipe, run: RunDir, stages: Sequence[Stage]) -> None:
    """What the other processes do: wait for each stage before the training, and take part in that."""
    if _SHARED not in [stage.name for stage in stages]:
        return
    for stage in stages:
        if stage.name == _SHARED:
            run_stage(recipe, run, stage)
            return
        # The run directory tells, as every process reads it anyway. Connections would have to be kept open for hours.
        while not run.is_complete(stage.name, _made_from(recipe, run, stage)):
            time.sleep(_POLL_SECONDS)


def _read(recipe: Recipe, run: RunDir, stage: Stage) -> tuple[str, ...]:
    """What the stage reads of other stages; a missing one is an error."""
    names = (*stage.reads, *getattr(getattr(recipe, stage.name), "reads", ()))
    for name in names:
        path = run.path / name
        if not path.exists():
            source = find_stage(name.split("/")[0])
            if stage.name == "estimator" and (run.manifest(source.name) or {}).get("status") == "complete":
                raise DataError(
                    f"{path}: missing, since the data do not say which perspectives are the same, and without that no "
                    "estimator can be trained or calibrated. Give perspectives that say the same one `cluster` "
                    "(docs/data.md), or take an estimator that is there: `estimator.train_on: nothing` "
                    "(docs/estimator.md)"
                )
            raise RunError(f"{path}: missing. Run `overton {source.verb} RECIPE` first, or `overton run RECIPE`.")
    return names


def _made_from(recipe: Recipe, run: RunDir, stage: Stage) -> dict[str, Any]:
    inputs = {name: input_hash(run, name) for name in _read(recipe, run, stage)}
    inputs |= {name: input_hash(run, name) for name in stage.uses if (run.path / name).exists()}
    inputs |= _outside_hashes(recipe, run, stage)
    return {**_settings(recipe, stage), "inputs": inputs}


def _settings(recipe: Recipe, stage: Stage) -> dict[str, Any]:
    sections = {name: part for name in stage.sections if (part := getattr(recipe, name).deciding())}
    if stage.name == "data" and recipe.data.encodes:
        sections["estimator"] = {name: recipe.estimator.deciding()[name] for name in ("base", "max_seq_length", "bf16")}
    return {"seed": recipe.seed, "sections": sections}


def _outside_hashes(recipe: Recipe, run: RunDir, stage: Stage) -> dict[str, str]:
    """Of the files and folders outside the run that a stage reads; names of the hub stay names."""
    section = recipe.policy if stage.name == _SHARED else getattr(recipe, stage.name)
    paths: list[Path] = list(getattr(section, "outside", ()))
    if stage.name == "data" and recipe.data.encodes:
        paths += recipe.estimator.outside
    if stage.name == "data" and recipe.data.asks:
        paths += recipe.llm.outside
    before = ((run.manifest(stage.name) or {}).get("made_from") or {}).get("inputs", {})
    found = {}
    for path in paths:
        if path.exists():
            found[str(path)] = outside_hash(path, run.path, write=processes.is_first())
        elif str(path) in before:
            later = NAMES[NAMES.index(stage.name) + 1]
            raise RunError(
                f"{path}: is no longer there, and {run.stage(stage.name)} was made from it. Put it back, or go on with "
                f"what was made: `overton run RECIPE --from {later}`."
            )
    return found


def _cpu_seconds() -> float:
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system
