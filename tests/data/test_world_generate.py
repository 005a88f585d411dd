"""Situations: counts, composition split, leaks, determinism, English."""

from __future__ import annotations

import dataclasses
import random
import re
from collections import Counter
from collections.abc import Iterable

import pytest

from overton.data.world.content import Circumstance, Kind, load_world
from overton.data.world.generate import (
    SPLIT_PHRASINGS,
    Splits,
    check_leaks,
    compatible,
    composition,
    fits,
    make_world,
    relevant,
)
from overton.data.world.sft import slots_of
from overton.data.world.wording import write_text
from overton.errors import DataError
from overton.types import Situation

WORLD = load_world()


def test_more_than_five_thousand_distinct_situations() -> None:
    made = make_world(5000, 300, 300, seed=3)
    texts = {s.text for _, rows in made.items() for s in rows}
    assert len(texts) == 5600
    assert len({s.id for _, rows in made.items() for s in rows}) == 5600


def test_the_seed_decides_everything(splits: Splits) -> None:
    assert make_world(600, 80, 80, seed=0) == splits
    assert make_world(600, 80, 80, seed=1).test != splits.test


def test_situations_have_five_to_nine_perspectives_each_value_once(splits: Splits) -> None:
    for _, rows in splits.items():
        for situation in rows:
            assert 5 <= len(situation.perspectives) <= 9
            assert len({p.label for p in situation.perspectives}) == len(situation.perspectives)


def test_references_are_what_kind_and_circumstances_make_relevant(splits: Splits) -> None:
    for situation in splits.dev:
        facts = situation.metadata
        views = relevant(WORLD.kinds[facts["kind"]], [WORLD.circumstances[c] for c in facts["circumstances"]])
        assert {p.cluster for p in situation.perspectives} == {f"{v}:{s}" for v, s in views.items()}
        assert all(p.cluster.endswith(p.stance) for p in situation.perspectives)


def test_references_speak_of_the_situation_in_the_phrasings_of_their_split(splits: Splits) -> None:
    from overton.data.world.content import explain

    for name, rows in splits.items():
        used = Counter()
        for situation in rows[:60]:
            slots = slots_of(situation)
            for p in situation.perspectives:
                value, _, stance = p.cluster.rpartition(":")
                texts = [explain(WORLD.values[value], stance, i, slots) for i in range(5)]
                used[texts.index(p.explanation)] += 1
        assert set(used) == set(SPLIT_PHRASINGS[name])


def test_every_number_of_perspectives_and_every_kind_is_frequent_enough() -> None:
    train = make_world(2000, 20, 20, seed=2).train
    sizes = Counter(len(s.perspectives) for s in train)
    assert all(sizes[n] / 2000 > 0.08 for n in (5, 6, 7, 8, 9))
    kinds = Counter(s.metadata["kind"] for s in train)
    assert set(kinds) == set(WORLD.kinds)
    assert min(kinds.values()) >= 10 and max(kinds.values()) / 2000 < 0.08
    labels = Counter(p.label for s in train for p in s.perspectives)
    assert set(labels) == {v.label for v in WORLD.values.values()} and min(labels.values()) >= 25


def test_circumstances_are_told_and_fit_together(splits: Splits) -> None:
    told = Counter(len(s.metadata["circumstances"]) for s in splits.train)
    assert told[0] / 600 == pytest.approx(0.10, abs=0.04)
    assert told[2] / 600 == pytest.approx(0.45, abs=0.06)
    for name, rows in splits.items():
        for situation in rows:
            kind = WORLD.kinds[situation.metadata["kind"]]
            items = [WORLD.circumstances[c] for c in situation.metadata["circumstances"]]
            assert items or name == "train"
            assert all(fits(kind, c) for c in items)
            assert len(items) < 2 or compatible(*items)


def test_composition_shares_and_cover() -> None:
    owner = composition(WORLD, 0)
    kinds_of = Counter(circumstance for _, circumstance in owner)
    common = [split for (_, circumstance), split in owner.items() if kinds_of[circumstance] >= 0.25 * len(WORLD.kinds)]
    count = Counter(common)
    assert count["train"] / len(common) == pytest.approx(0.75, abs=0.03)
    assert count["test"] / len(common) == pytest.approx(0.15, abs=0.03)
    rare = {split for (_, circumstance), split in owner.items() if kinds_of[circumstance] < 0.25 * len(WORLD.kinds)}
    assert rare == {"train"}
    train = [pair for pair, split in owner.items() if split == "train"]
    assert {k for k, _ in train} == set(WORLD.kinds)
    assert {c for _, c in train} == {c for _, c in owner}


def test_splits_do_not_leak(splits: Splits) -> None:
    check_leaks(splits)
    pairs = {
        name: {(s.metadata["kind"], c) for s in rows for c in s.metadata["circumstances"]}
        for name, rows in splits.items()
    }
    assert not pairs["train"] & (pairs["dev"] | pairs["test"]) and not pairs["dev"] & pairs["test"]


def _with(splits: Splits, situation: Situation) -> Splits:
    return dataclasses.replace(splits, test=(*splits.test, situation))


def test_a_leaked_text_is_named(splits: Splits) -> None:
    stolen = dataclasses.replace(splits.test[0], text=splits.train[0].text.upper())
    with pytest.raises(DataError, match=r"situation text leaks between train and test"):
        check_leaks(_with(splits, stolen))


def test_a_leaked_explanation_is_named(splits: Splits) -> None:
    mixed = dataclasses.replace(splits.test[0], perspectives=splits.dev[0].perspectives)
    with pytest.raises(DataError, match=r"explanation text leaks between dev and test"):
        check_leaks(_with(splits, mixed))


def test_a_leaked_composition_is_named(splits: Splits) -> None:
    donor = next(s for s in splits.train if s.metadata["circumstances"])
    facts = {
        **splits.test[0].metadata,
        "kind": donor.metadata["kind"],
        "circumstances": donor.metadata["circumstances"],
    }
    with pytest.raises(DataError, match=r"pair leaks between train and test"):
        check_leaks(_with(splits, dataclasses.replace(splits.test[0], metadata=facts)))


def test_too_small_a_world_gives_fewer_situations_and_never_breaks_the_rules() -> None:
    kinds = ("take_away_device", "refuse_to_lend", "raise_rent", "hide_bad_news")
    small = dataclasses.replace(WORLD, kinds={k: WORLD.kinds[k] for k in kinds})
    made = make_world(100, 3000, 100, seed=0, world=small)
    check_leaks(made)
    assert len(made.train) == 100
    assert 0 < len(made.dev) < 3000


def test_a_split_without_any_situation_is_an_error() -> None:
    tiny = dataclasses.replace(WORLD, kinds={"let_copy": WORLD.kinds["let_copy"]}, circumstances={})
    with pytest.raises(DataError, match="no situation left for the dev split"):
        make_world(5, 5, 5, seed=0, world=tiny)


def _circumstance(name: str, clause: str, **effects) -> Circumstance:
    empty = frozenset()
    fields = {"adds": {}, "removes": empty, "turns": empty, "excludes": empty} | effects
    return Circumstance(name, name, clause, **fields)


KIND = Kind("k", "d", "a {actor} helps one {affected} with the {thing}", "helping with the {thing}",
            (("aunt", "niece"),), ("oven",), {"trust": "+", "safety": "-"}, frozenset())  # fmt: skip
SLOTS = {"actor": "aunt", "affected": "niece", "thing": "oven"}


def test_circumstances_remove_turn_and_add_in_this_order() -> None:
    first = _circumstance("c", "x", adds={"trust": "-"}, removes=frozenset({"trust"}), turns=frozenset({"safety"}))
    assert relevant(KIND, [first]) == {"safety": "+", "trust": "-"}
    assert relevant(KIND, [first, first]) == {"safety": "-", "trust": "-"}


@pytest.mark.parametrize(
    ("clauses", "front", "text"),
    [
        ([], False, "An aunt helps one niece with the oven."),
        (["in secret"], True, "In secret, an aunt helps one niece with the oven."),
        (["in secret"], False, "An aunt helps one niece with the oven, in secret."),
        (["as the {affected} is ill"], True, "An aunt helps one niece with the oven, as the niece is ill."),
        (["as the {actor}'s boss agrees", "at night"], True,
         "At night, an aunt helps one niece with the oven, as the aunt's boss agrees."),
        (["although it rains", "although the {actor} is ill"], True,
         "An aunt helps one niece with the oven, although it rains, and although the aunt is ill."),
        (["although it rains", "at night"], False,
         "An aunt helps one niece with the oven, at night, although it rains."),
    ],
)  # fmt: skip
def test_text_of_a_situation(clauses: list[str], front: bool, text: str) -> None:
    items = tuple(_circumstance(f"c{i}", clause) for i, clause in enumerate(clauses))
    assert write_text(KIND, items, front, SLOTS) == text


def test_situations_are_clean_english(splits: Splits) -> None:
    bad_article = re.compile(r"\b[Aa] [aeio]\w|\b[Aa]n [bcdfgjklmnpqrstvwxyz]|\b(\w+) \1\b|\s\s|\s[.,]|[{}]")
    for _, rows in splits.items():
        for situation in rows:
            for text in (situation.text, *(p.explanation for p in situation.perspectives)):
                assert text[0].isupper() and text.endswith(".") and not text.endswith("..")
                assert not bad_article.search(text), text


def test_order_of_references_is_random(splits: Splits) -> None:
    first = Counter(s.perspectives[0].stance for s in random.Random(0).sample(splits.train, 300))
    assert min(first.values()) > 50


def test_situations_kept_for_grpo_have_compositions_of_their_own() -> None:
    made = make_world(400, 40, 40, seed=4, grpo_only=90)
    assert len(made.train) == 400 and made.train[-90:] == made.grpo_only

    def pairs(rows: Iterable[Situation]) -> set[tuple[str, str]]:
        return {(s.metadata["kind"], c) for s in rows for c in s.metadata["circumstances"]}

    answered = made.train[:-90]
    assert pairs(made.grpo_only) and not pairs(made.grpo_only) & pairs(answered)
    assert len({s.id for s in made.train}) == 400
    for rows in (made.dev, made.test):
        assert not pairs(rows) & pairs(made.train)
    # Only train's own compositions are shared out: dev and test stay what they are without.
    plain = make_world(400, 40, 40, seed=4)
    assert plain.grpo_only == () and made.dev == plain.dev and made.test == plain.test
    with pytest.raises(DataError, match=r"data\.grpo_only: 400 of 400"):
        make_world(400, 40, 40, seed=4, grpo_only=400)
