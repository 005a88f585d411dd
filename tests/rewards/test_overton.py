"""Preset ``overton``: examples worked by hand, and what must hold for any vectors."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from fake_encoder import FakeEncoder, axis
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from overton.rewards import OvertonReward
from overton.rewards.terms import count_words
from overton.segment import format_answer
from overton.types import Group, Perspective, Score

REFERENCES = tuple(Perspective(name, f"ref {name}") for name in "ABC")
VECTORS = {f"ref {name}": axis(i) for i, name in enumerate("ABC")} | {
    "one": axis(0),
    "one more": [0.9, 0, 0, 0.4, 0, 0],
    "two": axis(1),
    "three": axis(2),
    "beside": axis(4),
    "astray": axis(5),
}


def answer(*names: str, summary: str = "A, B, C") -> str:
    labels = {"one": "A", "one more": "A", "two": "B", "three": "C"}
    return format_answer([Perspective(labels.get(n, "Z"), n) for n in names], summary)


def score(text: str, finished: bool = True, **overrides: Any) -> Score:
    group = Group("?", REFERENCES, (text,), (finished,))
    return OvertonReward(FakeEncoder(VECTORS), **overrides).score([group])[0][0]


# ------------------------------------------------------------------ by hand


@pytest.mark.parametrize(
    ("names", "overrides", "value"),
    [
        (["one", "two", "three"], {}, 1.0),
        (["one"], {}, 2 * (1 / 3) * 1 / (1 / 3 + 1)),
        (["one", "two", "beside"], {}, 2 / 3),  # coverage = precision = 2/3; no repetition
        # k 2, n 3, m 3: all three are relevant, two of them bring a reference of their own
        (["one", "one more", "two"], {}, 2 * 2 / (3 + 3)),
        # k 1, n 4: three of four are relevant, one of those three is new
        (["one", "one more", "one", "beside"], {}, 2 * 1 / (4 + 3)),
        (["one", "two", "beside", "astray"], {"beta": 0.5}, 1.25 * (2 / 3) * 0.5 / (0.25 * 0.5 + 2 / 3)),
        (["one", "two", "beside", "astray"], {"beta": 2.0}, 5 * (2 / 3) * 0.5 / (4 * 0.5 + 2 / 3)),
        (["one", "two", "beside", "astray"], {"beta": 0.0}, 0.5),  # precision alone
        (["beside"], {}, 0.0),
    ],
)
def test_value_by_hand(names: list[str], overrides: dict[str, float], value: float) -> None:
    assert score(answer(*names), **{"beta": 1.0, **overrides}).value == pytest.approx(value)


def test_coverage_weighs_a_little_more_than_precision() -> None:
    # F_beta of k / m and k / n is (1 + beta^2) k / (beta^2 m + n); here k 2, m 3, n 4, beta 1.4.
    assert score(answer("one", "two", "beside", "astray")).value == pytest.approx(2.96 * 2 / (1.96 * 3 + 4))


def test_penalties_by_hand() -> None:
    assert score(answer("one", "two", "three") + " and").value == pytest.approx(1 - 0.5)
    assert score(answer("one", "two", "three"), finished=False).value == pytest.approx(1 - 0.5)
    assert score(answer("one", "two", "three", summary="b")).value == pytest.approx(1)  # a summary names nothing
    both = score(answer("one", "two", "three") + " and", finished=False, tag_penalty=0.3, cut_off_penalty=0.2)
    assert both.value == pytest.approx(0.5)
    assert both.terms["form"] == pytest.approx(-0.5)


def test_an_empty_answer_is_worth_its_broken_layout() -> None:
    found = score("")
    assert found.value == pytest.approx(-0.5)
    assert found.terms == {
        "coverage": 0.0,
        "precision": 0.0,
        "relevance": 0.0,
        "uniqueness": 0.0,
        "f": 0.0,
        "form": -0.5,
        "valid_tags": 0.0,
        "perspectives": 0.0,
    }
    assert found.matches == found.repeated == found.credits == found.segments == ()


def test_terms_matches_repetitions_and_credits() -> None:
    found = score(answer("one more", "beside", "one", "two", "beside"), miss_credit=-0.25)
    assert [(m.reference, m.segment) for m in found.matches] == [(0, 2), (1, 3)]
    assert found.matches[0].cosine == pytest.approx(1.0)
    assert found.repeated == (0, 4)  # the better of two like lines is the match
    assert found.credits == (-0.25, -0.25, 1.0, 1.0, -0.25)
    assert found.terms["coverage"] == pytest.approx(2 / 3)
    assert found.terms["precision"] == pytest.approx(2 / 5)
    assert found.terms["relevance"] == pytest.approx(3 / 5)
    assert found.terms["uniqueness"] == pytest.approx(2 / 3)
    assert found.terms["precision"] == pytest.approx(found.terms["relevance"] * found.terms["uniqueness"])
    assert found.terms["perspectives"] == 5


def test_like_lines_cannot_cover_two_near_references() -> None:
    encoder = FakeEncoder({"ref A": axis(0), "ref B": [0.8, 0.6, 0, 0, 0, 0], "one": [0.99, 0.1, 0, 0, 0, 0]})
    group = Group("?", REFERENCES[:2], (answer("one"), answer("one", "one")))
    once, twice = OvertonReward(encoder).score([group])[0]
    assert len(once.matches) == len(twice.matches) == 1
    assert once.value is not None and twice.value is not None and twice.value < once.value


def test_alike_lines_whose_best_references_differ_match_both() -> None:
    # Both lines are at .7 with each other; the first is nearest to A, the second to B.
    vectors = {"ref A": [1, 0], "ref B": [0.3, 0.954], "one": [1, 0], "two": [0.7, 0.714]}
    group = Group("?", REFERENCES[:2], (answer("one", "two"),))
    found = OvertonReward(FakeEncoder(vectors)).score([group])[0][0]
    assert [(m.reference, m.segment) for m in found.matches] == [(0, 0), (1, 1)]
    # The references tell them apart, whatever their own cosine.
    assert found.terms["coverage"] == found.terms["uniqueness"] == found.value == 1.0
    assert found.repeated == found.clusters == () and found.credits == (1.0, 1.0)


def test_two_lines_best_matched_by_one_reference_repeat_it() -> None:
    # Each is near the reference and not near the other.
    encoder = FakeEncoder({"ref A": axis(0), "one": [0.7, 0.714, 0], "two": [0.7, -0.714, 0]} | {"ref A": axis(0, 3)})
    found = OvertonReward(encoder).score([Group("?", REFERENCES[:1], (answer("one", "two"),))])[0][0]
    assert found.terms["uniqueness"] == 0.5 and len(found.repeated) == 1


def test_many_to_one_passes_over_a_line_that_works_out_a_view_and_charges_a_copy() -> None:
    vectors = {"ref A": axis(0, 3), "one": [0.7, 0.714, 0], "again": [0.7, -0.714, 0], "beside": axis(2, 3)}
    encoder = FakeEncoder(vectors)
    texts = (answer("one", "beside"), answer("one", "again", "beside"), answer("one", "again", "one", "beside"))
    group = Group("?", REFERENCES[:1], texts)
    plain, worked_out, copied = OvertonReward(encoder, matching="many-to-one").score([group])[0]
    assert plain.value == worked_out.value and worked_out.repeated == ()
    # Both lines match, one reference is covered.
    assert len(worked_out.matches) == 2 and worked_out.counts["matched"] == 1
    assert worked_out.credits == (1.0, 1.0, -1.0)
    assert worked_out.terms["precision"] == pytest.approx(1 / 2)
    assert copied.repeated == (2,) and copied.terms["uniqueness"] == pytest.approx(1 / 2)
    assert copied.terms["relevance"] == pytest.approx(2 / 3)
    assert copied.terms["precision"] == pytest.approx(1 / 3)


# ------------------------------------------------------------------ for any vectors


@dataclass(frozen=True)
class Case:
    vectors: dict[str, Any]
    references: tuple[Perspective, ...]
    lines: tuple[Perspective, ...]
    summary: str
    overrides: dict[str, Any]

    def score(self, *lines: tuple[Perspective, ...], references: tuple[Perspective, ...] | None = None) -> list[Score]:
        texts = tuple(format_answer(rows, self.summary) for rows in lines)
        group = Group("?", self.references if references is None else references, texts)
        return OvertonReward(FakeEncoder(self.vectors), **self.overrides).score([group])[0]


def unit(numbers: list[int]) -> np.ndarray:
    return np.asarray(numbers, dtype=float) / np.linalg.norm(numbers)


VECTOR = st.lists(st.integers(-4, 4), min_size=3, max_size=3).filter(any).map(unit)


@st.composite
def cases(draw: st.DrawFn) -> Case:
    # Directions from a small pool, so that lines agree with references and with each other.
    pool = draw(st.lists(VECTOR, min_size=1, max_size=4))
    near = st.builds(lambda a, b, w: a + w * b, st.sampled_from(pool), VECTOR, st.sampled_from([0, 0, 0.3, 0.8]))
    near = near.filter(lambda v: bool(np.linalg.norm(v) > 0.1))
    references = draw(st.lists(near, min_size=1, max_size=5))
    lines = draw(st.lists(near, min_size=1, max_size=6))
    vectors = {f"ref {i}": v for i, v in enumerate(references)} | {f"line {i}": v for i, v in enumerate(lines)}
    labels = st.sampled_from(["Care", "Duty", "Honesty"])
    return Case(
        vectors,
        tuple(Perspective("L", f"ref {i}") for i in range(len(references))),
        tuple(Perspective(draw(labels), f"line {i}") for i in range(len(lines))),
        draw(st.sampled_from(["Care.", "Duty and honesty.", "Nothing."])),
        {
            "beta": draw(st.sampled_from([0.0, 0.5, 1.0, 2.0])),
            "matching": draw(st.sampled_from(["optimal", "optimal", "greedy", "many-to-one"])),
        },
    )


def value(found: Score) -> float:
    assert found.value is not None
    return found.value


@given(cases(), st.data())
@settings(max_examples=200, deadline=None)
def test_a_duplicate_line_never_raises_the_value(case: Case, data: st.DataObject) -> None:
    copied, place = data.draw(st.sampled_from(case.lines)), data.draw(st.integers(0, len(case.lines)))
    longer = (*case.lines[:place], copied, *case.lines[place:])
    before, after = case.score(case.lines, longer)
    assert value(after) <= value(before) + 1e-9
    assert after.terms["coverage"] == before.terms["coverage"]
    assert after.terms["uniqueness"] <= before.terms["uniqueness"]
    assert len(after.repeated) > len(before.repeated)


def test_a_repetition_that_lies_apart_adds_no_diversity() -> None:
    # Two nearly equal lines and a third that lies apart state reference 1 of 2; k stays 1, so only precision moves.
    one, near, apart = [1.0, 0.0, 0.0], [0.99, 0.141, 0.0], [0.7, 0.0, 0.714]
    vectors = {"ref 0": one, "ref 1": [0.0, 1.0, 0.0], "line 0": one, "line 1": near, "line 2": apart}
    lines = tuple(Perspective("L", f"line {i}") for i in range(3))
    overrides = {"diversity_weight": 1.0, "threshold": 0.6}
    case = Case(vectors, tuple(Perspective("L", f"ref {i}") for i in range(2)), lines, "L.", overrides)
    alone, before, after = case.score(lines[:1], lines[:2], lines)
    assert alone.terms["diversity"] == 1.0
    assert before.terms["diversity"] == pytest.approx(1 - (0.99 / 1.001) ** 2, abs=1e-3)
    assert after.terms["diversity"] < before.terms["diversity"] and value(after) < value(before) < value(alone)


@given(cases(), VECTOR, st.sampled_from([0.0, 0.3, 1.0]), st.data())
@settings(max_examples=300, deadline=None)
def test_a_line_that_covers_nothing_new_never_raises_the_value(
    case: Case, vector: np.ndarray, weight: float, data: st.DataObject
) -> None:
    known = data.draw(st.sampled_from([case.vectors[p.explanation] for p in (*case.references, *case.lines)]))
    case.vectors["more"] = known + data.draw(st.sampled_from([0.0, 0.3, 0.8])) * vector
    assume(np.linalg.norm(case.vectors["more"]) > 0.1 and _no_cosine_near_the_threshold(case))
    case.overrides["diversity_weight"] = weight
    place = data.draw(st.integers(0, len(case.lines)))
    before, after = case.score(case.lines, (*case.lines[:place], Perspective("Care", "more"), *case.lines[place:]))
    assume(after.terms["coverage"] <= before.terms["coverage"])
    assert value(after) <= value(before) + 1e-9


@given(cases(), VECTOR, st.data())
@settings(max_examples=200, deadline=None)
def test_an_irrelevant_line_never_raises_the_value(case: Case, vector: np.ndarray, data: st.DataObject) -> None:
    references = [case.vectors[p.explanation] for p in case.references]
    assume(all(float(r @ vector / np.linalg.norm(r)) < 0.6 - 1e-6 for r in references))
    label, place = (
        data.draw(st.sampled_from(["Care", "Duty", "Zeal"])),
        data.draw(st.integers(0, len(case.lines))),
    )
    case.vectors["irrelevant"] = vector
    longer = (*case.lines[:place], Perspective(label, "irrelevant"), *case.lines[place:])
    before, after = case.score(case.lines, longer)
    assert value(after) <= value(before) + 1e-9
    assert after.credits[place] == -1.0


@given(cases(), st.randoms(use_true_random=False))
@settings(max_examples=100, deadline=None)
def test_order_of_references_and_answers_changes_nothing_else(case: Case, random: Any) -> None:
    assume(_no_cosine_near_the_threshold(case))
    references, answers = list(case.references), [case.lines, case.lines[:1], case.lines[::-1]]
    before = case.score(*answers)
    random.shuffle(references)
    order = [2, 0, 1]
    after = case.score(*(answers[i] for i in order), references=tuple(references))
    for new, old in zip(after, order, strict=True):
        assert value(new) == pytest.approx(value(before[old]), abs=1e-6)
        assert new.terms == pytest.approx(before[old].terms, abs=1e-6)
    assert value(before[0]) == pytest.approx(value(before[2]), abs=1e-6)  # nor does the order of lines


def _no_cosine_near_the_threshold(case: Case) -> bool:
    rows = np.stack([v / np.linalg.norm(v) for v in case.vectors.values()])
    return bool((np.abs(rows @ rows.T - 0.6) > 1e-5).all())


@given(cases(), st.data())
@settings(max_examples=200, deadline=None)
def test_a_line_that_states_one_more_reference_raises_the_value(case: Case, data: st.DataObject) -> None:
    case.vectors["ref new"], case.vectors["line new"] = np.eye(4)[3], np.eye(4)[3]
    for name in (n for n in case.vectors if not n.endswith("new")):
        case.vectors[name] = np.append(case.vectors[name], 0.0)
    place = data.draw(st.integers(0, len(case.lines)))
    longer = (*case.lines[:place], Perspective("New", "line new"), *case.lines[place:])
    before, after = case.score(case.lines, longer, references=(*case.references, Perspective("L", "ref new")))
    # Precision alone (beta 0) cannot tell one true line from two.
    assert value(after) > value(before) or (case.overrides["beta"] == 0.0 and value(after) == value(before) == 1.0)
    assert after.credits[place] == 1.0


@given(cases())
@settings(max_examples=200, deadline=None)
def test_value_and_terms_stay_in_range(case: Case) -> None:
    found = case.score(case.lines)[0]
    assert 0.0 <= value(found) <= 1.0 + 1e-9
    assert found.terms["form"] == 0.0
    for name in ("coverage", "precision", "relevance", "uniqueness", "f"):
        assert 0.0 <= found.terms[name] <= 1.0 + 1e-9
    matched = {m.segment for m in found.matches}
    one_to_one = case.overrides["matching"] != "many-to-one"
    assert len(found.matches) == len(matched)
    if one_to_one:
        assert len(matched) == len({m.reference for m in found.matches})
        assert not matched & set(found.repeated)
        assert found.terms["precision"] <= len(matched) / len(case.lines) + 1e-9
    assert len(found.credits) == len(found.segments) == len(case.lines)
    assert [c == 1.0 for c in found.credits] == [
        i in matched and i not in found.repeated for i in range(len(case.lines))
    ]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("It's a dog-eared book's end, isn't it? 3.5 km", 11),
        ("trust…is.broken—when/secrets_are|told", 7),
        ("trust'broken'when'told", 4),
        ("他们认为这是错误的", 5),
        ("किसी की डायरी निजी होती है।", 6),
        ("", 0),
    ],
)
def test_a_length_budget_counts_words_whatever_joins_them(text: str, words: int) -> None:
    assert count_words(text) == words


@pytest.mark.parametrize("matching", ["optimal", "greedy", "many-to-one"])
def test_one_reference_given_twice_counts_alike_whatever_stands_beside(matching: str) -> None:
    """The product of two rows differs in its last digit with what is multiplied beside them: that decides nothing."""
    rng = np.random.default_rng(0)

    def near(row: np.ndarray[Any, Any], noise: float) -> list[float]:
        found = row + noise * rng.normal(size=row.size)
        return (found / np.linalg.norm(found)).tolist()

    rows = rng.normal(size=(12, 384))
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    known = {f"r{i}": rows[i].tolist() for i in range(9)}
    known |= {f"s{i}": near(rows[0], 0.02) for i in range(3)} | {f"b{i}": rows[9 + i].tolist() for i in range(3)}
    encoder = FakeEncoder(known, threshold=0.7)
    for count in (2, 5, 9):
        twice = [Perspective("", "r0"), *(Perspective("", f"r{i}") for i in range(1, count - 1)), Perspective("", "r0")]
        matches = set()
        for beside in range(4):
            lines = [*(f"s{i}" for i in range(3)), *(f"b{i}" for i in range(beside))]
            for references in (tuple(twice), tuple(twice[1:] + twice[:1])):
                group = Group("?", references, (answer(*lines),))
                found = OvertonReward(encoder, matching=matching).score([group])[0][0]
                matches.add((len({m.reference for m in found.matches}), found.terms["uniqueness"]))
        assert len(matches) == 1
