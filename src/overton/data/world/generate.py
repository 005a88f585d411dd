"""Situations of the bundled world, split by composition.

A situation is a kind of action with two people, a thing and up to two circumstances. Every (kind,
circumstance) pair belongs to one split only, so a held-out situation combines what was never seen together in
training. Explanations are split as well: of the five phrasings of a perspective three are for train, one each
for dev and test. A part of the train compositions may be kept from SFT, so that GRPO meets what SFT has not seen.
"""

from __future__ import annotations

import hashlib
import random
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import permutations

from overton.data.world.content import (
    Circumstance,
    Kind,
    World,
    cluster,
    explain,
    load_world,
)
from overton.data.world.wording import fill_slots, may_lead, write_text
from overton.errors import DataError
from overton.types import Perspective, Situation

_TRAIN_PHRASINGS = (0, 1, 2)
SPLIT_PHRASINGS: Mapping[str, tuple[int, ...]] = {"train": _TRAIN_PHRASINGS, "dev": (3,), "test": (4,)}
_FEWEST_KINDS = 0.25  # share of the kinds that a circumstance of held-out situations fits at least
_SHARES = (("train", 0.75), ("dev", 0.10), ("test", 0.15))
_GRPO_SHARE = 0.12  # of all pairs, taken from train's, where situations are kept for GRPO
# Wanted shares of situations with so many circumstances and with so many perspectives.
_TOLD = {0: 0.10, 1: 0.45, 2: 0.45}
_PERSPECTIVES = {5: 0.12, 6: 0.20, 7: 0.25, 8: 0.23, 9: 0.20}
_FLIP = {"+": "-", "-": "+"}
_DRAWS = 40  # so many draws without a new text, and a combination counts as used up


@dataclass(frozen=True, slots=True)
class Splits:
    """Situations by split.

    Attributes:
        train: all of the train split, those of ``grpo_only`` included.
        dev: thresholds and choices.
        test: nothing is tuned on it.
        grpo_only: train situations whose (kind, circumstance) pairs no other train situation has.
    """

    train: tuple[Situation, ...]
    dev: tuple[Situation, ...]
    test: tuple[Situation, ...]
    grpo_only: tuple[Situation, ...] = ()

    def items(self) -> Iterable[tuple[str, tuple[Situation, ...]]]:
        """(name, situations) of the three splits."""
        return (("train", self.train), ("dev", self.dev), ("test", self.test))


def make_world(train: int, dev: int, test: int, seed: int, world: World | None = None, *, grpo_only: int = 0) -> Splits:
    """Draw distinct situations for the three splits.

    Args:
        train: situations wanted, those of ``grpo_only`` included.
        dev: situations wanted.
        test: situations wanted.
        seed: decides everything; the same seed gives the same splits on every machine.
        world: content; the bundled one by default.
        grpo_only: so many of the train situations have compositions of their own.

    Returns:
        The splits. A split may hold fewer situations than wanted when the composition rules allow no more.

    Raises:
        DataError: a split came out empty, text leaks between splits, or ``grpo_only`` leaves nothing to SFT.
    """
    if grpo_only >= train:
        raise DataError(f"data.grpo_only: {grpo_only} of {train} train situations leave none to SFT; take fewer")
    world = world or load_world()
    owner = composition(world, seed, apart=grpo_only > 0)
    wanted = {"train": train - grpo_only, "dev": dev, "test": test} | ({"grpo": grpo_only} if grpo_only else {})
    made = {name: _draw(world, owner, name, count, random.Random(f"{seed}/{name}")) for name, count in wanted.items()}
    for name, rows in made.items():
        if not rows:
            raise DataError(f"the bundled world has no situation left for the {name} split")
    own = made.pop("grpo", ())
    splits = Splits(made["train"] + own, made["dev"], made["test"], own)
    check_leaks(splits)
    return splits


def composition(world: World, seed: int, apart: bool = False) -> dict[tuple[str, str], str]:
    """Which split each allowed (kind, circumstance) pair belongs to, about 75 / 10 / 15 percent.

    With ``apart``, some of train's pairs go to a part of their own, ``grpo``.

    A circumstance that fits only a few kinds stays in train: what it changes could not be learnt from the kinds
    left. Every kind and every circumstance keeps at least one pair in train.
    """
    allowed = [(k.id, c.id) for k in world.kinds.values() for c in world.circumstances.values() if fits(k, c)]
    kinds_of = Counter(circumstance for _, circumstance in allowed)
    pairs = [pair for pair in allowed if kinds_of[pair[1]] >= _FEWEST_KINDS * len(world.kinds)]
    ranked = sorted(pairs, key=lambda pair: hashlib.sha256(f"{seed}|{pair[0]}|{pair[1]}".encode()).digest())
    owner = dict.fromkeys(allowed, "train") | {p: _bucket(i, len(ranked), apart) for i, p in enumerate(ranked)}
    for side in (0, 1):
        in_train = {pair[side] for pair in ranked if owner[pair] == "train"}
        for pair in ranked:
            if pair[side] not in in_train:
                owner[pair] = "train"
                in_train.add(pair[side])
    return owner


def _bucket(position: int, total: int, apart: bool) -> str:
    share = (position + 0.5) / total
    if apart and share < _GRPO_SHARE:
        return "grpo"
    edge = 0.0
    for name, width in _SHARES:
        edge += width
        if share < edge:
            return name
    return _SHARES[-1][0]


def fits(kind: Kind, item: Circumstance) -> bool:
    """Whether neither side excludes the other."""
    return item.id not in kind.excludes and kind.id not in item.excludes


def compatible(one: Circumstance, other: Circumstance) -> bool:
    """Whether two circumstances may occur together: other group, neither excludes the other."""
    return one.group != other.group and one.id not in other.excludes and other.id not in one.excludes


def relevant(kind: Kind, items: Iterable[Circumstance]) -> dict[str, str]:
    """Value id -> stance after each circumstance removed, turned and added, in that order."""
    found = dict(kind.perspectives)
    for item in items:
        for value in item.removes:
            found.pop(value, None)
        for value in item.turns:
            if value in found:
                found[value] = _FLIP[found[value]]
        found.update(item.adds)
    return found


def make_situation(
    world: World,
    kind: Kind,
    items: tuple[Circumstance, ...],
    people: tuple[str, str],
    thing: str,
    front: bool,
    split: str,
    rng: random.Random,
) -> Situation:
    """One situation with its references.

    Args:
        world: content.
        kind: kind of action.
        items: circumstances.
        people: (actor, affected).
        thing: object.
        front: see :func:`write_text`.
        split: decides which phrasings the references may use.
        rng: draws phrasings and their order.
    """
    views = relevant(kind, items)
    slots = fill_slots(kind, people, thing)
    references = [
        Perspective(
            label=world.values[value].label,
            explanation=explain(
                world.values[value], stance, rng.choice(SPLIT_PHRASINGS.get(split, _TRAIN_PHRASINGS)), slots
            ),
            stance=stance,
            cluster=cluster(value, stance),
            provenance="world",
        )
        for value, stance in sorted(views.items())
    ]
    rng.shuffle(references)
    metadata = {
        "kind": kind.id,
        "domain": kind.domain,
        "circumstances": [c.id for c in items],
        **slots,
        "front": front,
    }
    return Situation("", write_text(kind, items, front, slots), tuple(references), metadata)


def _draw(
    world: World, owner: Mapping[tuple[str, str], str], split: str, count: int, rng: random.Random
) -> tuple[Situation, ...]:
    # (circumstances, perspectives) -> kind -> combinations. Drawing in this order keeps the two numbers as
    # wanted; kinds that were used less come first, which evens out their frequencies.
    menu: dict[tuple[int, int], dict[str, list[tuple[Circumstance, ...]]]] = {}
    for kind in world.kinds.values():
        allowed = [c for c in world.circumstances.values() if owner.get((kind.id, c.id)) == split]
        for told in _TOLD if split == "train" else list(_TOLD)[1:]:
            for items in permutations(allowed, told):
                if told < 2 or compatible(*items):
                    key = (told, len(relevant(kind, items)))
                    menu.setdefault(key, {}).setdefault(kind.id, []).append(items)
    weights: dict[tuple[int, int], float] = {}
    for told, share in _TOLD.items():
        there = {n: weight for n, weight in _PERSPECTIVES.items() if (told, n) in menu}
        weights |= {(told, n): share * weight / sum(there.values()) for n, weight in there.items()}
    found: dict[str, Situation] = {}
    used: Counter[str] = Counter()
    while weights and len(found) < count:
        key = rng.choices(list(weights), list(weights.values()))[0]
        kind = world.kinds[rng.choices(list(menu[key]), [(1 + used[name]) ** -3 for name in menu[key]])[0]]
        combos = menu[key][kind.id]
        items = rng.choice(combos)
        for _ in range(_DRAWS):
            front = rng.random() < 0.6 and any(may_lead(c, items) for c in items)
            people, thing = rng.choice(kind.people), rng.choice(kind.things)
            text = write_text(kind, items, front, fill_slots(kind, people, thing))
            if text not in found:
                found[text] = make_situation(world, kind, items, people, thing, front, split, rng)
                used[kind.id] += 1
                break
        else:  # its people and things are used up
            combos.remove(items)
            if not combos:
                del menu[key][kind.id]
            if not menu[key]:
                del weights[key]
    return tuple(
        Situation(f"world-{split}-{number:05d}", s.text, s.perspectives, s.metadata)
        for number, s in enumerate(found.values())
    )


def check_leaks(splits: Splits) -> None:
    """Prove that no text and no composition is shared between splits.

    Checks situation texts, explanation texts and (kind, circumstance) pairs, ignoring case and spacing.

    Raises:
        DataError: something is shared; the message names it and both splits.
    """
    owners: dict[tuple[str, ...], str] = {}
    for split, situations in splits.items():
        for situation in situations:
            for kind, *key in _traces(situation):
                other = owners.setdefault((kind, *key), split)
                if other != split:
                    raise DataError(f"{kind} leaks between {other} and {split}: {' + '.join(key)!r} ({situation.id})")


def _traces(situation: Situation) -> Iterable[tuple[str, ...]]:
    yield "situation text", _plain(situation.text)
    for perspective in situation.perspectives:
        yield "explanation text", _plain(perspective.explanation)
    for item in situation.metadata.get("circumstances", ()):
        yield "(kind, circumstance) pair", str(situation.metadata["kind"]), str(item)


def _plain(text: str) -> str:
    return " ".join(re.findall(r"\w+", text.casefold()))
