"""``overton generate``: the stage of a recipe, or one system on a file of questions without a recipe."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from overton.commands.options import check_lines_file

if TYPE_CHECKING:
    from overton.recipe import Recipe

_SYSTEM = "Without a recipe: one system on a file of questions"
RunStages = Callable[[Path, Path | None, list[str] | None, str, str], None]


@dataclass(frozen=True, slots=True)
class Answering:
    """What ``overton generate`` is asked for without a recipe.

    Attributes:
        questions: JSONL, CSV, TSV or Parquet with ``text`` (or ``situation``, ``prompt``, ``question``) and perhaps
            ``id``.
        output: JSONL of the answers, also gzipped; the replies are kept beside it, in ``NAME.llm/``.
        system: keys of ``generation.systems[]``.
        generation: keys of ``generation``.
        changes: ``KEY=VALUE`` for further keys of the system.
        seed: of sampling.
        dry_run: count the calls and make none.
    """

    questions: Path
    output: Path
    system: dict[str, Any]
    generation: dict[str, Any]
    changes: Sequence[str] = ()
    seed: int = 0
    dry_run: bool = False


def generate_command(run_stages: RunStages) -> Callable[..., None]:
    """The verb; ``run_stages`` is the command line's way to run stages of a recipe."""

    def generate(
        context: typer.Context,
        recipe: Annotated[
            Path | None, typer.Argument(metavar="RECIPE", help="Recipe file (YAML).", show_default=False)
        ] = None,
        run_dir: Annotated[
            Path | None,
            typer.Option("--run-dir", metavar="DIR", help="Folder of the run; default: runs/NAME of the recipe."),
        ] = None,
        overrides: Annotated[
            list[str] | None,
            typer.Option(
                "--set",
                metavar="KEY=VALUE",
                help="Override a key of the recipe; without one, a key of generation.systems[]. Repeatable.",
            ),
        ] = None,
        dry_run: Annotated[
            bool, typer.Option("--dry-run", help="Count calls, tokens and dollars of models that are asked; make none.")
        ] = False,
        model: Annotated[
            str,
            typer.Option(
                metavar="NAME", help="Hub name, folder, run directory, or name at --base-url.", rich_help_panel=_SYSTEM
            ),
        ] = "",
        questions: Annotated[
            Path | None,
            typer.Option(metavar="FILE", help="JSONL, CSV, TSV or Parquet: text, id.", rich_help_panel=_SYSTEM),
        ] = None,
        output: Annotated[
            Path | None, typer.Option(metavar="FILE", help="JSONL of the answers.", rich_help_panel=_SYSTEM)
        ] = None,
        strategy: Annotated[
            str,
            typer.Option(
                help="implicit, explicit, few-shot, verbalized, parallel, modular or self-refine.",
                rich_help_panel=_SYSTEM,
            ),
        ] = "implicit",
        name: Annotated[
            str, typer.Option(help="Of the system; default: model and strategy.", rich_help_panel=_SYSTEM)
        ] = "",
        base_url: Annotated[
            str, typer.Option(metavar="URL", help="OpenAI-compatible endpoint.", rich_help_panel=_SYSTEM)
        ] = "",
        temperature: Annotated[
            float, typer.Option(min=0.0, help="Of sampling; 0 is greedy.", rich_help_panel=_SYSTEM)
        ] = 0.7,
        top_p: Annotated[
            float, typer.Option(min=0.01, max=1.0, help="Nucleus of sampling.", rich_help_panel=_SYSTEM)
        ] = 0.9,
        max_new_tokens: Annotated[
            int, typer.Option(min=8, help="Longest answer, in tokens.", rich_help_panel=_SYSTEM)
        ] = 512,
        format_retries: Annotated[
            int, typer.Option(min=0, max=20, help="Further tries when the format breaks.", rich_help_panel=_SYSTEM)
        ] = 0,
        limit: Annotated[int, typer.Option(min=0, help="First questions; 0 = all.", rich_help_panel=_SYSTEM)] = 0,
        seed: Annotated[int, typer.Option(min=0, max=2**31 - 1, help="Of sampling.", rich_help_panel=_SYSTEM)] = 0,
    ) -> None:
        if recipe is not None:
            _check_options(context)
            if dry_run:
                _rehearse(recipe, run_dir, overrides or ())
            else:
                run_stages(recipe, run_dir, overrides, "generate", "generate")
            return
        if not (model and questions and output):
            raise typer.BadParameter("give a RECIPE, or --model, --questions and --output")
        system = {"name": name, "model": model, "strategy": strategy, "base_url": base_url, "temperature": temperature}
        generation = {
            "top_p": top_p,
            "max_new_tokens": max_new_tokens,
            "format_retries": format_retries,
            "limit": limit,
        }
        answer_questions(Answering(questions, output, system, generation, overrides or (), seed, dry_run))

    return generate


def _check_options(context: typer.Context) -> None:
    """Refuse options beside a recipe that only count without one, also where they say what is the default."""
    given = [
        "/".join(option.opts)
        for option in context.command.params
        if getattr(option, "rich_help_panel", None) == _SYSTEM
        and option.name
        and getattr(context.get_parameter_source(option.name), "name", "") == "COMMANDLINE"
    ]
    if given:
        raise typer.BadParameter(
            f"with a RECIPE leave {', '.join(given)} out: it names its systems and questions. Its keys are changed by "
            "--set, for example --set generation.limit=20 or --set seed=1"
        )


def answer_questions(asked: Answering) -> None:
    """Let one system answer a file of questions. A killed call goes on with the questions that have no reply yet.

    Raises:
        DataError: the questions cannot be read.
        RecipeError: a key of the system is wrong.
        ModelError: the model cannot be had.
        RunError: the output is the questions' own file, or some questions could not be answered; what came is written.
    """
    from overton.commands.ask import find_model, run_template
    from overton.data.questions import questions_of
    from overton.errors import RunError
    from overton.generation.session import Settings
    from overton.generation.stage import check_answers, unanswered
    from overton.generation.systems import Home, answers_of
    from overton.hub import prefer_cache
    from overton.jsonio import keep_inputs, write_jsonl

    recipe = _as_recipe(asked)
    section, [system] = recipe.generation, recipe.generation.others
    check_lines_file(asked.output)
    keep_inputs([asked.output], [asked.questions])
    template = None
    if not system.base_url:
        source = find_model(system.model)
        template = run_template(source)
        system = system.model_copy(update={"model": str(source)})
    questions = questions_of(asked.questions)[: section.limit or None]
    prefer_cache(part.model for part in system.models if not part.base_url)
    home = Home(
        cache=asked.output.with_name(re.sub(r"\.jsonl(\.gz)?$", "", asked.output.name) + ".llm"),
        template=template or "{situation}",
        trained=(system.model,) if template else (),
        dry_run=asked.dry_run,
    )
    settings = Settings(section.temperature, section.top_p, section.max_new_tokens, asked.seed, section.format_retries)
    outcome = answers_of(system, questions, settings, home)
    if asked.dry_run:
        return
    check_answers(system.name, outcome)
    if outcome.answers:
        write_jsonl(asked.output, (answer.to_json() for answer in outcome.answers))
    if outcome.failed:
        missing = unanswered(system.name, outcome.failed, len(questions))
        raise RunError(f"{missing}\nWhat came is kept: run the same command again for the rest.")
    print(f"{len(outcome.answers)} answers of {system.name}: {asked.output}")


def _as_recipe(asked: Answering) -> Recipe:
    """The options as a recipe, so that they are checked, and faults named, as there."""
    from overton.recipe import override, parse_recipe

    system = dict(asked.system)
    for item in asked.changes:
        override(system, item, "samples=8")
    if not system["name"]:  # of what is asked, also where --set says so
        last = re.sub(r"[^A-Za-z0-9._-]+", "-", Path(str(system["model"])).name).lstrip("._-")
        system["name"] = f"{last or 'model'}-{system['strategy']}"
    return parse_recipe({"name": "generate", "generation": {**asked.generation, "systems": [system]}}, "options")


def _rehearse(recipe: Path, run_dir: Path | None, overrides: Sequence[str]) -> None:
    from overton.generation.stage import rehearse
    from overton.recipe import load_recipe
    from overton.rundir import RunDir

    settings = load_recipe(recipe, overrides)
    rehearse(settings, RunDir(run_dir or Path("runs") / settings.name))
