"""The data card: what the data stage wrote, in words and numbers."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import ceil
from pathlib import Path
from statistics import mean, median
from typing import Any

from overton.jsonio import sha256, write_text
from overton.segment import OPENER

# Ends of lines of the tally that tell what calls to a language model left undone.
NO_REPLY, NO_VERDICT = "for want of a reply", "for want of a verdict"
CARD, HUB_CARD = "card.md", "README.md"  # the second is the first with what the hub reads above it
_SPLITS = ("train", "dev", "test")
# The hub's names; what is yours has the licence and the language that you know.
_LICENCES = {
    "world": "apache-2.0",
    "argkp": "apache-2.0",
    "perspectrum": "cc-by-sa-4.0",
    "valueprism": "other",
}
_ORIGINS = {
    "perspectrum": "PERSPECTRUM (https://github.com/CogComp/perspectrum), licence CC BY-SA 4.0. Written by people.",
    "argkp": "Key Point Analysis 2021 (https://github.com/IBM/KPA_2021_shared_task), licence Apache-2.0. Written by "
    "people.",
    "valueprism": "ValuePrism (https://huggingface.co/datasets/allenai/ValuePrism), AI2 ImpACT licence for medium risk "
    "artifacts: research only. Situations written by people, perspectives by GPT-4.",
    "hub": "a data set of the hub, or a folder of its kind (`data.dataset`). Its licence stands on its card.",
    "table": "a table of your own. Its licence is the one of your table.",
}


# Split -> what was done there -> how often.
Tally = dict[str, Counter[str]]


def write_card(
    folder: Path,
    sources: Sequence[str],
    seed: int,
    files: Sequence[str],
    warnings: Sequence[str],
    tally: Tally | None = None,
    made_with: Sequence[str] = (),
) -> None:
    """Write ``card.md``, and ``README.md`` as the hub reads it, from the files on disk.

    Args:
        folder: the data stage's folder.
        sources: ``world``, or one or more of the others by their names in the recipe.
        seed: of the run.
        files: names of the files written.
        warnings: what the reader should know.
        tally: what refinement did, by split.
        made_with: encoder and language model that had a part in it.
    """
    splits = {name: [_facts(row) for row in _stream(folder / f"{name}.jsonl")] for name in _SPLITS}
    origin = [line for source in dict.fromkeys(sources) for line in _origin(source, seed)]
    parts = ["# Data card", "", *origin, "", "## Splits", "", *_split_table(splits)]
    parts += ["", "## Perspectives a situation", "", *_histogram(splits)]
    if "world" in sources:
        parts += ["", "## Split by composition", "", *_composition(splits)]
    parts += ["", "## Answers for fine-tuning", "", *_answers(folder / "sft.jsonl", len(splits["train"]))]
    parts += _refinement(tally or {}, made_with)
    parts += ["", "## Warnings", "", *([f"- {w}" for w in warnings] or ["None."])]
    parts += ["", "## Files", "", "| file | rows | sha256 |", "|---|---|---|"]
    parts += [f"| {f} | {_count(folder / f)} | `{sha256(folder / f)}` |" for f in files]
    text = "\n".join(parts) + "\n"
    write_text(folder / CARD, text)
    write_text(folder / HUB_CARD, f"{_head(folder, sources, files)}\n{text}")


def _head(folder: Path, sources: Sequence[str], files: Sequence[str]) -> str:
    """Licence, language and subsets: files of other columns are subsets of their own, and an empty one is in none."""
    from huggingface_hub import DatasetCardData

    subsets: dict[str, list[dict[str, str]]] = {"situations": []}
    for file in files:
        name, _, split = file.removesuffix(".jsonl").partition(".")
        if not (folder / file).stat().st_size:
            continue
        if name in _SPLITS:
            name, split = ("by_count", split) if split else ("situations", name)
        subsets.setdefault(name, []).append({"split": split or "train", "path": file})
    licences = sorted({_LICENCES.get(source, "") for source in sources})
    known = "" not in licences
    data = DatasetCardData(
        license=(licences if len(licences) > 1 else licences[0]) if known else None,
        license_name="ai2-impact-medium-risk" if known and "other" in licences else None,
        language="en" if known else None,
        tags=["overton"],
        configs=[
            {"config_name": name, "data_files": parts, **({"default": True} if name == "situations" else {})}
            for name, parts in subsets.items()
            if parts
        ],
    )
    return f"---\n{data.to_yaml()}\n---"


def _origin(source: str, seed: int) -> list[str]:
    if source == "world":
        return [
            f"Source: the bundled world of Overton, seed {seed}. Generated text, licence Apache-2.0. The",
            "people and events are invented. The perspectives of a situation are those its authors hold",
            "to be relevant: a ground truth for measuring, not a survey of what people think.",
        ]
    return [f"Source: {_ORIGINS[source]} Split and drawn with seed {seed}."]


@dataclass(frozen=True, slots=True)
class _Facts:
    """What the card says about one situation: numbers of words, and the world's metadata."""

    words: int
    explanations: tuple[int, ...]
    metadata: dict[str, Any]


def _stream(path: Path) -> Iterator[dict[str, Any]]:
    # The stage wrote these files itself, and one of them may be as large as all the rest.
    with open(path, encoding="utf-8") as file:
        for line in file:
            yield json.loads(line)


def _count(path: Path) -> int:
    with open(path, "rb") as file:
        return sum(1 for _ in file)


def _facts(row: dict[str, Any]) -> _Facts:
    words = tuple(len(p["explanation"].split()) for p in row["perspectives"])
    return _Facts(len(row["text"].split()), words, row["metadata"])


def _lengths(words: list[int]) -> str:
    ordered = sorted(words)
    return f"{median(ordered):.0f}, {ordered[ceil(0.95 * len(ordered)) - 1]}, {ordered[-1]}"


def _split_table(splits: dict[str, list[_Facts]]) -> list[str]:
    lines = [
        "Words are given as median, 95th percentile and maximum.",
        "",
        "| split | situations | perspectives | words in a situation | words in an explanation |",
        "|---|---|---|---|---|",
    ]
    for name, rows in splits.items():
        explanations = [n for row in rows for n in row.explanations]
        own = _lengths([row.words for row in rows])
        lines.append(f"| {name} | {len(rows)} | {len(explanations)} | {own} | {_lengths(explanations)} |")
    return lines


def _refinement(tally: Tally, made_with: Sequence[str]) -> list[str]:
    names = list(dict.fromkeys(what for counts in tally.values() for what, n in counts.items() if n))
    if not names and not made_with:
        return []
    lines = [
        "",
        "## Refinement",
        "",
        *made_with,
        "",
        "| what | " + " | ".join(_SPLITS) + " |",
        "|---" * (len(_SPLITS) + 1) + "|",
    ]
    empty: Counter[str] = Counter()
    return lines + [f"| {w} | " + " | ".join(str(tally.get(s, empty)[w]) for s in _SPLITS) + " |" for w in names]


def _histogram(splits: dict[str, list[_Facts]]) -> list[str]:
    counts = {name: Counter(len(r.explanations) for r in rows) for name, rows in splits.items()}
    sizes = sorted({size for counter in counts.values() for size in counter})
    lines = ["| split | " + " | ".join(map(str, sizes)) + " |", "|---" * (len(sizes) + 1) + "|"]
    return lines + [f"| {n} | " + " | ".join(str(c[size]) for size in sizes) + " |" for n, c in counts.items()]


def _composition(splits: dict[str, list[_Facts]]) -> list[str]:
    lines = [
        "Every (kind, circumstance) pair belongs to one split. No situation text, no explanation text and no",
        "pair is shared between splits (checked when the files were made). Of the five phrasings of a",
        "perspective, three are used in train and one each in dev and test. `nli.jsonl` trains the evaluator",
        "and uses all five, about the people and things of train situations.",
        "",
        "| split | pairs | kinds | circumstances | domains | situations with 0 / 1 / 2 circumstances |",
        "|---|---|---|---|---|---|",
    ]
    for name, rows in splits.items():
        facts = [r.metadata for r in rows]
        pairs = {(m["kind"], c) for m in facts for c in m["circumstances"]}
        told = Counter(len(m["circumstances"]) for m in facts)
        lines.append(
            f"| {name} | {len(pairs)} | {len({m['kind'] for m in facts})} | {len({c for _, c in pairs})} | "
            f"{len({m['domain'] for m in facts})} | {told[0]} / {told[1]} / {told[2]} |"
        )
    return lines


def _answers(path: Path, train: int) -> list[str]:
    texts = [(len(r["completion"].split()), r["completion"].count(OPENER)) for r in _stream(path)]
    words, lines = [w for w, _ in texts], [n for _, n in texts]
    return [
        f"{len(texts)} answers, {mean(lines):.2f} perspectives each on average (at most {max(lines)}),",
        f"{_lengths(words)} words (median, 95th percentile, maximum).",
        *([f"{train - len(texts)} of the train situations have no SFT answer."] * (len(texts) < train)),
    ]
