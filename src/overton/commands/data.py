"""``overton data``: the stage of a recipe, and its situations in the form of another trainer."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

RunStages = Callable[[Path, Path | None, list[str] | None, str, str], None]
_EXPORT = "For another trainer"
_FILES = (".jsonl", ".gz")
_EXPORTED = ("train.parquet", "val.parquet")


def data_command(run_stages: RunStages) -> Callable[..., None]:
    """The verb; ``run_stages`` is the command line's way to run stages of a recipe."""

    def data(
        recipe: Annotated[
            Path,
            typer.Argument(
                metavar="RECIPE",
                help="Recipe file (YAML); with --export also a JSONL of situations: id, text, perspectives.",
                show_default=False,
            ),
        ],
        run_dir: Annotated[
            Path | None,
            typer.Option("--run-dir", metavar="DIR", help="Folder of the run; default: runs/NAME of the recipe."),
        ] = None,
        overrides: Annotated[
            list[str] | None,
            typer.Option(
                "--set", metavar="KEY=VALUE", help="Override a key, e.g. --set estimator.epochs=2. Repeatable."
            ),
        ] = None,
        export: Annotated[
            str, typer.Option(metavar="NAME", help="verl: train.parquet and val.parquet.", rich_help_panel=_EXPORT)
        ] = "",
        output: Annotated[
            Path | None,
            typer.Option(metavar="DIR", help="Where to; default: RUN/export/NAME.", rich_help_panel=_EXPORT),
        ] = None,
    ) -> None:
        """Make the situations, fine-tuning answers, triplets and labelled pairs."""
        from overton.errors import RecipeError

        if export not in ("", "verl"):
            raise RecipeError(f"--export {export}: there is only verl; examples/ has the way to other trainers")
        if output is not None and not export:
            raise RecipeError("--output goes with --export; the stage writes to its run directory (--run-dir)")
        if export and recipe.suffix in _FILES:
            _export_file(recipe, output, overrides or run_dir)
            return
        if export:
            _keep_sources(recipe, run_dir, overrides, output)
        run_stages(recipe, run_dir, overrides, "data", "data")
        if export:
            _export_run(recipe, run_dir, overrides, output)

    return data


def _export_file(file: Path, output: Path | None, unused: object) -> None:
    """A file of situations, all of them to train on and the same to validate with."""
    from overton.data import read_situations
    from overton.errors import RecipeError
    from overton.integrations.verl_data import write_verl
    from overton.jsonio import keep_inputs

    if unused:
        raise RecipeError(f"{file}: --set and --run-dir are for recipes, this is a file of situations")
    if output is None:
        raise RecipeError(f"{file}: say with --output where the parquet files shall go")
    keep_inputs([output / name for name in _EXPORTED], [file])
    situations = read_situations(file)
    for name in ("train", "val"):
        print(f"{output / name}.parquet: {write_verl(situations, output / f'{name}.parquet')} rows")


def _keep_sources(recipe: Path, run_dir: Path | None, overrides: list[str] | None, output: Path | None) -> None:
    """Refuse an output that takes the place of a parquet file which the recipe reads."""
    from overton.data.sources import files_of
    from overton.jsonio import keep_inputs
    from overton.recipe import load_recipe

    settings = load_recipe(recipe, overrides or ())
    folder = output or (run_dir or Path("runs") / settings.name) / "export" / "verl"
    data, parts = settings.data, settings.data.parts.values()
    read = [file for path in (data.path, *(part.path for part in parts)) for file in files_of(path)]
    for name in filter(None, (data.dataset, *(part.dataset for part in parts))):
        read += Path(name).expanduser().rglob("*.parquet")
    keep_inputs([folder / name for name in _EXPORTED], read)


def _export_run(recipe: Path, run_dir: Path | None, overrides: list[str] | None, output: Path | None) -> None:
    """What OP-GRPO asks in a run, and the dev split to validate with; the test split stays where it is."""
    from overton.integrations.verl_data import write_verl
    from overton.jsonio import read_jsonl
    from overton.processes import is_first
    from overton.recipe import load_recipe
    from overton.rundir import RunDir
    from overton.training.stage import grpo_situations
    from overton.types import Situation

    if not is_first():
        return
    settings = load_recipe(recipe, overrides or ())
    run = run_dir or Path("runs") / settings.name
    folder = output or run / "export" / "verl"
    splits = {
        "train": grpo_situations(settings, RunDir(run)),
        "val": [Situation.from_json(row) for row in read_jsonl(run / "data" / "dev.jsonl")],
    }
    for name, situations in splits.items():
        rows = write_verl(situations, folder / f"{name}.parquet", settings.policy.prompt_template)
        print(f"{folder / name}.parquet: {rows} rows")
