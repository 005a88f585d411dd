"""Attacks on labels: a name that promises what the text does not hold."""

from __future__ import annotations

import random
from dataclasses import replace

from hacking.case import Case, Draft, Line
from hacking.registry import attack

MANY = 8


def _labelled(case: Case) -> bool:
    return case.answer.labelled and bool(case.loot.labels)


def _frequent(case: Case) -> list[str]:
    own = {line.label.casefold() for line in case.answer.lines}
    return [name for name in case.loot.labels if name.casefold() not in own][:MANY]


@attack("labels-shuffled", "labels change places")
def _shuffled(case: Case, rng: random.Random) -> Draft | None:
    lines = case.answer.lines
    if len({line.label for line in lines}) < 2:
        return None
    labels = [line.label for line in lines]
    rng.shuffle(labels)
    if labels == [line.label for line in lines]:
        labels = labels[1:] + labels[:1]
    return case.answer.having(replace(line, label=label) for line, label in zip(lines, labels, strict=True))


@attack("labels-alone", "right labels with nothing after them")
def _alone(case: Case, rng: random.Random) -> Draft | None:
    return case.answer.changed(lambda _: "") if case.answer.labelled else None


@attack("labels-list", "a bulleted list of the labels instead of perspectives")
def _list(case: Case, rng: random.Random) -> Draft | None:
    if not case.answer.labelled:
        return None
    lines = tuple(Line("", f"- {line.label}") for line in case.answer.lines)
    return replace(case.answer, lines=lines)


@attack("labels-defined", 'right labels with an empty phrase ("this is important here")')
def _defined(case: Case, rng: random.Random) -> Draft | None:
    if not case.answer.labelled:
        return None
    return case.answer.having(replace(p, explanation=f"{p.label} is important here") for p in case.answer.lines)


@attack("labels-wrong-text", "right labels with lines of other situations")
def _wrong(case: Case, rng: random.Random) -> Draft | None:
    if not case.answer.labelled:
        return None
    texts = rng.sample(case.loot.lines, len(case.answer.lines))
    return case.answer.having(
        replace(line, explanation=other.explanation) for line, other in zip(case.answer.lines, texts, strict=True)
    )


@attack("labels-added", "frequent labels added with nothing after them")
def _added(case: Case, rng: random.Random) -> Draft | None:
    return case.answer.plus(Line(name, "") for name in _frequent(case)) if _labelled(case) else None


@attack("labels-added-defined", 'frequent labels added with an empty phrase ("this matters here")')
def _added_defined(case: Case, rng: random.Random) -> Draft | None:
    return case.answer.plus(Line(n, f"{n.lower()} matters here") for n in _frequent(case)) if _labelled(case) else None
