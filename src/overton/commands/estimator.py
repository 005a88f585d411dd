"""``overton estimator``: the stage, and what one does with estimators beside it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperGroup

from overton.commands.options import JsonOption, print_json

if TYPE_CHECKING:
    from rich.table import Table

    from overton.estimator.encode import SimilarityEstimator


class StageGroup(TyperGroup):
    """Verbs below a stage's verb; anything else is the stage's recipe, as for every other stage."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Put ``run`` before a recipe."""
        if args and args[0] not in self.commands and args[0] not in ("-h", "--help"):
            args = ["run", *args]
        return super().parse_args(ctx, args)


estimator_app = typer.Typer(cls=StageGroup, no_args_is_help=True)


@estimator_app.command()
def benchmark(
    models: Annotated[
        list[str],
        typer.Argument(metavar="MODEL...", help="Runs, folders or hub names of Sentence Transformers."),
    ],
    argkp: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Folder of Key Point Analysis 2021.", show_default=False)
    ] = None,
    perspectrum: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Folder of PERSPECTRUM.", show_default=False)
    ] = None,
    responses: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Logged answers of published systems (JSONL).", show_default=False),
    ] = None,
    questions: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Folder of their questions, test_5p.csv ...", show_default=False)
    ] = None,
    limit: Annotated[int, typer.Option(min=0, help="First questions of each file; 0 = all.")] = 50,
    split: Annotated[str, typer.Option(help="Which official split: train, dev or test.")] = "dev",
    seed: Annotated[int, typer.Option(min=0, max=2**31 - 1, help="Of the bootstrap and of the halves.")] = 0,
    output: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write all figures here as JSON.", show_default=False)
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Measure how well estimators agree with people, on labels of Key Point Analysis and PERSPECTRUM.

    Each tuned model is shown beside its untuned base.
    """
    from rich.console import Console

    from overton.data.sources import files_of
    from overton.estimator.logged import read_logged
    from overton.estimator.people import measure, read_labels, rows_of
    from overton.jsonio import keep_inputs, write_json
    from overton.rundir import versions

    if output is not None:
        keep_inputs([output], [responses, *files_of(questions), *files_of(argkp), *files_of(perspectrum)])
    if (responses is None) != (questions is None):
        raise typer.BadParameter("--responses and --questions go together")
    logged = read_logged(responses, questions, limit) if responses and questions else ()
    labels = read_labels(argkp, perspectrum, split, logged)
    loaded = {shown: model for name in models for shown, model in _with_base(name).items()}
    systems = {shown: measure(model, labels, seed=seed) for shown, model in loaded.items()}
    report = {"split": split, "seed": seed, "systems": systems, "versions": versions()}
    if output is not None:
        write_json(output, report)
    if as_json:
        print_json(report)
    else:
        Console().print(_table(rows_of(systems), split))


@estimator_app.command()
def search(
    recipe: Annotated[Path, typer.Argument(metavar="RECIPE", help="Recipe file (YAML).", show_default=False)],
    trials: Annotated[int, typer.Option(min=1, help="Trainings in all.")] = 20,
    timeout: Annotated[float | None, typer.Option(min=1, help="Seconds after which no new one starts.")] = None,
    run_dir: Annotated[
        Path | None, typer.Option("--run-dir", metavar="DIR", help="Folder of the run; default: runs/NAME.")
    ] = None,
    overrides: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Override a key. Repeatable.")
    ] = None,
) -> None:
    """Look for better settings of the estimator section with Optuna, on dev pairs.

    Finished trials are kept: the same command goes on after a kill.
    """
    from overton.estimator.search import search as find
    from overton.hub import prefer_cache
    from overton.lock import locked
    from overton.pipeline import run_stages
    from overton.recipe import load_recipe
    from overton.rundir import RunDir

    settings = load_recipe(recipe, overrides or ())
    prefer_cache(settings.data.datasets)
    run = RunDir(run_dir or Path("runs") / settings.name)
    run_stages(settings, run, "data", "data")
    with locked(run.path):
        report = find(settings, run, trials, timeout)
    best = f"{report['average_precision']:.4f}, best of {len(report['trials'])}"
    print(f"average precision on dev pairs {best}; take it:")
    print(" ".join(f"--set estimator.{key}={value}" for key, value in report["best"].items()))


def _with_base(name: str) -> dict[str, SimilarityEstimator]:
    """The model and, where its folder names one that can be had, its untuned base, read to the same length."""
    from overton.errors import ModelError
    from overton.estimator.encode import SimilarityEstimator
    from overton.estimator.models import resolve_base
    from overton.estimator.preprocess import base_of
    from overton.estimator.shipped import load_base
    from overton.progress import say

    folder = Path(name).expanduser()
    if (folder / "estimator" / "model").is_dir():
        folder = folder / "estimator"
    elif not folder.is_dir():
        folder = resolve_base(name)
    home = folder / "model" if (folder / "model").is_dir() else folder
    base = base_of(home)
    if base is None:
        return {name: load_base(str(folder))}
    tuned = SimilarityEstimator.load(folder)
    try:
        untuned = load_base(_path_of(base, home), max_seq_length=tuned.model.max_seq_length)
    except ModelError as error:
        say(f"{name}: without its untuned base, which cannot be had. {error}")
        return {name: tuned}
    return {name: tuned, f"{base} (untuned, {untuned.model.max_seq_length} tokens)": untuned}


def _path_of(base: str, home: Path) -> str:
    """Where a base lies: a model names a local one without its path, but the recipe of its run has that."""
    from overton.errors import OvertonError
    from overton.recipe import load_recipe

    if not base.startswith("./"):
        return base
    try:
        found = load_recipe(home.resolve().parents[1] / "recipe.yaml").estimator.base
    except (OvertonError, IndexError):  # a model folder alone
        return base
    return found if Path(found).expanduser().resolve().name == base[2:] else base


def _table(rows: list[dict[str, Any]], split: str) -> Table:
    """One column a model: there are more figures than models."""
    from rich.table import Table

    table = Table(title=f"Agreement with people, {split} split (95% intervals over topics or claims)")
    table.add_column("")
    for row in rows:
        table.add_column(row["model"], justify="right")
    for name in list(rows[0])[1:]:
        if any(row[name] is not None for row in rows):
            table.add_row(name, *(_cell(row[name]) for row in rows))
    return table


def _cell(value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, dict):
        return f"{value['mean']:.3f} ({value['low']:.3f} to {value['high']:.3f})"
    return f"{value:.0f}" if value >= 10 else f"{value:.3f}"
