"""Training triplets, labelled pairs and NLI pairs of the bundled world.

Negatives are hard on purpose: a related value with the same stance (near), the opposite stance of the same
value (opposite), or another perspective of the same situation (other).
"""

from __future__ import annotations

import random
from collections.abc import Sequence

from overton.data.world.content import PHRASINGS, World, cluster, explain, load_world
from overton.data.world.generate import SPLIT_PHRASINGS
from overton.data.world.sft import line, slots_of, value_stance, write_answer
from overton.segment import OPENER
from overton.types import Situation

View = tuple[str, str]
_FLIP = {"+": "-", "-": "+"}
_ALL = tuple(range(PHRASINGS))


def triplets(situations: Sequence[Situation], n: int, seed: int) -> list[dict[str, str]]:
    """Triplets from train situations, in train phrasings only.

    Args:
        situations: the train split.
        n: triplets wanted.
        seed: decides everything.

    Returns:
        ``n`` rows with ``situation``, ``anchor``, ``positive`` and ``negative``. Half of the negatives are of the same
        family with the same stance, a quarter of the same value with the opposite stance, the rest other relevant
        perspectives of the situation.
    """
    world = load_world()
    rng = random.Random(f"{seed}/triplets")
    train = SPLIT_PHRASINGS["train"]
    rows = []
    for situation in _cycle(situations, n, rng):
        slots = slots_of(situation)
        view = value_stance(rng.choice(situation.perspectives))
        first, second = rng.sample(train, 2)
        relation = rng.choices(("near", "opposite", "other"), (2, 1, 1))[0]
        against = _negative(relation, view, situation, world, rng)
        rows.append(
            {
                "situation": situation.text,
                "anchor": explain(world.values[view[0]], view[1], first, slots),
                "positive": explain(world.values[view[0]], view[1], second, slots),
                "negative": explain(world.values[against[0]], against[1], rng.choice(train), slots),
            }
        )
    return rows


def labelled_pairs(situations: Sequence[Situation], n: int, split: str, seed: int) -> list[dict[str, object]]:
    """Same-or-not pairs for calibration (dev) or benchmark (test), half of them the same perspective.

    ``sentence2`` is in one of the train phrasings, as a trained model's answers are. ``sentence1`` is in a
    train phrasing too, as the references are that the reward meets, or in the split's own, which no training
    has seen.

    Args:
        situations: the split's situations.
        n: pairs wanted.
        split: ``"dev"`` or ``"test"``.
        seed: decides everything.

    Returns:
        ``n`` rows: ``situation``, ``sentence1``, ``sentence2``, ``label`` (1 same, 0 not), ``relation``.
    """
    world = load_world()
    rng = random.Random(f"{seed}/pairs/{split}")
    rows: list[dict[str, object]] = []
    for number, situation in enumerate(_cycle(situations, n, rng)):
        slots = slots_of(situation)
        view = other = value_stance(rng.choice(situation.perspectives))
        relation = "same" if number % 2 == 0 else ("near", "opposite", "other")[number // 2 % 3]
        if relation != "same":
            other = _negative(relation, view, situation, world, rng)
        second = rng.choice(SPLIT_PHRASINGS["train"])
        phrasings = [i for i in (*SPLIT_PHRASINGS["train"], *SPLIT_PHRASINGS[split]) if view != other or i != second]
        rows.append(
            {
                "situation": situation.text,
                "sentence1": explain(world.values[view[0]], view[1], rng.choice(phrasings), slots),
                "sentence2": explain(world.values[other[0]], other[1], second, slots),
                "label": int(relation == "same"),
                "relation": relation,
            }
        )
    rng.shuffle(rows)
    return rows


def nli_pairs(situations: Sequence[Situation], n: int, seed: int) -> list[dict[str, str]]:
    """Premise-hypothesis pairs, a third of each class, in all five phrasings.

    The premise is an explanation as references have it; the hypothesis one as an answer has it, half of the
    time with the answer's "In the perspective of LABEL" in front. A related or right label with another
    value's explanation and an answer's summary are neutral.

    Args:
        situations: the train split.
        n: pairs wanted.
        seed: decides everything.

    Returns:
        ``n`` rows with ``premise``, ``hypothesis``, ``label`` and what each side says (``premise_meaning``
        and ``hypothesis_meaning``: a cluster, or ``""`` for a summary), for trainers that can use it.
    """
    world = load_world()
    rng = random.Random(f"{seed}/nli")
    rows = []
    for number, situation in enumerate(_cycle(situations, n, rng)):
        slots = slots_of(situation)
        view = _any_view(situation, world, rng)
        first, second = rng.sample(_ALL, 2)
        label = ("entailment", "contradiction", "neutral")[number % 3]
        labelled = rng.random() < 0.5
        said: View | None = view
        if label == "entailment":
            hypothesis = _hypothesis(world, view, view, second, slots, labelled)
        elif label == "contradiction":
            said = flipped = (view[0], _FLIP[view[1]])
            hypothesis = _hypothesis(world, flipped, flipped, rng.choice(_ALL), slots, labelled)
        else:
            hypothesis, said = _neutral(world, view, situation, labelled, rng)
        premise = explain(world.values[view[0]], view[1], first, slots)
        rows.append(
            {
                "premise": premise,
                "hypothesis": hypothesis,
                "label": label,
                "premise_meaning": cluster(*view),
                "hypothesis_meaning": cluster(*said) if said else "",
            }
        )
    rng.shuffle(rows)
    return rows


def _neutral(
    world: World, view: View, situation: Situation, labelled: bool, rng: random.Random
) -> tuple[str, View | None]:
    """A neutral hypothesis and what it says, ``None`` for a summary."""
    slots = slots_of(situation)
    draw = rng.random()
    if draw < 0.05:
        lines = [line(world, value_stance(p), 0, slots) for p in rng.sample(situation.perspectives, 4)]
        return write_answer(situation, lines, rng).splitlines()[-2], None
    if draw < 0.65:
        other = _negative(rng.choice(("near", "near", "other")), view, situation, world, rng)
    else:
        other = (rng.choice([v for v in world.values if v != view[0]]), rng.choice("+-"))
    if draw > 0.85:  # the right label in front of what another value says
        return _hypothesis(world, view, other, rng.choice(_ALL), slots, True), other
    return _hypothesis(world, other, other, rng.choice(_ALL), slots, labelled), other


def _hypothesis(world: World, label: View, view: View, index: int, slots: dict[str, str], labelled: bool) -> str:
    if not labelled:
        return explain(world.values[view[0]], view[1], index, slots)
    return f"{OPENER} {world.values[label[0]].label}, {line(world, view, index, slots).explanation}"


def _any_view(situation: Situation, world: World, rng: random.Random) -> View:
    # Mostly what is relevant; sometimes any value, so that no value is met in too few situations.
    if rng.random() < 0.7:
        return value_stance(rng.choice(situation.perspectives))
    return rng.choice(list(world.values)), rng.choice("+-")


def _negative(relation: str, view: View, situation: Situation, world: World, rng: random.Random) -> View:
    value, stance = view
    if relation == "opposite":
        return value, _FLIP[stance]
    if relation == "near":
        family = world.values[value].family
        related = [v.id for v in world.values.values() if v.family == family and v.id != value]
        return rng.choice(related), stance
    return rng.choice([v for v in map(value_stance, situation.perspectives) if v[0] != value])


def _cycle(situations: Sequence[Situation], n: int, rng: random.Random) -> list[Situation]:
    """``n`` situations, each used equally often, in random order."""
    found: list[Situation] = []
    while len(found) < n:
        found += rng.sample(situations, min(len(situations), n - len(found)))
    return found
