"""Are the perspectives of an answer found, in whatever form it is written?

    python benchmarks/segmentation.py --responses FILE --run runs/quickstart

FILE is a log of published systems' answers, JSON lines with `system`, `split`, `prompt` and `response_sentences`,
gzipped or not. A simple reader (openers, else list items, else every sentence) is measured beside Overton's:

    recovery   perspectives of answers in OP-GRPO's template, written as lists, headings, tables and prose: are the same
               segments found again?
    prose      answers of prompted models whose boundaries were labeled sentence by sentence (--labels)
    systems    segments an answer, and introductions and closings among them
    same       answers in which the opener occurs, and those of a run (--run): do both readers agree?

Rules were written with split 5p (and 6p of the one system that lacks 5p) in view; --splits are those that are
measured. `--page` writes the tables of --out into docs/segmentation.md.
"""

from __future__ import annotations

import argparse
import hashlib
import re
from collections.abc import Iterator
from pathlib import Path

from origin import made_by
from overton.data import read_answers
from overton.errors import DataError
from overton.jsonio import read_json, write_json
from overton.segment import segment
from pages import fill
from segmenting import simple
from segmenting.logs import Logged, choose, read_log, restored, views
from segmenting.measure import prose, recovery, same, systems
from segmenting.table import markdown

PAGE = Path("docs/segmentation.md")
TEMPLATE = ("op-grpo.*", "qwen3-8b-explicit")  # one sentence a perspective; several
_OPENER = re.compile(r"\b(?:in|from) the perspective of\b", re.IGNORECASE)


def main() -> None:
    """Measure, or print or write tables that were measured before."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--responses", type=Path, help="logged answers, JSON lines")
    parser.add_argument("--run", type=Path, help="run directory with generation/")
    parser.add_argument("--labels", type=Path, default=Path("benchmarks/results/segmentation_labels.json"))
    parser.add_argument("--part", choices=("report", "tune"), default="report", help="of the labels")
    parser.add_argument("--splits", nargs="+", default=["6p", "7p"])
    parser.add_argument("--answers", type=int, default=400, help="of each kind that are written in all forms")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results/segmentation.json"))
    parser.add_argument("--table", type=Path, help="print the tables of this results file and stop")
    parser.add_argument("--page", action="store_true", help=f"tables of --out into {PAGE}; then stop")
    options = parser.parse_args()
    if options.table or options.page:
        report = read_json(options.table or options.out)
        if options.page:
            fill(PAGE, "segmentation", [markdown(report)])
        else:
            print(markdown(report))
        return
    if not options.responses:
        parser.error("--responses is needed")
    rows = read_log(options.responses)
    readers = {"simple": simple.read, "overton": segment}
    chosen = [r for kind in TEMPLATE for r in choose(rows, kind, options.splits, options.answers, options.seed)]
    found = [v for r in chosen if (v := views(r.sentences))]
    report = {
        **made_by(),
        "seed": options.seed,
        "splits": options.splits,
        "recovery": {
            "answers": len(found),
            "perspectives": sum(len(v) for v in found),
            "forms": recovery(found, readers, options.seed),
        },
        "prose": prose(_labeled(rows, options.labels, options.part), readers),
        "systems": systems((r for r in rows if r.split in options.splits), readers),
        "same": same(_with_opener(rows, options.run), tuple(readers.values())),
    }
    write_json(options.out, report)
    print(markdown(report))


def _labeled(rows: list[Logged], labels: Path, part: str) -> Iterator[tuple[Logged, list[int]]]:
    """Answers with the sentences at which something new begins.

    Raises:
        DataError: a label belongs to another log.
    """
    for label in read_json(labels)[part]:
        row = rows[label["row"]]
        if hashlib.sha256("\n".join(row.sentences).encode()).hexdigest()[:16] != label["hash"]:
            raise DataError(f"{labels}: row {label['row']} of the log is not the answer that was labeled")
        yield row, label["starts"]


def _with_opener(rows: list[Logged], run: Path | None) -> Iterator[tuple[str, str]]:
    """Logged answers with the opener, line by line and in tags as the template has them, and those of a run."""
    for row in rows:
        if _OPENER.search(" ".join(row.sentences)):
            text, _ = restored(row.sentences)
            yield row.system, text
            lines = ".\n".join(s.replace("</think>", "").strip() for s in row.sentences)
            core = f"<core perspectives>\n{lines}.\n</core perspectives>"
            yield f"{row.system}, in tags", f"{core}\n\n<summary>\nA summary.\n</summary>"
    for path in sorted((run / "generation").glob("*.jsonl")) if run else []:
        for answer in read_answers(path):
            yield f"run, {path.stem}", answer.answer


if __name__ == "__main__":
    main()
