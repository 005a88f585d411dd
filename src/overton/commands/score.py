"""``overton score`` and ``overton compare``: their options."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from overton.commands.options import JsonOption, check_lines_file, print_json

EstimatorOption = Annotated[
    str | None, typer.Option(metavar="DIR", help="Run directory, or folder or hub name of a Sentence Transformer.")
]
DataSetOption = Annotated[
    str, typer.Option(metavar="NAME", help="Take the threshold calibrated on this data set, e.g. argkp.")
]
ThresholdOption = Annotated[
    float | None, typer.Option(min=-1.0, max=1.0, help="Cosine of a match; default: the calibrated one.")
]
NliOption = Annotated[
    str | None, typer.Option(metavar="NAME", help="Also score entailment with this CrossEncoder (name or folder).")
]
PublishedOption = Annotated[
    bool, typer.Option("--published", help="With --nli-model: also the figures of the published evaluation code.")
]
CacheOption = Annotated[
    Path | None,
    typer.Option(metavar="FILE", help="Keep vectors of texts here: the next call encodes only what is new."),
]


def score(
    answers: Annotated[
        Path,
        typer.Argument(
            metavar="ANSWERS", help="JSONL, CSV, TSV or Parquet: `answer`, and `id` or `prompt`.", show_default=False
        ),
    ],
    references: Annotated[
        Path,
        typer.Option(
            "--references",
            metavar="REFS",
            help="Table of references: `id`, `text`, `perspectives`.",
            show_default=False,
        ),
    ],
    estimator: EstimatorOption = None,
    data_set: DataSetOption = "",
    threshold: ThresholdOption = None,
    nli_model: NliOption = None,
    published: PublishedOption = False,
    cache: CacheOption = None,
    as_json: JsonOption = False,
    output: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="Write one JSON line an answer here; .jsonl or .jsonl.gz.", show_default=False
        ),
    ] = None,
) -> None:
    """Score any file of answers against reference perspectives. Nothing is trained."""
    from overton.commands.scoring import score_files
    from overton.commands.scoring_table import print_report, report_json
    from overton.jsonio import keep_inputs, write_jsonl

    if output is not None:
        keep_inputs([output], [answers, references, cache])
        check_lines_file(output)
    report = score_files(
        answers,
        references,
        estimator=estimator,
        data_set=data_set,
        threshold=threshold,
        nli_model=nli_model,
        cache_file=cache,
        published=published,
    )
    if output is not None:
        write_jsonl(output, report.rows)
    if as_json:
        print_json(report_json(report))
        return
    print_report(report)
    for line in report.warnings:
        print(f"NOT INDEPENDENT: {line}")
    for note in report.notes:
        print(f"note: {note}")
    if output is not None:
        print(f"one row an answer: {output}")


def compare(
    answers: Annotated[
        list[Path],
        typer.Argument(
            metavar="ANSWERS...",
            help="JSONL, CSV, TSV or Parquet: `answer`, and `id` or `prompt`; `system` where a file holds several.",
            show_default=False,
        ),
    ],
    references: Annotated[
        Path | None,
        typer.Option(metavar="REFS", help="Table of references, or a folder with one a split.", show_default=False),
    ] = None,
    output: Annotated[Path, typer.Option(metavar="DIR", help="Folder for tables, page and JSON.")] = Path("comparison"),
    table_format: Annotated[
        str,
        typer.Option("--format", metavar="FORMAT", help="Print this too: markdown, csv, latex or json."),
    ] = "",
    estimator: EstimatorOption = None,
    data_set: DataSetOption = "",
    threshold: ThresholdOption = None,
    keep_labels: Annotated[
        bool,
        typer.Option("--keep-labels", help='Leave "In the perspective of LABEL," in the texts, as the paper does.'),
    ] = False,
    nli_model: NliOption = None,
    published: PublishedOption = False,
    cache: CacheOption = None,
    system: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="Only this system; may be given several times.", show_default=False),
    ] = None,
    shared: Annotated[bool, typer.Option("--shared", help="Only questions that every system answered.")] = False,
    bootstrap: Annotated[int, typer.Option(min=100, max=10_000_000, help="Resamples of every interval.")] = 2000,
    seed: Annotated[int, typer.Option(min=0, max=2**31 - 1, help="Seed of the resampling.")] = 0,
) -> None:
    """Compare systems by their saved answers: tables, tests, faults and a page. Nothing is generated or trained."""
    from overton.commands.comparing import compare_files
    from overton.commands.comparing_files import tables_in
    from overton.commands.comparing_table import FILES, FORMATS, print_main, write_comparison
    from overton.commands.scoring_pairs import Evaluators
    from overton.jsonio import keep_inputs
    from overton.report.svg import need_matplotlib

    need_matplotlib()
    if table_format and table_format not in FORMATS:
        raise typer.BadParameter(f"{table_format!r}; known: {', '.join(FORMATS)}", param_hint="--format")
    tables = tables_in(references) if references is not None and references.is_dir() else [references]
    keep_inputs([output / name for name in FILES], [*answers, *tables, cache])
    evaluators = Evaluators(estimator, threshold, nli_model, data_set, cache, keep_labels, published)
    comparison = compare_files(
        answers, references, evaluators, only=system or (), shared=shared, resamples=bootstrap, seed=seed
    )
    write_comparison(comparison, output, output.name)
    if table_format:
        print(FORMATS[table_format](comparison), end="")
        return
    print_main(comparison)
    for line in comparison["warnings"]:
        print(f"NOT INDEPENDENT: {line}")
    for line in comparison["notes"]:
        print(f"note: {line}")
    print(f"page: {output / 'index.html'}")
