"""The data stage: from a source to the files every later stage reads."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from overton.data.card import CARD, NO_REPLY, NO_VERDICT, Tally, write_card
from overton.folders import shown_model
from overton.jsonio import write_jsonl
from overton.progress import say
from overton.rundir import RunDir

if TYPE_CHECKING:
    from overton.recipe import Recipe

Rows = dict[str, Iterable[dict[str, Any]]]


def check(recipe: Recipe, run: RunDir) -> None:
    """Look for the source's files, before the stage removes the data that are there.

    Raises:
        DataError: a path of the recipe does not exist.
    """
    from overton.data.sources import read_source
    from overton.data.written import parts_of

    if recipe.data.source == "world":
        return
    for part in parts_of(recipe.data).values():
        if part.path and not part.path.exists():
            read_source(part, [])  # says what is wanted there


def run(recipe: Recipe, run: RunDir) -> None:
    """Write ``data/``: splits, SFT answers, triplets, labelled pairs and the card.

    Args:
        recipe: section ``data`` and the seed decide the files; with refinement, ``estimator.base`` and ``llm`` too.
        run: the run directory.

    Raises:
        DataError: the table is unusable, or text leaks between splits.
        ModelError: refinement wants an encoder or a language model that cannot be had.
        RecipeError: a language model is wanted and ``llm`` names none.
    """
    from overton.data.written import written_files

    folder = run.stage("data")
    folder.mkdir(parents=True, exist_ok=True)
    warnings: list[str] = []
    tally: Tally = {}
    world = recipe.data.source == "world"
    files = _world(recipe, warnings) if world else written_files(recipe, run.path / "llm", warnings, tally)
    if recipe.data.by_count:
        test = list(files["test.jsonl"])
        files |= {"test.jsonl": test, **_by_count(test)}
    for name, rows in files.items():
        write_jsonl(folder / name, rows)
    names = list(files)
    del files, rows  # a large table's rows need the room
    _remove_leftovers(folder, names)
    sources: list[str] = [part.source for part in recipe.data.parts.values()] or [recipe.data.source]
    write_card(folder, sources, recipe.seed, names, warnings, tally, _made_with(recipe))
    missing = [text for text in warnings if text.endswith((NO_REPLY, NO_VERDICT))]
    for text in warnings:
        if text not in missing:
            say(f"note: {text}")
    say(f"what the data are: {folder / CARD}")
    if missing and not recipe.llm.dry_run:
        say(
            f"{'; '.join(missing)}. To make the calls again that failed, remove {folder / CARD} and run the same "
            f"command. Replies are kept, also those that cannot be read: see {run.path / 'llm'}, and take another "
            "model where there are many"
        )


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


def _by_count(test: list[dict[str, Any]]) -> Rows:
    """The test split once more, by number of perspectives: 5 to 10, and more."""
    names = {**{n: f"{n}p" for n in range(5, 11)}, 0: "more"}
    found: Rows = {}
    for number, name in names.items():
        own = [row for row in test if (n := len(row["perspectives"])) == number or (not number and n > max(names))]
        if own:
            found[f"test.{name}.jsonl"] = own
    return found


def _made_with(recipe: Recipe) -> list[str]:
    data = recipe.data
    found = [f"Cosines by {shown_model(recipe.estimator.base)}, situation masked."] if data.encodes else []
    return found + ([f"Language model asked: {shown_model(recipe.llm.model)}."] if data.asks else [])


def _remove_leftovers(folder: Path, names: Sequence[str]) -> None:
    # A stage killed under another source may have left files that this source does not write.
    for path in folder.glob("*.jsonl"):
        if path.name not in names:
            path.unlink()
