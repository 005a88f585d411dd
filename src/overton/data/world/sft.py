"""Answers for supervised fine-tuning that are imperfect on purpose, as real ones are.

Each holds part of the relevant perspectives, says some of them twice and now and then something irrelevant.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence

from overton.data.world.content import World, cluster, explain, load_world
from overton.data.world.generate import SPLIT_PHRASINGS
from overton.segment import format_answer
from overton.types import Perspective, Situation

_SUMMARIES = (
    "Overall, {labels} all bear on {act}.",
    "In short, {act} touches on {labels}.",
    "People may judge {act} in the light of {labels}.",
    "Whoever thinks about {act} has to weigh {labels}.",
    "Taken together, {labels} all matter for {act}.",
    "A fair view of {act} keeps {labels} in mind.",
)


def sft_rows(
    situations: Sequence[Situation],
    seed: int,
    *,
    keep: tuple[float, float] = (0.35, 0.60),
    repeat: float = 0.05,
    irrelevant: float = 0.05,
) -> list[dict[str, str]]:
    """One imperfect answer a situation, of at least two perspectives.

    Args:
        situations: the train split.
        seed: decides everything.
        keep: range of the share of relevant perspectives an answer holds, drawn once an answer.
        repeat: probability that a kept perspective comes again later, in other words.
        irrelevant: probability that a line gives way to a perspective that is not relevant here.

    Returns:
        Rows with ``id``, ``prompt`` and ``completion``.
    """
    world = load_world()
    rng = random.Random(f"{seed}/sft")
    rows = []
    for situation in situations:
        rate = rng.uniform(*keep)
        views = [value_stance(p) for p in situation.perspectives]
        kept = [v for v in views if rng.random() < rate]
        rest = [v for v in views if v not in kept]
        kept += rng.sample(rest, max(0, min(2 - len(kept), len(rest))))
        kept.sort(key=lambda view: _rank(world, view[0]))
        lines = _lines(situation, kept, world, rng, repeat, irrelevant)
        rows.append({"id": situation.id, "prompt": situation.text, "completion": write_answer(situation, lines, rng)})
    return rows


def _rank(world: World, value: str) -> tuple[int, int]:
    """Values first, then rights, then duties, as ValuePrism lists them."""
    return ("value", "right", "duty").index(world.values[value].type), list(world.values).index(value)


def _lines(
    situation: Situation,
    kept: Sequence[tuple[str, str]],
    world: World,
    rng: random.Random,
    repeat: float,
    irrelevant: float,
) -> list[Perspective]:
    slots = slots_of(situation)
    first = {view: rng.choice(SPLIT_PHRASINGS["train"]) for view in kept}
    order = [(view, first[view]) for view in kept]
    for view in kept:
        if rng.random() < repeat:
            other = rng.choice([i for i in SPLIT_PHRASINGS["train"] if i != first[view]])
            place = order.index((view, first[view]))
            order.insert(rng.randint(place + 1, len(order)), (view, other))
    relevant = {value for value, _ in map(value_stance, situation.perspectives)}
    strangers = [v for v in world.values if v not in relevant]
    lines = []
    for view, index in order:
        if rng.random() < irrelevant:
            view, index = (rng.choice(strangers), rng.choice("+-")), rng.choice(SPLIT_PHRASINGS["train"])
        lines.append(line(world, view, index, slots))
    return lines


def line(world: World, view: tuple[str, str], index: int, slots: Mapping[str, str]) -> Perspective:
    """A perspective as an answer's line states it: after the label and a comma, so without a capital."""
    value, stance = world.values[view[0]], view[1]
    text = explain(value, stance, index, slots)
    return Perspective(value.label, text[:1].lower() + text[1:], stance, cluster(*view), "world")


def write_answer(situation: Situation, lines: Sequence[Perspective], rng: random.Random) -> str:
    """Lines and a short summary in the template."""
    labels = [label[:1].lower() + label[1:] for label in dict.fromkeys(p.label for p in lines)]
    named = enumerate_words(labels)
    shapes = (
        _SUMMARIES if len(labels) > 1 else tuple(s.replace(" all", "").replace("bear", "bears") for s in _SUMMARIES[:4])
    )
    summary = rng.choice(shapes).format(labels=named, act=situation.metadata["act"])
    return format_answer(lines, summary[:1].upper() + summary[1:])


def enumerate_words(words: Sequence[str]) -> str:
    """``a``, ``a and b``, ``a, b and c``."""
    return " and ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else list(words))


def value_stance(perspective: Perspective) -> tuple[str, str]:
    """(value id, stance) of one of the world's perspectives."""
    value, _, stance = (perspective.cluster or "").rpartition(":")
    return value, stance


def slots_of(situation: Situation) -> dict[str, str]:
    """The fillers a world situation was written with."""
    return {name: str(situation.metadata[name]) for name in ("actor", "affected", "thing", "act")}
