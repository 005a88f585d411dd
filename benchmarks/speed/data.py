"""Real answers of published systems, in groups as a trainer scores them."""

from __future__ import annotations

import csv
import gzip
import json
import random
from collections import defaultdict
from pathlib import Path
from typing import Any

from overton.rewards import parse_references
from overton.types import Group, Perspective


def read_groups(references: Path, responses: Path, answers: int, seed: int) -> list[Group]:
    """A group a situation, those with most logged answers first.

    The logs hold at most nine answers to a situation. What is missing to ``answers`` is put together from sentences of
    the situation's other answers.

    Args:
        references: folder with ``test_5p.csv``, ``test_6p.csv`` and ``test_7p.csv``.
        responses: the logs, JSON lines, gzipped.
        answers: answers a group.
        seed: decides which sentences are put together.
    """
    logs: dict[tuple[str, str], list[dict[str, Any]]] = defaultdict(list)
    with gzip.open(responses, "rt", encoding="utf-8") as file:
        for text in file:
            row = json.loads(text)
            logs[row["split"], row["prompt"]].append(row)
    known: dict[tuple[str, str], tuple[Perspective, ...]] = {}
    for split in ("5p", "6p", "7p"):
        with (references / f"test_{split}.csv").open(newline="", encoding="utf-8") as file:
            for row in csv.DictReader(file):
                found = parse_references([t for t in row["answer"].splitlines() if t.strip()], split)
                known.setdefault((split, row["prompt"]), found)
    groups = []
    for key in sorted(known, key=lambda k: -len(logs[k])):
        written = [[_clean(s) for s in row["response_sentences"]] for row in logs[key]]
        texts = [_answer(sentences) for sentences in written]
        texts += recombined([s for own in written for s in own], max(0, answers - len(texts)), f"{seed}/{key}")
        groups.append(Group(key[1], known[key], tuple(texts[:answers])))
    return groups


def recombined(sentences: list[str], count: int, seed: str) -> list[str]:
    """Answers of eight to fourteen real sentences each, drawn with a seed."""
    rng = random.Random(seed)
    return [_answer(rng.sample(sentences, min(len(sentences), rng.randint(8, 14)))) for _ in range(count)]


def unlike(groups: list[Group], rollouts: int, seed: int) -> list[Group]:
    """As many rollouts, ten a group, of three real sentences each; no sentence is used twice, so none is cached.

    Sentences are those of at most 25 words, of all situations, shuffled.

    Raises:
        ValueError: there are not enough sentences.
    """
    lines = {line for group in groups for answer in group.answers for line in answer.splitlines()[1:-4]}
    pool = sorted(line for line in lines if 4 <= len(line.split()) <= 25)
    random.Random(seed).shuffle(pool)
    if 3 * rollouts > len(pool):
        raise ValueError(f"{len(pool)} sentences are not enough for {rollouts} rollouts")
    answers = [_answer(pool[3 * i : 3 * i + 3]) for i in range(rollouts)]
    return [
        Group(own.prompt, own.references, tuple(answers[10 * i : 10 * i + 10]))
        for i in range(rollouts // 10)
        for own in [groups[i % len(groups)]]
    ]


def _clean(sentence: str) -> str:
    return " ".join(sentence.replace("</think>", " ").split())


def _answer(sentences: list[str]) -> str:
    lines = "\n".join(f"{s.rstrip('.')}." for s in sentences)
    return f"<core perspectives>\n{lines}\n</core perspectives>\n<summary>\nAll of this counts.\n</summary>"
