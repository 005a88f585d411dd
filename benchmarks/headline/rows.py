"""SFT rows of the policies, all made from the rows and references of the same situations.

A model from nothing knows no wording that it was not trained on. So a fifth of everybody's rows ask explicitly. They
are drawn from the half of the rows whose answers hold the larger share of the references, since asking for every view
should bring more of them: in the data about 1.45 times as many, as the published logs have it for Qwen3-8B (.357
against .249).
"""

from __future__ import annotations

import random
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from overton.data.world.content import World
from overton.data.world.sft import value_stance, write_answer
from overton.generation.prompts import Prompt
from overton.segment import OPENER
from overton.types import Perspective, Situation

Row = dict[str, Any]
PROMPTS = Path(__file__).parent / "prompts"
EXPLICIT_SHARE = 0.2
_LINE = re.compile(rf"^{OPENER} ([^,\n]+), (.+)$", re.MULTILINE)


def load_prompt(name: str) -> Prompt:
    """A prompt of this folder."""
    return Prompt(name, (PROMPTS / f"{name}.txt").read_text(encoding="utf-8"))


def lines_of(answer: str) -> list[tuple[str, str]]:
    """(label, line) of each perspective of one of the world's SFT answers."""
    return [(match[1], match[0]) for match in _LINE.finditer(answer)]


def mixed_rows(rows: Sequence[Row], situations: Mapping[str, Situation], seed: int) -> list[Row]:
    """The data stage's SFT rows, a fifth of them with the explicit wording.

    Args:
        rows: ``id``, ``prompt`` and ``completion``.
        situations: by id.
        seed: decides which.

    Returns:
        As many rows in the same order, with the same completions.
    """
    prompt = load_prompt("explicit")
    shares = [_share(row, situations[row["id"]]) for row in rows]
    fuller = sorted(range(len(rows)), key=lambda i: (-shares[i], i))[: len(rows) // 2]
    chosen = set(random.Random(f"{seed}/explicit").sample(fuller, round(EXPLICIT_SHARE * len(rows))))
    return [
        {**row, "prompt": prompt.fill(question=row["prompt"])} if i in chosen else dict(row)
        for i, row in enumerate(rows)
    ]


def _share(row: Row, situation: Situation) -> float:
    labels = {p.label for p in situation.perspectives}
    return len({label for label, _ in lines_of(row["completion"])} & labels) / len(labels)


def communities(world: World, count: int) -> list[set[str]]:
    """The world's families of values dealt out to communities: the labels of each."""
    families = sorted({value.family for value in world.values.values()})
    return [{v.label for v in world.values.values() if v.family in families[n::count]} for n in range(count)]


def community_rows(rows: Sequence[Row], situations: Mapping[str, Situation], labels: set[str]) -> list[Row]:
    """What one community says: its own lines of each SFT answer, without tags and summary.

    It says nothing where no reference is its own. Answers that leave out what would have been its own are left out,
    since silence there would teach it to pass over its own views.
    """
    found = []
    for row in rows:
        own = [line for label, line in lines_of(row["completion"]) if label in labels]
        if own or not any(p.label in labels for p in situations[row["id"]].perspectives):
            found.append({"id": row["id"], "prompt": row["prompt"], "completion": "\n".join(own)})
    return found


def merger_rows(rows: Sequence[Row], groups: Sequence[set[str]]) -> list[Row]:
    """From the question and the communities' comments to an answer, with the data that everybody has.

    Comments are the lines of an SFT answer, split by community; the answer is that answer.
    """
    found = []
    for row in rows:
        lines = lines_of(row["completion"])
        said = [[line for label, line in lines if label in labels] for labels in groups]
        found.append(_merged(row, row["prompt"], said, row["completion"]))
    return found


def full_merger_rows(
    rows: Sequence[Row], situations: Mapping[str, Situation], groups: Sequence[set[str]], seed: int
) -> list[Row]:
    """The same from complete lists, which nobody else learns from.

    Comments are the references, split by community; the answer states every one of them.
    """
    rng, found = random.Random(f"{seed}/merger"), []
    for row in rows:
        situation = situations[row["id"]]
        said = [[_as_line(p) for p in situation.perspectives if p.label in labels] for labels in groups]
        comments = [[f"{OPENER} {p.label}, {p.explanation}" for p in own] for own in said]
        answer = write_answer(situation, [p for own in said for p in own], rng)
        found.append(_merged(row, situation.text, comments, answer))
    return found


def _merged(row: Row, question: str, said: Sequence[Sequence[str]], answer: str) -> Row:
    spoken = enumerate((lines for lines in said if lines), 1)
    comments = "\n\n".join(f"Comment {n}: " + "\n".join(lines) for n, lines in spoken)
    prompt = load_prompt("modular").fill(question=question, comments=comments)
    return {"id": row["id"], "prompt": prompt, "completion": answer}


def _as_line(reference: Perspective) -> Perspective:
    """As it stands behind a label and a comma."""
    text = reference.explanation
    return Perspective(reference.label, text[:1].lower() + text[1:], value_stance(reference)[1], reference.cluster)
