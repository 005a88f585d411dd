"""How ``overton judge`` and ``overton overtonbench`` ask judges, and what is said where these bring nothing."""

from __future__ import annotations

import re
import tempfile
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from overton.errors import ModelError, RecipeError, RunError
from overton.notes import reasons

if TYPE_CHECKING:
    from overton.evaluation.judge import Judge

Row = dict[str, Any]
_UNSAFE = re.compile(r"[^\w.-]+")  # in a file's name


@dataclass(frozen=True, slots=True)
class Asking:
    """How judges are asked.

    Attributes:
        models: their names at the endpoint.
        base_url: the endpoint; ``""`` for models on this machine.
        overrides: ``KEY=VALUE`` of the recipe's section ``llm``, for all of them.
        folder: where replies and results go.
        dry_run: count the calls and make none, as the key of section ``llm`` does.
        write_batch: write the calls to files for the Batch API and make none.
        read_batch: files of its results, to be taken instead of calls.
    """

    models: Sequence[str]
    base_url: str
    overrides: Sequence[str]
    folder: Path
    dry_run: bool = False
    write_batch: bool = False
    read_batch: Sequence[Path] = ()

    def batch_file(self, model: str) -> Path:
        """Calls to a model, for the Batch API."""
        return self.folder / "batch" / (_UNSAFE.sub("-", model) + ".jsonl")

    def keep_inputs(self, names: Sequence[str], inputs: Sequence[Path | None]) -> None:
        """Refuse inputs that would be overwritten or removed, by files of these names or by calls for the Batch API.

        Raises:
            RunError: there is one.
        """
        from overton.jsonio import keep_inputs
        from overton.llm.batch import request_files

        batches: list[Path] = []
        for model in self.models if self.write_batch else ():
            path = self.batch_file(model)
            batches += {path, *request_files(path, model)}
        keep_inputs([*(self.folder / name for name in names), *batches], inputs)


def open_judges(asking: Asking) -> list[Judge]:
    """The judges, with a cache in ``llm/`` of the folder, and their calls for the Batch API in ``batch/``.

    They share one budget. But for a dry run the folder is made.

    Raises:
        RecipeError: an unknown key, a wrong value, a judge named twice, or an address that must not be sent something.
        DataError: a file of results cannot be read.
        RunError: the folder cannot be written to.
    """
    from overton.evaluation.judge import Judge, load_judges
    from overton.hub import prefer_cache
    from overton.llm.batch import BatchResults, BatchWriter, read_results
    from overton.llm.cache import ReplyCache
    from overton.llm.front import Budget
    from overton.recipe import override, parse_recipe

    if twice := [name for name, count in Counter(asking.models).items() if count > 1]:
        raise RecipeError(f"--model {twice[0]} stands twice, and its verdicts would be the same; name each judge once")
    settings: Row = {"base_url": asking.base_url}
    for item in asking.overrides:
        override(settings, item, "max_calls=100")
    if "model" in settings:
        raise RecipeError(f"--set model={settings['model']}: judges are named with --model {settings['model']}")
    if asking.dry_run:
        settings["dry_run"] = True
    models = {name: {**settings, "model": name} for name in asking.models}
    recipe = parse_recipe({"name": "judge", "evaluation": {"judge": {"models": models}}}, "judge")
    sections = recipe.evaluation.judge.models
    if (asking.write_batch or asking.read_batch) and any(section.dry_run for section in sections.values()):
        raise RecipeError("dry_run goes with neither --write-batch nor --read-batch; leave one of them out")
    if asking.write_batch and any(section.max_calls or section.max_budget_tokens for section in sections.values()):
        raise RecipeError(
            "max_calls and max_budget_tokens cannot hold for calls that others make; leave them out of --write-batch, "
            "and see with --dry-run what all calls may cost"
        )
    folder = asking.folder / "llm"
    if not any(section.dry_run for section in sections.values()):
        _make_writable(asking.folder, folder)
    if asking.write_batch:
        cache = ReplyCache(folder)
        return [Judge(n, BatchWriter(section, asking.batch_file(n), cache), section) for n, section in sections.items()]
    if asking.read_batch:
        replies, cache = read_results(asking.read_batch), ReplyCache(folder)
        return [Judge(name, BatchResults(section, replies, cache), section) for name, section in sections.items()]
    if not asking.base_url:
        prefer_cache(asking.models)
    section = next(iter(sections.values()))  # the settings are the same for all
    return load_judges(sections, folder, Budget(section.max_calls, section.max_budget_tokens))


def _make_writable(*folders: Path) -> None:
    """Make folders and try to write into them: what is noticed only later costs the replies that were paid for."""
    for folder in folders:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=folder):
                pass
        except OSError as error:
            raise RunError(
                f"{folder}: cannot be written to ({error.strerror or error}), so nothing was asked; name another "
                "folder with --output"
            ) from error


def asks_nothing(asking: Asking, judges: Sequence[Judge]) -> bool:
    """Whether there will be no replies: calls are counted, or written for the Batch API."""
    return asking.write_batch or any(judge.section.dry_run for judge in judges)


def refuse_nothing(rows: Sequence[Row], column: str, replies: Path) -> None:
    """Refuse rows without one value, which must not take the place of what an earlier call brought.

    Args:
        rows: to write.
        column: of the value.
        replies: folder of the replies, to be looked at.

    Raises:
        ModelError: with the most common reason, and what to do.
    """
    from overton.llm.cache import FILE

    if rows and all(row[column] is None for row in rows):
        reason = next(iter(reasons(rows)))
        if any(row["failed"] for row in rows):
            rest = "Replies that came are kept, and the same command goes on from there."
        else:
            rest = (
                f"Replies came (read them in {replies / FILE}), and the same command would read the same again: change "
                "what is asked (--set max_tokens=4000 where they are cut off), or name another judge with --model."
            )
        raise ModelError(
            f"the judges brought not one of {len(rows)} verdicts; most often: {reason}. No result was written or "
            f"replaced. {rest}"
        )
