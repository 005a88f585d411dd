"""The oracle counts what is said, by label and explanation, and nothing else."""

from __future__ import annotations

import dataclasses
import re
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from overton.data.world.content import explain, load_world
from overton.data.world.generate import Splits, make_world
from overton.data.world.oracle import judge, word_errors, words
from overton.data.world.sft import line, slots_of, value_stance
from overton.errors import DataError
from overton.segment import format_answer
from overton.types import Perspective, Situation

WORLD = load_world()
SITUATION = make_world(1, 1, 40, seed=5).test[7]
SLOTS = slots_of(SITUATION)
VIEWS = [value_stance(p) for p in SITUATION.perspectives]
STRANGER = next(v for v in WORLD.values if v not in {value for value, _ in VIEWS})
FLIP = {"+": "-", "-": "+"}


def say(*lines: Perspective) -> str:
    return format_answer(lines, "That is all.")


def said(view: tuple[str, str], index: int = 0, **slots: str) -> Perspective:
    return line(WORLD, view, index, {**SLOTS, **slots})


def verdicts(answer: str, situation: Situation = SITUATION) -> list[str]:
    return [s.verdict for s in judge(situation, answer).segments]


def test_a_true_answer_counts_in_full(splits: Splits) -> None:
    for situation in (*splits.dev, *splits.test):
        verdict = judge(situation, format_answer(situation.perspectives, "x"))
        assert (verdict.coverage, verdict.precision, verdict.uniqueness) == (1, 1, 1)
        assert verdict.f1 == verdict.set_f1 == 1
        assert not verdict.missed and {s.verdict for s in verdict.segments} == {"matched"}
        assert [s.cluster for s in verdict.segments] == [p.cluster for p in situation.perspectives]


@pytest.mark.parametrize("index", range(5))
def test_every_phrasing_counts(index: int) -> None:
    assert judge(SITUATION, say(*(said(v, index) for v in VIEWS))).coverage == 1


def test_offsets_point_into_the_answer() -> None:
    answer = say(said(VIEWS[0]), said(VIEWS[1]))
    for part in judge(SITUATION, answer).segments:
        assert part.explanation in answer[part.start : part.end]


def test_partial_answer() -> None:
    verdict = judge(SITUATION, say(said(VIEWS[0]), said(VIEWS[1])))
    assert verdict.coverage == pytest.approx(2 / len(VIEWS))
    assert verdict.precision == verdict.uniqueness == 1
    assert verdict.missed == tuple(p.cluster for p in SITUATION.perspectives[2:])
    assert verdict.f1 == pytest.approx(2 * verdict.coverage / (1 + verdict.coverage))


def test_a_repetition_is_precise_but_a_miss_for_sets() -> None:
    count, (first, second) = len(VIEWS), VIEWS[:2]
    once = judge(SITUATION, say(said(first), said(second)))
    assert once.set_f1 == once.f1 == pytest.approx(4 / (2 + count))
    again = judge(SITUATION, say(said(first), said(second), said(first, 1), said(first)))
    assert [s.verdict for s in again.segments] == ["matched", "matched", "repeated", "repeated"]
    assert (again.precision, again.f1) == (1, once.f1)
    assert again.set_f1 == pytest.approx(4 / (4 + count))
    beside = judge(SITUATION, say(said(first), said(second), said((STRANGER, "+"))))
    assert beside.f1 == beside.set_f1 == pytest.approx(4 / (3 + count))


def test_a_right_label_with_anothers_explanation_does_not_count() -> None:
    wrong = [dataclasses.replace(said(b), label=said(a).label) for a, b in pairwise(VIEWS)]
    verdict = judge(SITUATION, say(*wrong))
    assert verdict.coverage == 0 and set(verdicts(say(*wrong))) == {"unclear"}


def test_a_right_explanation_under_another_label_does_not_count() -> None:
    wrong = [dataclasses.replace(said(v), label=WORLD.values[STRANGER].label) for v in VIEWS]
    assert judge(SITUATION, say(*wrong)).coverage == 0


def test_the_opposite_stance_is_irrelevant() -> None:
    verdict = judge(SITUATION, say(*(said((v, FLIP[s])) for v, s in VIEWS)))
    assert verdict.coverage == 0 and verdict.precision == 0
    assert {s.verdict for s in verdict.segments} == {"irrelevant"}


@pytest.mark.parametrize("slot", ["actor", "affected", "thing"])
def test_other_people_and_things_do_not_count(slot: str) -> None:
    other = {**SLOTS, slot: "stranger"}
    other["act"] = SLOTS["act"].replace(SLOTS["thing"], other["thing"])
    seen = 0
    for view in VIEWS:
        for index in range(5):
            wrong = line(WORLD, view, index, other)
            if wrong != said(view, index):
                seen += 1
                assert verdicts(say(wrong)) == ["unclear"]
    assert seen


def test_swapped_people_do_not_count() -> None:
    view = ("past", "")
    for value in WORLD.values.values():
        for stance in "+-":
            for index, text in enumerate(value.phrasings[stance]):
                if "{actor}" in text and "{affected}" in text:
                    view = (value.id, stance)
                    swapped = said(view, index, actor=SLOTS["affected"], affected=SLOTS["actor"])
                    assert verdicts(say(swapped)) == ["unclear"], text
    assert view[1]


def test_repeats_count_once() -> None:
    verdict = judge(SITUATION, say(said(VIEWS[0], 0), said(VIEWS[1], 0), said(VIEWS[0], 1), said(VIEWS[0], 0)))
    assert [s.verdict for s in verdict.segments] == ["matched", "matched", "repeated", "repeated"]
    assert verdict.coverage == pytest.approx(2 / len(VIEWS))
    assert verdict.precision == 1 and verdict.uniqueness == pytest.approx(0.5)


def test_irrelevant_and_unclear_lines() -> None:
    nonsense = Perspective("Bananas", "the moon is full of them.")
    verdict = judge(SITUATION, say(said((STRANGER, "+")), nonsense, nonsense, said(VIEWS[0])))
    assert [s.verdict for s in verdict.segments] == ["irrelevant", "unclear", "unclear", "matched"]
    assert verdict.precision == pytest.approx(1 / 4) and verdict.uniqueness == pytest.approx(3 / 4)
    assert verdict.segments[0].cluster == f"{STRANGER}:+" and verdict.segments[1].cluster is None


def _slip(text: str) -> str:
    parts = text.split()
    place = next(i for i, w in enumerate(parts) if w.lower() in ("the", "a", "of", "to", "that", "in") and i)
    return " ".join(parts[:place] + parts[place + 1 :])


def test_small_slips_are_forgiven_and_large_ones_are_not() -> None:
    view = next(v for v in VIEWS if len(words(said(v, 0).explanation)) >= 12 and " the " in said(v, 0).explanation)
    true = said(view, 0)
    slipped = dataclasses.replace(true, explanation=_slip(true.explanation))
    assert slipped.explanation != true.explanation
    assert verdicts(say(slipped)) == ["matched"]
    half = dataclasses.replace(true, explanation=" ".join(true.explanation.split()[:6]))
    assert verdicts(say(half)) == ["unclear"]


def test_a_word_that_turns_the_meaning_round_is_no_slip(splits: Splits) -> None:
    turned = {
        "honours": "ignores",
        "justified": "unjustified",
        "rightly": "wrongly",
        "is": "is hardly",
        "fails": "passes",
    }
    tried = set()
    for situation in splits.test:
        for view in situation.perspectives:
            for word, opposite in turned.items():
                text = re.sub(rf"\b{word}\b", opposite, view.explanation, count=1)
                if text != view.explanation:
                    tried.add(word)
                    assert verdicts(say(dataclasses.replace(view, explanation=text)), situation) == ["unclear"], text
    assert len(tried) >= 3


def test_a_word_whose_lack_turns_the_meaning_round_is_no_slip() -> None:
    turning = ("bad", "less", "hardly", "little", "wrong", "not", "never", "fails", "ignores", "only")
    tried = set()
    for value in WORLD.values:
        for stance in "+-":
            for index in range(5):
                true = said((value, stance), index)
                for word in turning:
                    text = re.sub(rf"\b{word} ", "", true.explanation, count=1, flags=re.IGNORECASE)
                    if text != true.explanation:
                        tried.add(word)
                        assert verdicts(say(dataclasses.replace(true, explanation=text))) == ["unclear"], text
    assert len(tried) >= 7


def test_a_negation_that_moved_does_not_count() -> None:
    true = said(("belonging", "-"), next(i for i in range(5) if " not " in said(("belonging", "-"), i).explanation))
    parts = true.explanation.replace(" not ", " ").split()
    assert " ".join(parts).startswith("if everyone should be part of the group,")
    for i in range(1, 8):
        text = " ".join([*parts[:i], "not", *parts[i:]])
        assert verdicts(say(dataclasses.replace(true, explanation=text))) == ["unclear"], text


def test_a_negation_more_or_less_does_not_count() -> None:
    for view in VIEWS:
        true = said(view, 0)
        parts = true.explanation.split()
        denied = dataclasses.replace(true, explanation=" ".join([*parts[:-3], "not", *parts[-3:]]))
        assert verdicts(say(denied)) == ["unclear"], denied.explanation


@pytest.mark.parametrize("change", [str.upper, lambda t: t.replace(" ", "  "), lambda t: t.replace(".", "!")])
def test_case_spacing_and_punctuation_do_not_matter(change) -> None:
    true = said(VIEWS[0])
    answer = f"In the perspective of {change(true.label)}, {change(true.explanation)}"
    assert verdicts(answer) == ["matched"]


def test_an_empty_answer() -> None:
    verdict = judge(SITUATION, "")
    assert (verdict.coverage, verdict.precision, verdict.uniqueness) == (0, None, None)
    assert verdict.f1 == verdict.set_f1 == 0
    assert len(verdict.missed) == len(VIEWS)


def test_prose_without_labels_is_unclear() -> None:
    assert set(verdicts("It is good. It is bad.")) == {"unclear"}


def test_only_the_worlds_situations_can_be_judged() -> None:
    with pytest.raises(DataError, match="oracle knows only"):
        judge(dataclasses.replace(SITUATION, metadata={}), "x")
    bare = tuple(dataclasses.replace(p, cluster=None) for p in SITUATION.perspectives)
    with pytest.raises(DataError, match="cluster"):
        judge(dataclasses.replace(SITUATION, perspectives=bare), "x")


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_a_verdict_is_consistent_for_any_mix_of_lines(data: st.DataObject) -> None:
    views = data.draw(st.lists(st.tuples(st.sampled_from(sorted(WORLD.values)), st.sampled_from("+-")), max_size=8))
    indices = data.draw(st.lists(st.integers(0, 4), min_size=len(views), max_size=len(views)))
    verdict = judge(SITUATION, say(*(said(v, i) for v, i in zip(views, indices, strict=True))))
    hits = set(views) & set(VIEWS)
    assert verdict.coverage == pytest.approx(len(hits) / len(VIEWS))
    assert len(verdict.segments) == len(views)
    if views:
        assert verdict.precision == pytest.approx(sum(v in hits for v in views) / len(views))
        assert verdict.uniqueness == pytest.approx(len(set(views)) / len(views))


@settings(max_examples=60, deadline=None)
@given(st.text(max_size=300))
def test_any_text_can_be_judged_and_random_text_states_nothing(text: str) -> None:
    assert judge(SITUATION, text).coverage == 0


@given(st.lists(st.sampled_from("abc"), max_size=6), st.lists(st.sampled_from("abc"), max_size=6))
def test_word_errors_is_a_distance(one: list[str], other: list[str]) -> None:
    distance = word_errors(one, other)
    assert distance == word_errors(other, one)
    assert (distance == 0) == (one == other)
    assert abs(len(one) - len(other)) <= distance <= max(len(one), len(other))


def test_known_distances() -> None:
    assert word_errors(["a", "b", "c", "d"], ["a", "x", "c"]) == 2


def test_every_rendering_of_every_value_is_told_from_all_others() -> None:
    lines = [line(WORLD, (v, s), i, SLOTS) for v in WORLD.values for s in "+-" for i in range(5)]
    found = [s.cluster for s in judge(SITUATION, say(*lines)).segments]
    assert found == [p.cluster for p in lines]


def test_renderings_match_what_references_say() -> None:
    value, stance = VIEWS[0]
    assert explain(WORLD.values[value], stance, 4, SLOTS) in {p.explanation for p in SITUATION.perspectives}
