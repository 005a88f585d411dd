"""``overton train``: the stage of a recipe, or all that is known before it starts."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Literal

import typer

from overton.commands.options import JsonOption, print_json

RunStages = Callable[[Path, Path | None, list[str] | None, str, str], None]
_PLAN = "With --dry-run"


def train_command(run_stages: RunStages) -> Callable[..., None]:
    """The verb; ``run_stages`` is the command line's way to run stages of a recipe."""

    def train(
        recipe: Annotated[Path, typer.Argument(metavar="RECIPE", help="Recipe file (YAML).", show_default=False)],
        run_dir: Annotated[
            Path | None,
            typer.Option("--run-dir", metavar="DIR", help="Folder of the run; default: runs/NAME of the recipe."),
        ] = None,
        overrides: Annotated[
            list[str] | None,
            typer.Option(
                "--set", metavar="KEY=VALUE", help="Override a key, e.g. --set training.grpo.steps=2. Repeatable."
            ),
        ] = None,
        dry_run: Annotated[
            bool,
            typer.Option("--dry-run", help="Train nothing: print settings, batches, memory, disk and problems."),
        ] = False,
        as_json: JsonOption = False,
        processes: Annotated[
            int, typer.Option(min=0, help="GPUs to plan for; 0 = those of this run.", rich_help_panel=_PLAN)
        ] = 0,
        sharding: Annotated[
            Literal["ddp", "zero2", "zero3", "fsdp2"] | None,
            typer.Option(
                help="How states are spread over them; default: as accelerate's settings say, else ddp.",
                rich_help_panel=_PLAN,
                show_default=False,
            ),
        ] = None,
        gpu: Annotated[
            str,
            typer.Option(
                metavar="NAME",
                help="h200, h100, a100-80, a100-40, l40s, l4 or rtx4090: gives memory and an estimate of the time.",
                rich_help_panel=_PLAN,
                show_default=False,
            ),
        ] = "",
        memory_gb: Annotated[
            float, typer.Option(min=0.0, help="Memory of each GPU; 0 = that of --gpu.", rich_help_panel=_PLAN)
        ] = 0.0,
    ) -> None:
        """Fine-tune the policy, then train it with OP-GRPO.

        With --dry-run: everything short of the first step, without a GPU or the model's weights. Exits with 1 when
        something would stop the training or spoil it.
        """
        if not dry_run:
            if as_json or processes or sharding or gpu or memory_gb:
                raise typer.BadParameter("--json, --processes, --sharding, --gpu and --memory-gb go with --dry-run")
            run_stages(recipe, run_dir, overrides, "train", "train")
            return
        _plan(recipe, run_dir, overrides, as_json, (processes, sharding, gpu, memory_gb))

    return train


def _plan(recipe: Path, run_dir: Path | None, overrides: list[str] | None, as_json: bool, setting: tuple) -> None:
    from overton.hub import prefer_cache
    from overton.processes import is_first
    from overton.recipe import load_recipe
    from overton.rundir import RunDir
    from overton.training.dry_run import Setting, dry_run
    from overton.training.dry_run_text import to_text

    settings = load_recipe(recipe, overrides or ())
    prefer_cache([settings.policy.model])
    found = dry_run(settings, RunDir(run_dir or Path("runs") / settings.name), Setting(*setting))
    if is_first():
        print_json(found) if as_json else print(to_text(found))
    if any(problem["severity"] == "error" for problem in found["problems"]):
        raise typer.Exit(1)
