"""The command line: verbs, nothing else. Heavy imports happen inside the verbs, so ``--help`` is instant."""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from overton.commands.data import data_command
from overton.commands.estimator import estimator_app
from overton.commands.generate import generate_command
from overton.commands.judge import judge, overtonbench
from overton.commands.options import JsonOption, check_lines_file, print_json
from overton.commands.score import compare, score
from overton.commands.serve import serve_app
from overton.commands.stages import run_recipe
from overton.commands.train import train_command
from overton.printing import harmless, output_fault, print_anything
from overton.processes import hold_back, is_first
from overton.threads import wait_shortly

# One verb a stage; a test keeps them in step with overton.pipeline.
STAGE_HELP = {
    "data": "Make the situations, fine-tuning answers, triplets and labelled pairs.",
    "estimator": "Train, calibrate and benchmark the similarity estimator.",
    "train": "Fine-tune the policy, then train it with OP-GRPO.",
    "generate": "Let systems answer: those of a recipe its held-out situations, or any model a file of questions.",
    "evaluate": "Score those answers with evaluators that share nothing with the reward.",
    "report": "Write report/index.html and report/report.md.",
}

app = typer.Typer(
    name="overton",
    help="Train and measure language models that show the whole spectrum of reasonable perspectives.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
)

RecipeArgument = Annotated[Path, typer.Argument(metavar="RECIPE", help="Recipe file (YAML).", show_default=False)]
RunDirOption = Annotated[
    Path | None,
    typer.Option("--run-dir", metavar="DIR", help="Folder of the run; default: runs/NAME of the recipe."),
]
SetOption = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="Override a key, e.g. --set estimator.epochs=2. Repeatable."),
]


def _show_version(wanted: bool) -> None:
    if wanted:
        from overton import __version__

        print(f"overton {__version__}")
        raise typer.Exit


@app.callback()
def root(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_show_version, is_eager=True, help="Print the version and exit."),
    ] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show tracebacks and the libraries' warnings.")] = False,
) -> None:
    """Options of every verb; ``main`` reads --debug, wherever it stands."""
    _settle_libraries(quiet=not debug)


@app.command()
def run(
    recipe: RecipeArgument,
    run_dir: RunDirOption = None,
    first: Annotated[str, typer.Option("--from", metavar="STAGE", help="First stage.")] = "data",
    last: Annotated[str, typer.Option("--until", metavar="STAGE", help="Last stage.")] = "report",
    overrides: SetOption = None,
) -> None:
    """Run all stages of a recipe. Finished ones are skipped; a killed run goes on where it was.

    Stages in order: data, estimator, training, generation, evaluation, report.
    """
    run_recipe(recipe, run_dir, overrides, first, last)


def _add_stage(verb: str, text: str) -> None:
    def stage(recipe: RecipeArgument, run_dir: RunDirOption = None, overrides: SetOption = None) -> None:
        run_recipe(recipe, run_dir, overrides, verb, verb)

    if verb == "estimator":
        estimator_app.command("run", help=text)(stage)
        app.add_typer(estimator_app, name=verb, help=text, rich_help_panel="Stages, one at a time")
    elif verb == "generate":
        command = generate_command(run_recipe)
        app.command(verb, help=text, rich_help_panel="Stages, one at a time")(command)
    elif verb == "data":
        command = data_command(run_recipe)
        app.command(verb, rich_help_panel="Stages, one at a time")(command)
    elif verb == "train":
        command = train_command(run_recipe)
        app.command(verb, rich_help_panel="Stages, one at a time")(command)
    else:
        app.command(verb, help=text, rich_help_panel="Stages, one at a time")(stage)


for _verb, _text in STAGE_HELP.items():
    _add_stage(_verb, _text)


@app.command()
def questions(
    source: Annotated[
        str, typer.Argument(metavar="SOURCE", help="perspectrum, argkp, table or valueprism.", show_default=False)
    ],
    path: Annotated[Path, typer.Argument(metavar="PATH", help="Its folder or file.", show_default=False)],
    output: Annotated[
        Path, typer.Option("--output", metavar="FILE", help="JSONL to write: `id`, `text`, `perspectives`.")
    ] = Path("questions.jsonl"),
    split: Annotated[str, typer.Option(help="One of the set's own splits; default: all.")] = "",
) -> None:
    """Write a set that people wrote as questions with references, for generate --questions and score --references."""
    from overton.data.questions import read_questions
    from overton.data.sources import files_of
    from overton.jsonio import keep_inputs, write_jsonl
    from overton.progress import say

    check_lines_file(output, (".jsonl",))  # what reads questions reads no other
    keep_inputs([output], files_of(path))
    warnings: list[str] = []
    found = read_questions(source, path, split, warnings)
    write_jsonl(output, [situation.to_json() for situation in found])
    for line in warnings:
        say(line, style="yellow")
    references = sum(len(situation.perspectives) for situation in found)
    print(f"{output}: {len(found)} questions, {references} references")


@app.command()
def ask(
    question: Annotated[
        str,
        typer.Argument(
            metavar="QUESTION", help="Any question or situation; - reads it from standard input.", show_default=False
        ),
    ],
    model: Annotated[
        str,
        typer.Option("--model", metavar="DIR", help="Run directory, model folder or hub name.", show_default=False),
    ],
    as_json: JsonOption = False,
    temperature: Annotated[float, typer.Option(min=0.0, help="0 is greedy decoding.")] = 0.7,
    top_p: Annotated[float, typer.Option(min=0.01, max=1.0, help="Nucleus of sampling.")] = 0.9,
    max_new_tokens: Annotated[int, typer.Option(min=1, help="Longest answer, in tokens.")] = 256,
    seed: Annotated[int, typer.Option(min=0, max=2**31 - 1, help="Seed of sampling.")] = 0,
    template: Annotated[
        str | None,
        typer.Option(metavar="TEXT", help="Text around the question, with {situation} in it; default: the run's own."),
    ] = None,
) -> None:
    """Ask a model one question and print the perspectives and the summary of its answer."""
    from overton.commands.ask import ask_model, to_json, to_text

    if question == "-":
        question = sys.stdin.buffer.read().decode("utf-8", "surrogateescape")
    reply = ask_model(
        question,
        model,
        template=template,
        temperature=temperature,
        top_p=top_p,
        max_new_tokens=max_new_tokens,
        seed=seed,
    )
    print_json(to_json(reply)) if as_json else print(to_text(reply))


app.command()(score)
app.command()(judge)
app.command()(overtonbench)
app.command()(compare)
app.add_typer(serve_app, name="serve")


@app.command()
def init(
    path: Annotated[Path, typer.Argument(metavar="PATH", help="Where to write it.")] = Path("recipe.yaml"),
) -> None:
    """Write a recipe with every key, its default and what it means."""
    from overton.commands.init import write_recipe

    write_recipe(path)
    print(f"wrote {path}; run it with: overton run {shlex.quote(str(path))}")


@app.command()
def doctor(as_json: JsonOption = False) -> None:
    """Show versions, devices, memory, disk, what is missing and how to get it.

    Exits with 1 when something that `overton run` needs is missing.
    """
    from overton.commands.doctor import examine, to_text

    findings = examine()
    print_json(findings) if as_json else print(to_text(findings))
    if not findings["ready"]:
        raise typer.Exit(1)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line.

    Args:
        arguments: as in ``sys.argv[1:]``, which is the default.

    Returns:
        0 done; 1 an error with its message on stderr; 2 wrong usage; 130 interrupted.
    """
    print_anything()
    given = list(sys.argv[1:] if arguments is None else arguments)
    debug = "--debug" in given
    if debug:
        # Accepted anywhere: people add it at the end of the line that failed.
        given = ["--debug", *(a for a in given if a != "--debug")]
    code = 0
    try:
        app(given, prog_name="overton")
    except SystemExit as end:
        if end.code == 130 and is_first():
            _say("interrupted; run the same command again to go on")
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
    except Exception as error:
        from overton.failures import explain

        hold_back(error)
        lost = output_fault() if isinstance(error, OSError) and error.filename is None else None
        message = lost or (None if debug else explain(error))
        if message is None:
            raise
        _say(f"error: {message}")
        return 1
    if lost := output_fault():
        _say(f"error: {lost}")
        return code or 1
    return code


def _settle_libraries(quiet: bool) -> None:
    """Environment of the libraries; what the user has set stays. Progress bars stay on."""
    settings = {
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "TOKENIZERS_PARALLELISM": "false",
    }
    if not is_first():  # the bars of one process are enough
        settings |= {"HF_HUB_DISABLE_PROGRESS_BARS": "1", "HF_DATASETS_DISABLE_PROGRESS_BARS": "1"}
    if quiet:
        settings |= {
            "TRANSFORMERS_VERBOSITY": "error",
            "DATASETS_VERBOSITY": "error",
            "HF_HUB_VERBOSITY": "error",
            "TRANSFORMERS_NO_ADVISORY_WARNINGS": "1",
            "TRL_EXPERIMENTAL_SILENCE": "1",
        }
        if not sys.warnoptions:
            import warnings

            warnings.simplefilter("ignore")
    for name, value in settings.items():
        os.environ.setdefault(name, value)
    wait_shortly()


def _say(text: str) -> None:
    print(harmless(text), file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
