"""What ``overton run`` and the verbs of the stages do."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from overton.processes import count, is_first
from overton.threads import wait_long_if_alone


def run_recipe(recipe: Path, run_dir: Path | None, overrides: list[str] | None, first: str, last: str) -> None:
    """Run a recipe's stages, and show the result when the report is the last.

    Args:
        recipe: its file.
        run_dir: folder of the run; ``None`` = ``runs/NAME``.
        overrides: ``KEY=VALUE``.
        first: stage to begin with.
        last: stage to end with.

    Raises:
        OvertonError: settings, a stage or the disk; the message says what to do.
    """
    from overton.errors import RunError
    from overton.failures import explain
    from overton.full_disk import disk_full
    from overton.hub import prefer_cache
    from overton.pipeline import find_stage, run_stages, stages_between
    from overton.recipe import load_recipe
    from overton.rundir import RunDir

    settings = load_recipe(recipe, overrides or ())
    if count() == 1:  # several would take each other for other programs
        wait_long_if_alone(settings.threads)
    if settings.reward.overrides:
        # Their names are the preset's, so the recipe cannot know them; now is better than when GRPO starts.
        from overton.rewards.presets import make_preset

        make_preset(settings.reward.preset, settings.reward.overrides)
    folder = RunDir(run_dir or Path("runs") / settings.name)
    trained = (folder.manifest("training") or {}).get("status") == "complete"
    # Hours of other stages may come before these.
    asked_for = [stage.name for stage in stages_between(settings, first, last)]
    if "generation" in asked_for and settings.generation.others:
        from overton.generation.prompts import templates_of

        for system in settings.generation.others:
            templates_of(system)
    if "training" in asked_for and not trained:
        from overton.training.preflight import check_start

        check_start(settings, count())
    asked = "" if settings.llm.base_url else settings.llm.model
    models = [settings.policy.model, asked, *settings.generation.local_models]
    judging = [settings.evaluation.nli_model, *settings.evaluation.nli_also, *settings.evaluation.judge.local_models]
    prefer_cache([*models, *judging, *settings.data.datasets])
    try:
        run_stages(settings, folder, first, last)
    except OSError as error:
        raise disk_full(error, folder.path) or RunError(explain(error) or str(error)) from error
    except Exception as error:  # each library has its own class for a write that failed
        # It may say so without the reason; the run's disk tells.
        if full := disk_full(error, folder.path):
            raise full from error
        message = explain(error)
        if message is None or message == str(error):
            raise
        raise RunError(message) from error
    if find_stage(last).name == "report" and is_first():
        _show_result(folder.path)


def _show_result(folder: Path) -> None:
    from rich.console import Console

    from overton.report.terminal import summary_table
    from overton.rundir import RunDir

    console = Console()
    with console.capture() as table:  # the library would end the process when nobody reads
        console.print(summary_table(RunDir(folder), console.width))
    with suppress(BrokenPipeError):
        print(f"{table.get()}report: {folder / 'report' / 'index.html'}")
