"""Preset ``op-grpo`` against tables worked by hand from the published arithmetic."""

from __future__ import annotations

import re

import pytest
from fake_encoder import FakeEncoder, axis
from hypothesis import example, given, settings
from hypothesis import strategies as st

from overton.errors import RecipeError
from overton.rewards import OvertonReward
from overton.rewards.op_grpo import OpGrpoPreset, coverage_ladder, uniqueness_ladder
from overton.rewards.op_grpo_text import format_score, keywords, mask, segments, strict_core
from overton.types import Group, Perspective, Score


@pytest.mark.parametrize(
    ("matched", "references", "value"),
    [
        *((0, 5, 0.0), (1, 6, 1.0), (1, 5, 2.0), (2, 6, 2.0), (2, 5, 3.0), (4, 7, 3.0)),
        *((3, 5, 4.0), (7, 9, 4.0), (4, 5, 5.0), (5, 5, 5.0), (6, 10, 4.0), (2, 10, 2.0)),
    ],
)
def test_coverage_ladder(matched: int, references: int, value: float) -> None:
    assert coverage_ladder(matched / references) == value


@pytest.mark.parametrize(
    ("unique", "segments", "value"),
    [(1, 1, 1.0), (9, 9, 1.0), (5, 6, 0.75), (4, 5, 0.4), (2, 3, 0.4), (3, 5, 0.0), (1, 2, 0.0), (0, 4, 0.0)],
)
def test_uniqueness_ladder(unique: int, segments: int, value: float) -> None:
    assert uniqueness_ladder(unique / segments) == value


def answer_of(rows: list[tuple[str, str]], summary: str) -> str:
    """Lines in the template; a row without a label is a line without the opener, of its own only when it is first."""
    core = "\n".join(f"In the perspective of {label}, {text}" if label else text for label, text in rows)
    return f"<core perspectives>\n{core}\n</core perspectives>\n\n<summary>\n{summary}\n</summary>"


@pytest.mark.parametrize(
    ("rows", "summary", "value"),
    [
        ([("A", "x."), ("B", "y.")], "a and b", 2.0),
        ([("", "z."), ("A", "x."), ("B", "y.")], "a and b", 1.0),  # 2 of 3 labelled: text before the first opener
        ([("", "z."), ("A", "x."), ("B", "y."), ("C", "v.")], "a b c", 2.0),  # 3 of 4
        ([("A", "x."), ("", "y."), ("", "z.")], "a", 2.0),  # what follows a line belongs to it
        ([("", "x.")], "a", 0.0),  # none labelled
        ([("A", "x."), ("A", "y.")], "a", 1.5),  # a label twice
        ([("A", "x."), ("a", "X.")], "a", 1.0),  # label and segment twice, in other letters
        ([("A", "x. It hurts."), ("B", "y. It hurts.")], "a b", 2.0),  # only whole segments count as repeated
        ([("Aa", "x."), ("Bb", "y."), ("Cc", "z."), ("Dd", "v.")], "aa bb cc", 2.0),  # 75% named
        ([("Aa", "x."), ("Bb", "y."), ("Cc", "z."), ("Dd", "v.")], "aa bb", 1.5),  # 50%
        ([("Aa", "x."), ("Bb", "y."), ("Cc", "z."), ("Dd", "v.")], "aa", 1.25),  # 25%
        ([("Aa", "x."), ("Bb", "y."), ("Cc", "z."), ("Dd", "v.")], "none", 1.0),
        ([("Aa", "x."), ("Aa", "y."), ("Bb", "z.")], "bb", 0.75),  # a label twice; 1 of 3 named, repeats counted
        ([("A", "x.")] * 9, "", 0.0),  # never below 0
    ],
)
def test_format_score(rows: list[tuple[str, str]], summary: str, value: float) -> None:
    assert format_score(answer_of(rows, summary)) == pytest.approx(value)


def test_without_blocks_the_whole_answer_is_core_and_summary() -> None:
    assert format_score("In the perspective of Aa, x.\nFrom the perspective of Bb, y.") == 2.0
    assert format_score("") == 0.0


REFERENCES = tuple(Perspective(name, f"ref {name}") for name in "ABCDE")
VECTORS = {f"In the perspective of {name}, ref {name}": axis(i) for i, name in enumerate("ABCDE")}
VECTORS |= {
    "In the perspective of A, one": axis(0),
    "In the perspective of B, two": axis(1),
    "In the perspective of C, three": axis(2),
    "In the perspective of B, again": [0.1, 0.99, 0, 0, 0, 0],
    "In the perspective of Z, beside": axis(5),
}


def score(core: str, summary: str = "A, B, C and Z.", tags: bool = True) -> Score:
    answer = f"<core perspectives>\n{core}\n</core perspectives>\n\n<summary>\n{summary}\n</summary>"
    answer = answer if tags else core
    return OvertonReward(FakeEncoder(VECTORS), "op-grpo").score([Group("?", REFERENCES, (answer,))])[0][0]


LINE = {
    "A": "In the perspective of A, one.",
    "B": "In the perspective of B, two.",
    "C": "In the perspective of C, three.",
    "B2": "In the perspective of B, again.",
    "Z": "In the perspective of Z, beside.",
}


@pytest.mark.parametrize(
    ("names", "value"),
    [
        # 3 of 5 -> 4, all unique -> 1, form 2
        (["A", "B", "C"], 0.3 * 4 + 0.3 * 1 + 0.1 * 2),
        # 2 of 5 -> 3; 2 of 3 unique -> .4; form 2 less .5 for the label that comes twice
        (["A", "B", "B2"], 0.3 * 3 + 0.3 * 0.4 + 0.1 * 1.5),
        # irrelevant lines cost nothing: the weakness of the published reward
        (["A", "Z"], 0.3 * 2 + 0.3 * 1 + 0.1 * 2),
        # one perspective alone is fully unique
        (["Z"], 0.3 * 0 + 0.3 * 1 + 0.1 * 2),
    ],
)
def test_total_by_hand(names: list[str], value: float) -> None:
    core = "\n".join(LINE[n] for n in names)
    assert score(core).value == pytest.approx(value)
    assert score(core, tags=False).value == pytest.approx(value - 0.2)


def test_smooth_steps_have_the_ladders_range() -> None:
    core = "\n".join(LINE[n] for n in ["A", "B", "B2"])
    answer = f"<core perspectives>\n{core}\n</core perspectives>\n\n<summary>\nA, B, C and Z.\n</summary>"
    reward = OvertonReward(FakeEncoder(VECTORS), "op-grpo", steps="smooth")
    found = reward.score([Group("?", REFERENCES, (answer,))])[0][0]
    # 2 of 5 covered, 2 of 3 unique, form 1.5
    assert found.value == pytest.approx(0.3 * 5 * 2 / 5 + 0.3 * 2 / 3 + 0.1 * 1.5)
    with pytest.raises(RecipeError, match="'stairs'; known: ladder, smooth"):
        OvertonReward(FakeEncoder(VECTORS), "op-grpo", steps="stairs")


def test_matches_repetitions_and_credits() -> None:
    found = score("\n".join(LINE[n] for n in ["B2", "A", "B", "Z"]))
    assert [(m.reference, m.segment) for m in found.matches] == [(0, 1), (1, 2)]  # B is nearer than "again"
    assert found.repeated == (2,)  # but comes after it: order decides
    assert found.credits == (-1.0, 1.0, 1.0, -1.0)
    assert [s.label for s in found.segments] == ["B", "A", "B", "Z"]
    assert found.terms["coverage"] == pytest.approx(2 / 5)
    assert found.terms["precision"] == pytest.approx(2 / 4)
    assert found.terms["relevance"] == pytest.approx(3 / 4)
    assert found.terms["uniqueness"] == pytest.approx(3 / 4)
    assert found.terms["perspectives"] == 4 and found.terms["valid_tags"] == 1


def test_repetition_has_a_threshold_of_its_own() -> None:
    near = {"In the perspective of A, near": [0.75, 0, 0, 0, 0, 0.6614]}  # .75 with "one" and with reference A
    text = f"{LINE['A']}\nIn the perspective of A, near."
    for overrides, repeated in (({}, ()), ({"unique_threshold": 0.74}, (1,)), ({"threshold": 0.76}, ())):
        reward = OvertonReward(FakeEncoder(VECTORS | near), "op-grpo", **overrides)
        found = reward.score([Group("?", REFERENCES, (text,))])[0][0]
        assert found.repeated == repeated
        assert found.terms["relevance"] == (0.5 if "threshold" in overrides else 1.0)


def test_no_segment_is_fully_unique_and_earns_something() -> None:
    """A corner of the public code: an empty answer has .3 for uniqueness, less .2 for its layout."""
    empty = OvertonReward(FakeEncoder(VECTORS), "op-grpo").score([Group("?", REFERENCES, ("", " \n"))])[0]
    assert [s.value for s in empty] == [pytest.approx(0.1)] * 2
    assert [s.terms["uniqueness"] for s in empty] == [1.0, 1.0]


def test_the_total_is_never_below_zero() -> None:
    text = "words\nIn the perspective of A, one.\nIn the perspective of A, one."  # 3 segments, 2 unique: .4
    vectors = VECTORS | {"words": axis(5)}
    reward = OvertonReward(FakeEncoder(vectors), "op-grpo", coverage_weight=0, tag_penalty=0.5)
    found = reward.score([Group("?", REFERENCES, (text,))])[0][0]
    assert found.terms["form"] == 0.0  # 1 for 2 of 3 labelled, less .5 for the segment and .5 for the label
    assert found.value == 0.0


def test_segments_start_at_openers_of_lines() -> None:
    answer = (
        "Preface.\nIn the perspective of A, one. In the perspective of B, two.\nfrom the perspective of me it hurts."
    )
    vectors = {
        "Preface": axis(4),
        "In the perspective of A, one. In the perspective of B, two": axis(0),
        "from the perspective of me it hurts": axis(5),
    }
    found = OvertonReward(FakeEncoder(VECTORS | vectors), "op-grpo").score([Group("", REFERENCES, (answer,))])[0][0]
    assert [s.label for s in found.segments] == ["", "A", "me it hurts"]
    assert [answer[s.start : s.end] for s in found.segments] == [s.explanation for s in found.segments]
    assert found.terms["valid_tags"] == 0


def test_masking_hides_the_prompts_words_in_the_answer_only() -> None:
    assert keywords("The nurse's diary: a snake_case word, and 2 eyes!") == {"nurse", "s", "diary", "word", "2", "eyes"}
    assert mask("The nurse, who READS diaries.", {"nurse", "reads"}) == "The [KW] who [KW] diaries"
    assert mask("Left, as it is.", frozenset()) == "Left, as it is."
    plan = OpGrpoPreset().plan(
        Group("Nurse?", (Perspective("A", "a nurse."), Perspective("", "bare nurse.")), ("The nurse.",))
    )
    assert plan.texts == ["In the perspective of A, a nurse.", "bare nurse.", "The [KW]"]


# The layout as one expression, the way the public code has it.
STRICT = re.compile(
    r"^\s*<core\s+perspectives>\s*(.+?)\s*</core\s+perspectives>\s*<summary>\s*(.+?)\s*</summary>\s*$",
    re.IGNORECASE | re.DOTALL,
)
CORE = re.compile(r"<core\s+perspectives>\s*(.*?)\s*</core\s+perspectives>", re.IGNORECASE | re.DOTALL)
PIECES = [
    *("<core perspectives>", "</core perspectives>", "<summary>", "</summary>", "<CORE  perspectives>", " ", "\n", "x"),
    *("\nIn the perspective of A, one.", "\nfrom the perspective of B c", "<", "In the perspective of "),
]


def split(text: str) -> list[str]:
    pieces = re.split(r"(?:^|\n)(?=(?:From|In) the perspective of )", text + "\n", flags=re.IGNORECASE)
    return [piece.strip() for piece in pieces if piece.strip()]


@given(st.lists(st.sampled_from(PIECES), max_size=14).map("".join))
@example("<core perspectives></core perspectives>x</core perspectives><summary>x</summary>")
@example("<core perspectives> </core perspectives><summary>x</summary>")
@example("<core perspectives>x</core perspectives><summary> </summary>")
@example("<core perspectives>x</core perspectives> <summary>x</summary></summary>\n")
@settings(max_examples=400, deadline=None)
def test_layout_and_segments_equal_the_published_expressions(text: str) -> None:
    match = STRICT.match(text)
    whole = bool(match and match.group(1).strip() and match.group(2).strip())
    core = strict_core(text)
    assert (core is not None) == whole
    if match and core:
        assert text[core[0] : core[1]].strip() == match.group(1).strip()
    found = segments(text, *(core or (0, len(text))))
    assert [s.explanation for s in found] == split(match.group(1).strip() if match and whole else text.strip())
    assert [text[s.start : s.end] for s in found] == [s.explanation for s in found]
    block = CORE.search(text)
    form = format_score(text)
    if not split((block.group(1) if block else text).strip()):
        assert form == 0.0
    assert 0.0 <= form <= 2.0


def test_odd_answers_take_linear_time() -> None:
    for text in (" " * 200_000, "<core perspectives>" + "\n" * 200_000, "<core perspectives>" * 20_000):
        assert strict_core(text) is None and format_score(text) in (0.0, 1.0)
        segments(text, 0, len(text))
