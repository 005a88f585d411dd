"""Stage ``report``: ``report/index.html`` and ``report/report.md`` from the files of the other stages."""

from __future__ import annotations

import re

from overton.errors import RunError
from overton.inputs import input_hash
from overton.jsonio import write_text
from overton.recipe import Recipe
from overton.report.files import read_run
from overton.report.html import build_page
from overton.report.markdown import build_markdown
from overton.rundir import RunDir

_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udfff]")


def check(recipe: Recipe, run: RunDir) -> None:
    """Verdicts and figures must be those of the answers and situations that are shown beside them.

    Args:
        recipe: as for :func:`run`.
        run: the run directory.

    Raises:
        RunError: what was evaluated is no longer what is there.
    """
    made_from = (run.manifest("evaluation") or {}).get("made_from") or {}  # an evaluation made elsewhere has none
    judged = made_from.get("inputs", {})
    for name in ("generation", "data/test.jsonl"):
        path = run.path / name
        if name in judged and path.exists() and input_hash(run, name) != judged[name]:
            raise RunError(
                f"{path}: has changed since it was evaluated, so its figures would be those of something else. Run "
                "`overton evaluate RECIPE` first, with the same options."
            )


def run(recipe: Recipe, run: RunDir) -> None:
    """Write the page and its tables. The same files give the same page, byte for byte.

    Args:
        recipe: the resolved recipe; section ``report``, and name and seed.
        run: the run directory.

    Raises:
        MissingDependencyError: jinja2 or matplotlib is not installed.
        RunError: the folder cannot be written.
    """
    files = read_run(run)
    folder = run.stage("report")
    write_text(folder / "report.md", writable(build_markdown(recipe, files)))
    write_text(folder / "index.html", writable(build_page(recipe, files)))


def writable(text: str) -> str:
    """Text without what no file of UTF-8 or HTML can hold."""
    # JSON may hold control characters, which HTML may not, and half a surrogate pair, which is no UTF-8.
    return "\n".join(_CONTROL.sub("\ufffd", line) for line in text.split("\n"))
