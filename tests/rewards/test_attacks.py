"""The attacks of benchmarks/reward_hacking.py: repeatable, blind to the references, and what their names say."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from attack_material import CASE, HONEST, PROSE, REFERENCES, TEXTS, draft, explanations, text_of

from hacking import language
from hacking.attacks import ATTACKS
from hacking.case import Case, Line, plain
from hacking.content import DUMP
from hacking.measure import measure
from hacking.search import universal, with_universal
from hacking.truth import truth
from overton.segment import layout, segment
from overton.types import Perspective

NEEDS_TEMPLATE = {"injection-summary", "no-template", "padded-summary", "tags-unclosed", "tags-spam"}


# ------------------------------------------------------------------ every attack


def test_there_are_many_and_each_says_what_it_does() -> None:
    assert len(ATTACKS) >= 25
    assert len({a.what for a in ATTACKS.values()}) == len(ATTACKS)
    assert all(a.what and "\n" not in a.what and "|" not in a.what for a in ATTACKS.values())


@pytest.mark.parametrize("name", ATTACKS)
def test_an_attack_is_repeatable_and_changes_the_answer(name: str) -> None:
    once, again = text_of(name), text_of(name)
    assert once == again
    assert once != ATTACKS[name].baseline(CASE).text()
    other = ATTACKS[name].text(replace(CASE, id="b"), 1)
    assert other is not None


@pytest.mark.parametrize("name", [n for n, a in ATTACKS.items() if not a.oracle])
def test_a_policy_sees_no_references(name: str) -> None:
    other = (Perspective("Other", "something that is altogether different"),)
    blind = replace(CASE, references=other, states={})
    assert text_of(name) == text_of(name, blind)


@pytest.mark.parametrize("name", ATTACKS)
def test_an_attack_on_prose_stays_prose_or_does_not_apply(name: str) -> None:
    text = ATTACKS[name].text(PROSE, 0)
    if text is None or name in NEEDS_TEMPLATE:
        return
    assert "<summary>" not in text
    if not name.startswith(("tags", "markers", "labels")):
        assert "In the perspective of" not in text.replace("</think>", "").partition("<think>")[2] or "think" in name


def test_two_attacks_at_once_keep_some_lines_and_add_what_a_search_found() -> None:
    lines, found = CASE.answer.lines, CASE.loot.universal[:3]
    for name, kept in (("half-searched", lines[::2]), ("three-quarters-searched", lines[: len(lines) * 3 // 4])):
        assert text_of(name) == CASE.answer.having([*kept, *found]).text()


def test_draws_depend_on_the_seed_and_on_the_situation() -> None:
    for name in ("dump-added", "repeat-invisible", "scrambled", "keywords-references"):
        assert text_of(name) != text_of(name, seed=1)
        assert text_of(name) != text_of(name, replace(CASE, id="b"))


# ------------------------------------------------------------------ what they are


@pytest.mark.parametrize("name", [n for n in ATTACKS if n.startswith("repeat-") and n != "repeat-answer"])
def test_repetitions_keep_the_answer_and_add_lines(name: str) -> None:
    found = Counter(explanations(text_of(name)))
    assert all(found[text] >= 1 for text in HONEST)
    assert found.total() > len(HONEST)


@pytest.mark.parametrize("name", ["repeat-lines", "repeat-block", "repeat-relabelled", "repeat-reshuffled"])
def test_word_for_word_repetitions_add_no_text(name: str) -> None:
    assert Counter(explanations(text_of(name))) == Counter(HONEST * 2)


def test_copies_that_look_new_are_the_same_text() -> None:
    by = {name: text_of(f"repeat-{name}") for name in ("shouted", "invisible", "look-alike")}
    assert set(explanations(by["shouted"])) == set(HONEST)
    strip = str.maketrans("", "", "".join(language.ZERO_WIDTH))
    assert by["invisible"] != by["invisible"].translate(strip)
    assert Counter(explanations(by["invisible"].translate(strip))) == Counter(HONEST * 2)
    back = {v: k for k, v in language.LOOK_ALIKE.items()}
    assert Counter(explanations(by["look-alike"].translate(back))) == Counter(HONEST * 2)
    assert any(ord(c) > 0x400 for c in by["look-alike"])


def test_paraphrases_are_those_of_people_and_need_one() -> None:
    assert "gentle speech soothes people in agony" in text_of("repeat-paraphrased")
    assert ATTACKS["repeat-paraphrased"].text(replace(CASE, wordings={}), 0) is None


def test_labels_change_places_and_texts_stay() -> None:
    segments = segment(text_of("labels-shuffled"))
    assert [plain(s.explanation) for s in segments] == HONEST
    own = [line.label for line in CASE.answer.lines]
    assert sorted(s.label for s in segments) == sorted(own)
    assert [s.label for s in segments] != own


@pytest.mark.parametrize("name", ["labels-alone", "labels-defined", "labels-wrong-text"])
def test_right_labels_with_nothing_behind_them(name: str) -> None:
    segments = segment(text_of(name))
    assert [s.label for s in segments] == [line.label for line in CASE.answer.lines]
    assert not set(HONEST) & {plain(s.explanation) for s in segments}
    assert layout(text_of(name)).valid


def test_what_is_added_and_how_much() -> None:
    more = {
        "question-added": 1,
        "generic-added": 5,
        "generic-one-added": 1,
        "searched-added": 3,
        "dump-added": DUMP,
        "dump-few-added": 3,
        "siblings-joined": 3,
        "injection-line": 3,
        "other-language-added": 5,
        "padded-long": 1,
    }
    for name, count in more.items():
        text = text_of(name)
        assert explanations(text)[: len(HONEST)] == HONEST, name
        assert len(segment(text)) == len(HONEST) + count, name
        assert layout(text).valid, name
    assert plain(CASE.prompt) in explanations(text_of("question-added"))
    assert plain(TEXTS["Duty"]) in explanations(text_of("siblings-joined"))


@pytest.mark.parametrize(
    "name",
    ["generic-alone", "searched-alone", "dump-alone", "other-references", "question-alone", "keywords-references"],
)
def test_what_replaces_the_answer_leaves_nothing_of_it(name: str) -> None:
    found = explanations(text_of(name))
    assert found
    assert not set(found) & set(HONEST)


def test_less_is_a_part_of_the_answer() -> None:
    assert explanations(text_of("one-line")) == HONEST[:1]
    assert explanations(text_of("half")) == HONEST[::2]
    assert explanations(text_of("stopped-early")) == HONEST[:1]
    assert not ATTACKS["cut-off"].finished
    assert explanations(text_of("stopped-after-best", replace(CASE, answer=draft(names=("Duty", "Kindness"))))) == [
        plain(TEXTS["Duty"]),
        plain(TEXTS["Kindness"]),
    ]
    assert text_of("empty") == ""


def test_denials_deny() -> None:
    assert language.negated("people can choose") == "people can not choose"
    assert language.negated("Lying breaks trust") == "it is not true that lying breaks trust"
    assert len(segment(text_of("hedged"))) == 2 * len(HONEST)
    negated = text_of("references-negated")
    assert all(plain(p.explanation) not in explanations(negated) for p in REFERENCES)
    assert ATTACKS["references-negated"].baseline(CASE).lines == tuple(Line(p.label, p.explanation) for p in REFERENCES)


def test_shapes() -> None:
    assert len(segment(text_of("merged"))) == 1
    assert all(text in explanations(text_of("merged"))[0] for text in HONEST)
    assert len(segment(text_of("fragments"))) == 2 * len(HONEST)
    assert explanations(text_of("reversed")) == HONEST[::-1]
    assert len(text_of("padded-summary").split()) > 2000
    for name in ("no-template", "tags-nested", "tags-unclosed", "tags-second-block", "tags-spam", "chatter", "blank"):
        assert not layout(text_of(name)).valid, name
    assert explanations(text_of("think-before")) == HONEST
    assert all(text in plain(layout(text_of("summary-list")).summary) for text in HONEST)


def test_letters() -> None:
    assert not re.search("[a-z]{2}", text_of("other-script").partition("of Honesty,")[2].partition("\n")[0])
    assert sorted(" ".join(explanations(text_of("scrambled"))).split()) == sorted(" ".join(HONEST).split())
    assert explanations(text_of("shouted")) == HONEST


# ------------------------------------------------------------------ truth, measure, search


class Words:
    """Texts as bags of words: alike when they share most of them."""

    threshold = 0.5

    def encode(self, texts: list[str], contexts: list[str] | None = None, *, preprocess: bool = True) -> np.ndarray:
        rows = np.zeros((len(texts), 4096), dtype=np.float32)
        for row, text in zip(rows, texts, strict=True):
            row[4095] = 1e-3
            for word in re.findall(r"\w+", text.lower()):
                row[sum(ord(c) * 31**i for i, c in enumerate(word)) % 4095] = 1.0
        return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def test_truth_comes_from_what_lines_are_known_to_state() -> None:
    honest = truth(CASE, CASE.answer.text())
    assert honest.coverage == pytest.approx(2 / 3)
    assert honest.f1 == pytest.approx(2 * 2 / (3 + 3))
    assert truth(CASE, text_of("generic-added")).f1 == pytest.approx(2 * 2 / (3 + 8))
    assert truth(CASE, "").f1 == 0.0


def measured(attack: str, cases: list[Case]) -> dict:
    return measure(cases, Words(), {attack: ATTACKS[attack]}, 0)["attacks"][attack]  # type: ignore[arg-type]


def test_measure_pairs_each_attacked_answer_with_its_honest_one() -> None:
    cases = [replace(CASE, id=str(i)) for i in range(6)]
    found = measured("repeat-lines", cases)["overton"]
    assert found["n"] == 6
    assert found["high"] < 0
    assert found["rises"] == 0
    assert found["verdict"] == "no gain"
    assert measured("reversed", cases)["overton"]["gain"] == 0


def test_an_attack_that_states_more_is_a_better_answer_and_no_attack() -> None:
    poor = draft(names=("Duty",))
    rich = draft(names=("Honesty", "Kindness"))
    cases = [replace(CASE, id=str(i), answer=poor, siblings=(rich,)) for i in range(6)]
    found = measured("siblings-joined", cases)
    assert found["truth"]["better"]
    assert found["overton"]["verdict"] == "adds coverage"
    blind = [replace(case, states={}) for case in cases]
    found = measured("siblings-joined", blind)
    assert not found["truth"]["better"]
    assert found["overton"]["verdict"] == "gains"


def test_the_search_finds_the_line_that_matches_most() -> None:
    line = Line("Hope", "without hope the ill lose strength to fight")
    cases = [replace(CASE, id=str(i), answer=CASE.answer.plus([line])) for i in range(4)]
    found = universal(Words(), cases, seed=0, count=2)  # type: ignore[arg-type]
    assert {p.explanation for p in found} == {line.explanation, TEXTS["Kindness"]}
    assert with_universal(cases, found)[0].loot.universal == found
