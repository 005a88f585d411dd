"""The data stage: from a source to the files every later stage reads."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from overton.data.card import write_card
from overton.rundir import RunDir, write_jsonl

if TYPE_CHECKING:
    from overton.data.table import TableRow
    from overton.recipe import DataSection, Recipe

Rows = dict[str, list[dict[str, Any]]]


def run(recipe: Recipe, run: RunDir) -> None:
    """Write ``data/``: splits, SFT answers, triplets, labelled pairs and the card.

    Args:
        recipe: section ``data`` and the seed decide the files.
        run: the run directory.

    Raises:
        DataError: the table is unusable, or text leaks between splits.
    """
    folder = run.stage("data")
    folder.mkdir(parents=True, exist_ok=True)
    warnings: list[str] = []
    files = _world(recipe, warnings) if recipe.data.source == "world" else _written(recipe, warnings)
    for name, rows in files.items():
        write_jsonl(folder / name, rows)
    _remove_leftovers(folder, files)
    write_card(folder, recipe.data.source, recipe.seed, list(files), warnings)


def _world(recipe: Recipe, warnings: list[str]) -> Rows:
    from overton.data.world.generate import make_world
    from overton.data.world.pairs import labelled_pairs, nli_pairs, triplets
    from overton.data.world.sft import sft_rows

    section, seed = recipe.data, recipe.seed
    splits = make_world(section.train, section.dev, section.test, seed, grpo_only=section.grpo_only)
    for (name, rows), wanted in zip(splits.items(), (section.train, section.dev, section.test), strict=True):
        if len(rows) < wanted:
            warnings.append(f"{name}: {wanted} situations wanted, the composition rules allow {len(rows)}")
    return {
        **{f"{name}.jsonl": [s.to_json() for s in rows] for name, rows in splits.items()},
        "sft.jsonl": list(sft_rows(splits.train[: len(splits.train) - len(splits.grpo_only)], seed)),
        "triplets.jsonl": list(triplets(splits.train, section.triplets, seed)),
        "pairs.dev.jsonl": labelled_pairs(splits.dev, section.pairs, "dev", seed),
        "pairs.test.jsonl": labelled_pairs(splits.test, section.pairs, "test", seed),
        "nli.jsonl": list(nli_pairs(splits.train, section.nli_pairs, seed)),
    }


def _written(recipe: Recipe, warnings: list[str]) -> Rows:
    from overton.data.splits import split_as_published, split_table
    from overton.data.table import table_pairs, table_sft, table_triplets
    from overton.errors import DataError

    section, seed = recipe.data, recipe.seed
    table = _read(section, warnings)
    # One that has splits of its own only for some rows is refused there.
    divide = split_as_published if any(row.split for row in table) else split_table
    splits = divide(table, section.train, section.dev, section.test, seed, warnings)
    total, kept = len(splits["train"]), section.grpo_only
    if kept >= total:
        raise DataError(f"data.grpo_only: {kept} of {total} train situations leave none to SFT; take fewer")
    return {
        **{f"{name}.jsonl": [r.situation.to_json() for r in rows] for name, rows in splits.items()},
        "sft.jsonl": list(table_sft(splits["train"][: total - kept], seed)),
        "triplets.jsonl": list(table_triplets(splits["train"], section.triplets, seed)),
        "pairs.dev.jsonl": table_pairs(splits["dev"], section.pairs, "dev", seed, warnings),
        "pairs.test.jsonl": table_pairs(splits["test"], section.pairs, "test", seed, warnings),
    }


def _read(section: DataSection, warnings: list[str]) -> list[TableRow]:
    from overton.data.argkp import read_argkp
    from overton.data.perspectrum import read_perspectrum
    from overton.data.table import read_table
    from overton.errors import DataError

    if section.path is None:
        wanted = "the path of a JSONL or CSV file" if section.source == "table" else "the folder of its files"
        raise DataError(f"data.path: source `{section.source}` needs {wanted}")
    if section.source == "table":
        return read_table(section.path, section.columns)
    if section.columns:
        raise DataError(f"data.columns: source `{section.source}` knows its columns; leave them out")
    read = {"perspectrum": read_perspectrum, "argkp": read_argkp}[section.source]
    if not section.path.is_dir():
        raise DataError(f"{section.path}: no such folder; data.path names the folder of the {section.source} files")
    return read(section.path, warnings)


def _remove_leftovers(folder: Path, files: Rows) -> None:
    # A stage killed under another source may have left files that this source does not write.
    for path in folder.glob("*.jsonl"):
        if path.name not in files:
            path.unlink()
