"""``overton judge`` and ``overton overtonbench``: their options."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from overton.commands.options import JsonOption, check_lines_file, print_json

if TYPE_CHECKING:
    from overton.commands.judging_asking import Asking

_OPENAI = "https://api.openai.com/v1"

ModelOption = Annotated[
    list[str], typer.Option("--model", metavar="NAME", help="A judge, as the endpoint knows it. Repeatable.")
]
UrlOption = Annotated[
    str,
    typer.Option("--base-url", metavar="URL", help="OpenAI-compatible endpoint; '' = the model runs here."),
]
SetOption = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="A key of section llm, e.g. --set max_calls=100. Repeatable."),
]
OutputOption = Annotated[
    Path, typer.Option("--output", metavar="DIR", help="Rows, transcript, figures and the cache of replies go here.")
]
DryRunOption = Annotated[bool, typer.Option("--dry-run", help="Count calls, tokens and cost; ask nothing.")]
WriteOption = Annotated[
    bool, typer.Option("--write-batch", help="Write the calls to DIR/batch for the Batch API; ask nothing.")
]
ReadOption = Annotated[
    list[Path] | None,
    typer.Option(
        "--read-batch", metavar="FILE", help="Take replies from these results; ask nothing.", show_default=False
    ),
]
SeedOption = Annotated[int, typer.Option(min=0, max=2**31 - 1, help="Of the bootstrap.")]


def judge(
    answers: Annotated[
        list[Path],
        typer.Argument(
            metavar="ANSWERS...", help="JSONL, CSV, TSV or Parquet: `answer`, `id` or `prompt`.", show_default=False
        ),
    ],
    output: OutputOption,
    questions: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Their questions: `id`, `text`; default: each answer's `prompt`."),
    ] = None,
    pairwise: Annotated[
        tuple[str, str] | None,
        typer.Option(
            metavar="A B", help="Compare these two in both orders instead; one pair a call.", show_default=False
        ),
    ] = None,
    model: ModelOption = ["gpt-4.1"],  # noqa: B006  typer copies it
    base_url: UrlOption = _OPENAI,
    overrides: SetOption = None,
    dry_run: DryRunOption = False,
    write_batch: WriteOption = False,
    read_batch: ReadOption = None,
    seed: SeedOption = 0,
    as_json: JsonOption = False,
) -> None:
    """Let language models grade answers from 1 to 5, or say which of two is better.

    The same command goes on after a kill: no call that was answered is made twice.
    """
    from overton.commands.judging import judge_files
    from overton.commands.judging_asking import Asking
    from overton.commands.judging_table import judge_tables

    asking = Asking(model, base_url, overrides or (), output, dry_run, write_batch, tuple(read_batch or ()))
    _one_way(asking)
    figures = judge_files(answers, questions, asking, pairwise, seed)
    if figures is not None:
        _show(figures, judge_tables(figures), as_json, asking)


def overtonbench(
    answers: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar="[ANSWERS...]", help="JSONL, CSV, TSV or Parquet: `answer`, `id` or `prompt`.", show_default=False
        ),
    ] = None,
    output: OutputOption = Path("overtonbench"),
    data: Annotated[
        list[str] | None,
        typer.Option(
            metavar="SOURCE",
            help="Data set of the hub, folder, or Parquet, CSV or JSONL file; default: elinorpd/overtonbench.",
            show_default=False,
        ),
    ] = None,
    variant: Annotated[
        Literal["published", "multi-perspective"],
        typer.Option(help="Is the view represented by the answer as a whole, or is it among the answer's?"),
    ] = "published",
    prompt: Annotated[
        Path | None, typer.Option(metavar="FILE", help="A prompt of yours instead.", show_default=False)
    ] = None,
    check: Annotated[
        list[str] | None,
        typer.Option(metavar="MODEL", help="Also predict people's ratings of this model of the data. Repeatable."),
    ] = None,
    tau: Annotated[float, typer.Option(min=1, max=5, help="Mean rating from which a cluster is covered.")] = 4.0,
    write_questions: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Only write the questions here, as JSONL.", show_default=False),
    ] = None,
    model: ModelOption = ["gpt-4.1"],  # noqa: B006  typer copies it
    base_url: UrlOption = _OPENAI,
    overrides: SetOption = None,
    dry_run: DryRunOption = False,
    write_batch: WriteOption = False,
    read_batch: ReadOption = None,
    seed: SeedOption = 0,
    as_json: JsonOption = False,
) -> None:
    """Measure OvertonScores: of the models that people rated, and of your answers, rated by a judge in their place."""
    from overton.commands.judging_asking import Asking
    from overton.commands.judging_overtonbench import files_among, overtonbench_files, question_rows
    from overton.commands.judging_table import overtonbench_tables
    from overton.evaluation.overtonbench_data import DATASET
    from overton.hub import prefer_cache
    from overton.jsonio import keep_inputs, write_jsonl

    sources = data or [DATASET]
    prefer_cache(sources)
    if write_questions is not None:
        check_lines_file(write_questions, (".jsonl",))  # what reads questions reads no other
        keep_inputs([write_questions], files_among(sources))
        count = write_jsonl(write_questions, question_rows(sources))
        print(f"{count} questions: {write_questions}")
        return
    asking = Asking(model, base_url, overrides or (), output, dry_run, write_batch, tuple(read_batch or ()))
    _one_way(asking)
    figures = overtonbench_files(
        answers or (), sources, asking, variant=variant, prompt_file=prompt, check=check or (), tau=tau, seed=seed
    )
    if figures is not None:
        _show(figures, overtonbench_tables(figures), as_json, asking)


def _one_way(asking: Asking) -> None:
    if asking.dry_run + asking.write_batch + bool(asking.read_batch) > 1:
        raise typer.BadParameter("--dry-run, --write-batch and --read-batch exclude each other")


def _show(figures: dict[str, Any], tables: list[Any], as_json: bool, asking: Asking) -> None:
    """Print the figures, and end with an error when calls failed on their way."""
    from overton.errors import RunError
    from overton.evaluation.judge.summary import failure_line

    if as_json:
        print_json(figures)
    else:
        _print(figures, tables, asking.folder)
    if failed := figures["failed"]:
        rest = "run the same command again for the rest"
        if asking.read_batch:
            rest = "--write-batch writes the rest, and --read-batch takes their results"
        raise RunError(f"{failure_line(failed)}\nWhat came is kept: {rest}.")


def _print(figures: dict[str, Any], tables: list[Any], output: Path) -> None:
    from rich.console import Console

    for table in tables:
        Console().print(table)
    for reason, count in list(figures["unscored"].items())[:5]:
        print(f"unscored, {count} x {reason}")
    for system, questions in figures.get("unanswered", {}).items():
        print(f"{system}: {len(questions)} questions have no answer and do not count")
    print(f"files: {output}")
