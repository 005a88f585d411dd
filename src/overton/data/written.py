"""Sources that people wrote: split, refined, checked for leaks, and made into the stage's files."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from overton.data.pairs import says_what_is_the_same, stream_pairs, table_triplets
from overton.data.rows import TableRow
from overton.data.sft import table_sft
from overton.data.sources import read_source
from overton.data.splits import drop_shared, repeated_texts, split_as_published, split_table, texts_of
from overton.errors import DataError
from overton.sections import DataPart

if TYPE_CHECKING:
    from overton.data.card import Tally
    from overton.data.refine import Encode
    from overton.llm import LanguageModel
    from overton.recipe import Recipe
    from overton.sections import DataSection

Splits = dict[str, list[TableRow]]


def written_files(
    recipe: Recipe, replies: Path, warnings: list[str], tally: Tally
) -> dict[str, Iterable[dict[str, Any]]]:
    """Rows of each file.

    Args:
        recipe: sections ``data``, ``estimator`` (its base) and ``llm``, and the seed.
        replies: folder where a language model's replies are kept.
        warnings: what the card should tell is appended.
        tally: what refinement did to each split is added.

    Raises:
        DataError: the data are unusable, or a split is empty.
        ModelError: an encoder or a language model cannot be had.
        RecipeError: a language model is wanted and ``llm`` names none.
    """
    section, seed = recipe.data, recipe.seed
    llm = _language_model(recipe, replies) if section.asks else None
    splits = _splits(section, seed, warnings)
    encode = _encoder(recipe) if section.encodes else None
    if section.refine.merge:
        assert encode is not None
        splits = _refined(section, splits, encode, llm, seed, tally)
    every = max(map(len, splits.values()))
    splits = drop_shared(splits, every, every, every, seed, warnings)
    total, kept = len(splits["train"]), section.grpo_only
    if kept >= total:
        raise DataError(f"data.grpo_only: {kept} of {total} train situations leave none to SFT; take fewer")
    train = tally.setdefault("train", Counter())
    sft = table_sft(splits["train"][: total - kept], seed, section.summary, llm, train)
    references = {f"{name}.jsonl": (r.situation.to_json() for r in rows) for name, rows in splits.items()}
    if section.miner != "llm" and not any(map(says_what_is_the_same, (row for own in splits.values() for row in own))):
        warnings.append(
            "neither labelled pairs nor clusters say what is the same: no triplets and no labelled pairs, so no "
            "estimator is trained on these data; `estimator.train_on: nothing` takes one that is there"
        )
        return {**references, "sft.jsonl": sft}
    if section.miner == "llm":
        assert encode is not None
        assert llm is not None
        splits, triplets = _mined(section, splits, encode, llm, seed, tally)
    else:
        triplets = table_triplets(splits["train"], section.triplets, seed)
    for name, counts in tally.items():
        warnings += [f"{name}: {n} {what}" for what, n in counts.items() if n and ", for want of a" in what]
    return {
        **references,
        "sft.jsonl": sft,
        "triplets.jsonl": triplets,
        "pairs.train.jsonl": stream_pairs(splits["train"], 0, "train", seed, warnings),
        "pairs.dev.jsonl": stream_pairs(splits["dev"], section.pairs, "dev", seed, warnings),
        "pairs.test.jsonl": stream_pairs(splits["test"], section.pairs, "test", seed, warnings),
    }


def parts_of(section: DataSection) -> dict[str, DataPart]:
    """The sources by their names in the recipe; a single one has none."""
    if section.source == "several":
        return section.parts
    return {"": DataPart.model_validate(section.model_dump(include=set(DataPart.model_fields)))}


def _splits(section: DataSection, seed: int, warnings: list[str]) -> Splits:
    sizes = section.train, section.dev, section.test
    merged: Splits = {"train": [], "dev": [], "test": []}
    owner: dict[str, str] = {}
    for name, part in parts_of(section).items():
        told: list[str] = []
        # Ids made up in two parts would be the same.
        read = read_source(part, told, prefix=f"{name}-" if name else "")
        rows = [replace(row, part=name) for row in read]
        if twice := repeated_texts(rows):
            told.append(f"{twice} situations have the text of an earlier one under another id; they share its split")
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
    return merged


def _refined(
    section: DataSection, splits: Splits, encode: Encode, llm: LanguageModel | None, seed: int, tally: Tally
) -> Splits:
    from overton.data.refine import Refiner

    wanted, judge = section.refine, llm if section.refine.vote else None
    found = dict(splits)
    for name in splits:
        counts, elsewhere = tally.setdefault(name, Counter()), set[str]()
        if wanted.perspectives:
            others = (row for other, rows in found.items() if other != name for row in rows)
            elsewhere = {text for row in others for text in texts_of(row)}
        refine = Refiner(encode, wanted.merge, wanted.perspectives, judge, llm, elsewhere, seed, counts)
        found[name] = refine(found[name])
    return found


def _mined(
    section: DataSection, splits: Splits, encode: Encode, llm: LanguageModel, seed: int, tally: Tally
) -> tuple[Splits, list[dict[str, str]]]:
    from overton.data.mine import judge_pairs, mined_triplets, with_verdicts

    judged = {
        name: judge_pairs(rows, encode, llm, section.mine.cosine, tally.setdefault(name, Counter()))
        for name, rows in splits.items()
    }
    triplets = mined_triplets(judged["train"], section.triplets, seed, tally["train"])
    return {name: with_verdicts(own) for name, own in judged.items()}, triplets


def _language_model(recipe: Recipe, replies: Path) -> LanguageModel:
    from overton.errors import RecipeError
    from overton.llm import load_llm

    if not recipe.llm.model:
        raise RecipeError(
            "llm.model: data.refine, data.summary or data.miner asks a language model, and the recipe names none; name "
            "one, or leave those keys out"
        )
    return load_llm(recipe.llm, replies)


def _encoder(recipe: Recipe) -> Encode:
    """The estimator's base as it is, with labels stripped and the situation's words masked."""
    from overton.estimator.encode import SimilarityEstimator
    from overton.estimator.models import load_sentence_transformer, model_folder
    from overton.estimator.preprocess import SETTINGS_FILE, Preprocessing

    folder = model_folder(recipe.estimator.base)
    model = load_sentence_transformer(folder, recipe.estimator.max_seq_length)
    own = Preprocessing.load(folder) if (folder / SETTINGS_FILE).exists() else Preprocessing()
    estimator = SimilarityEstimator(model, own, bf16=recipe.estimator.bf16, cache_rows=0)

    def encode(texts: Sequence[str], contexts: Sequence[str]) -> Any:
        return estimator.encode(texts, contexts)

    return encode
