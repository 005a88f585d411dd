"""The data stage: from a source to the files every later stage reads."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from overton.data.card import write_card
from overton.rundir import RunDir, write_jsonl

if TYPE_CHECKING:
    from overton.data.rows import TableRow
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
    sources: list[str] = [part.source for part in recipe.data.parts.values()] or [recipe.data.source]
    write_card(folder, sources, recipe.seed, list(files), warnings)


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
        "pairs.train.jsonl": labelled_pairs(splits.train, section.triplets, "train", seed),
        "pairs.dev.jsonl": labelled_pairs(splits.dev, section.pairs, "dev", seed),
        "pairs.test.jsonl": labelled_pairs(splits.test, section.pairs, "test", seed),
        "nli.jsonl": list(nli_pairs(splits.train, section.nli_pairs, seed)),
    }


def _written(recipe: Recipe, warnings: list[str]) -> Rows:
    from overton.data.sft import table_sft
    from overton.data.table import table_pairs, table_triplets
    from overton.errors import DataError

    section, seed = recipe.data, recipe.seed
    splits = _splits(section, seed, warnings)
    total, kept = len(splits["train"]), section.grpo_only
    if kept >= total:
        raise DataError(f"data.grpo_only: {kept} of {total} train situations leave none to SFT; take fewer")
    return {
        **{f"{name}.jsonl": [r.situation.to_json() for r in rows] for name, rows in splits.items()},
        "sft.jsonl": list(table_sft(splits["train"][: total - kept], seed)),
        "triplets.jsonl": list(table_triplets(splits["train"], section.triplets, seed)),
        "pairs.train.jsonl": table_pairs(splits["train"], 0, "train", seed, warnings),
        "pairs.dev.jsonl": table_pairs(splits["dev"], section.pairs, "dev", seed, warnings),
        "pairs.test.jsonl": table_pairs(splits["test"], section.pairs, "test", seed, warnings),
    }


def _splits(section: DataSection, seed: int, warnings: list[str]) -> dict[str, list[TableRow]]:
    from dataclasses import replace

    from overton.data.sources import read_source
    from overton.data.splits import drop_shared, split_as_published, split_table
    from overton.errors import DataError
    from overton.recipe import DataPart

    sizes = section.train, section.dev, section.test
    parts = section.parts
    if section.source != "several":
        parts = {"": DataPart.model_validate(section.model_dump(include=set(DataPart.model_fields)))}
    merged: dict[str, list[TableRow]] = {"train": [], "dev": [], "test": []}
    owner: dict[str, str] = {}
    for name, part in parts.items():
        told: list[str] = []
        rows = [replace(row, part=name) for row in read_source(part, told)]
        # One that has splits of its own only for some rows is refused there.
        if any(row.split for row in rows):
            own = drop_shared(split_as_published(rows, seed, told), *sizes, seed, told)
        else:
            own = split_table(rows, *sizes, seed, told)
        for split, found in own.items():
            merged[split] += found
        for row in rows:
            if (other := owner.setdefault(row.situation.id, name)) != name:
                raise DataError(f"data.parts: id {row.situation.id!r} is in {other} and in {name}; rename it in one")
        warnings += [f"{name}: {text}" if name else text for text in told]
    if len(parts) > 1:
        unlimited = len(owner)
        merged = drop_shared(merged, unlimited, unlimited, unlimited, seed, warnings)
    return merged


def _remove_leftovers(folder: Path, files: Rows) -> None:
    # A stage killed under another source may have left files that this source does not write.
    for path in folder.glob("*.jsonl"):
        if path.name not in files:
            path.unlink()
