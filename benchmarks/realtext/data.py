"""Texts that people and published systems wrote, read from their published files; held-out situations stay out."""

from __future__ import annotations

import csv
import gzip
import json
import random
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from overton.data.perspectrum import read_perspectrum
from overton.data.rows import TableRow
from overton.data.sft import table_sft
from overton.rewards import parse_references
from overton.segment import keywords
from overton.types import Perspective, Situation

_OPENER = "In the perspective of"
_FEWEST = 3  # lines of an answer that teaches


@dataclass(frozen=True)
class Material:
    """What a model learns from, and on what it is judged.

    Attributes:
        train: situations with references, for OP-GRPO.
        held_out: situations that no text of training belongs to.
        sft: rows with ``prompt`` and ``completion``.
        texts: documents for learning the language.
        dropped: training situations that were nearly those held out.
    """

    train: list[Situation]
    held_out: list[Situation]
    sft: list[dict[str, str]]
    texts: list[str]
    dropped: int


def read_material(folder: Path, held_out: int, seed: int = 0) -> Material:
    """Read everything.

    Args:
        folder: with ``op_bench``, ``responses``, ``perspectrum`` and ``kpa2021``.
        held_out: situations of each of the three test files that are held out.
        seed: decides which.
    """
    situations = _situations(folder / "op_bench")
    by_split: dict[str, list[Situation]] = defaultdict(list)
    for situation in situations:
        by_split[situation.id.split("-")[0]].append(situation)
    kept: list[Situation] = []
    for split, own in sorted(by_split.items()):
        kept += random.Random(f"{seed}/{split}").sample(own, min(held_out, len(own) // 2))
    known = [keywords(s.text) for s in kept]
    out = {s.id for s in kept}
    others = [s for s in situations if s.id not in out]
    train = [s for s in others if not any(_alike(keywords(s.text), words) for words in known)]
    logs = _logs(folder / "responses")
    by_prompt = {(s.id.split("-")[0], s.text): s for s in train}
    sft: list[TableRow] = []
    texts = []
    for (split, prompt), answers in sorted(logs.items()):
        if (split, prompt) not in by_prompt:
            continue
        for sentences in answers:
            texts.append(f"{prompt}\n{' '.join(f'{s}.' for s in sentences)}")
            perspectives = _perspectives(sentences)
            if len(perspectives) >= _FEWEST:
                own = Situation(by_prompt[split, prompt].id, prompt, perspectives)
                sft.append(TableRow(own, perspectives))
    texts += [f"{s.text}\n" + "\n".join(f"{p.label}: {p.explanation}" for p in s.perspectives) for s in train]
    texts += list(_arguments(folder))
    return Material(train, kept, table_sft(sft, seed), texts, len(others) - len(train))


def _situations(folder: Path) -> list[Situation]:
    found: dict[str, Situation] = {}
    for split in ("5p", "6p", "7p"):
        with (folder / f"test_{split}.csv").open(newline="", encoding="utf-8") as file:
            for number, row in enumerate(csv.DictReader(file)):
                views = parse_references([t for t in row["answer"].splitlines() if t.strip()], split)
                key = row["prompt"].casefold().strip()
                found.setdefault(key, Situation(f"{split}-{number}", row["prompt"], views))
    return list(found.values())


def _logs(folder: Path) -> dict[tuple[str, str], list[list[str]]]:
    """Sentences of each logged answer, by situation."""
    logs: dict[tuple[str, str], list[list[str]]] = defaultdict(list)
    for path in sorted(folder.glob("*.jsonl.gz")):
        with gzip.open(path, "rt", encoding="utf-8") as file:
            for text in file:
                row = json.loads(text)
                # Numbers of lists and left-over ends of thoughts are no sentences.
                cleaned = [" ".join(s.rpartition("</think>")[2].split()) for s in row["response_sentences"]]
                logs[row["split"], row["prompt"]].append([s for s in cleaned if len(s.split()) > 2])
    return logs


def _perspectives(sentences: list[str]) -> tuple[Perspective, ...]:
    """Lines in the template; the same label counts once."""
    found: dict[str, Perspective] = {}
    for sentence in sentences:
        head, comma, explanation = sentence.removeprefix(_OPENER).strip(" *").partition(",")
        label, explanation = head.strip(" *"), explanation.strip()
        if sentence.startswith(_OPENER) and comma and 0 < len(label) <= 60 and len(explanation.split()) > 2:
            found.setdefault(label.casefold(), Perspective(label, explanation))
    return tuple(found.values())


def _arguments(folder: Path) -> Iterable[str]:
    """PERSPECTRUM's claims with their perspectives, and arguments with their topics; train parts."""
    for row in read_perspectrum(folder / "perspectrum", []):
        if row.split == "train":
            yield "\n".join([row.situation.text, *(p.explanation for p in row.views)])
    with (folder / "kpa2021" / "arguments_train.csv").open(newline="", encoding="utf-8") as file:
        for line in csv.DictReader(file):
            yield f"{line['topic']}\n{line['argument']}"


def _alike(one: frozenset[str] | set[str], other: frozenset[str] | set[str]) -> bool:
    """Whether two questions share most of their words."""
    return bool(one | other) and len(one & other) / len(one | other) >= 0.8
