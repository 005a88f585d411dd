"""Preset ``op-grpo`` against tables worked by hand from the published arithmetic."""

from __future__ import annotations

import pytest
from fake_encoder import FakeEncoder, axis

from overton.rewards import OvertonReward
from overton.rewards.op_grpo import coverage_ladder, format_score, uniqueness_ladder
from overton.types import Group, Perspective, Score, Segment


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


def lines(*rows: tuple[str, str]) -> list[Segment]:
    """Segments as the preset makes them: the opener stays in the text."""
    return [Segment(label, f"In the perspective of {label}, {text}" if label else text, 0, 1) for label, text in rows]


@pytest.mark.parametrize(
    ("rows", "summary", "value"),
    [
        ([("A", "x."), ("B", "y.")], "a and b", 2.0),
        ([("A", "x."), ("B", "y."), ("", "z.")], "a and b", 1.0),  # 2 of 3 labelled
        ([("A", "x."), ("", "y."), ("", "z."), ("", "v.")], "a", 0.0),  # 1 of 4
        ([("A", "x."), ("A", "y.")], "a", 1.5),  # a label twice
        ([("A", "x."), ("A", "x.")], "a", 1.0),  # label and sentence twice
        ([("A", "x. It hurts."), ("B", "y. It hurts.")], "a b", 1.5),  # a sentence twice
        ([("Aa", "x."), ("Bb", "y."), ("Cc", "z."), ("Dd", "v.")], "aa bb cc", 2.0),  # 75% named
        ([("Aa", "x."), ("Bb", "y."), ("Cc", "z."), ("Dd", "v.")], "aa bb", 1.75),
        ([("Aa", "x."), ("Bb", "y."), ("Cc", "z."), ("Dd", "v.")], "aa", 1.5),
        ([("Aa", "x."), ("Bb", "y."), ("Cc", "z."), ("Dd", "v.")], "none", 1.0),
        ([("A", "x.")] * 9, "", 0.0),  # never below 0
        ([], "a", 0.0),
    ],
)
def test_format_score(rows: list[tuple[str, str]], summary: str, value: float) -> None:
    assert format_score(lines(*rows), summary) == pytest.approx(value)


REFERENCES = tuple(Perspective(name, f"ref {name}") for name in "ABCDE")
VECTORS = {f"In the perspective of {name}, ref {name}": axis(i) for i, name in enumerate("ABCDE")}
VECTORS |= {
    "In the perspective of A, one": axis(0),
    "In the perspective of B, two": axis(1),
    "In the perspective of C, three": axis(2),
    "In the perspective of B, again": [0.1, 0.99, 0, 0, 0, 0],
    "In the perspective of Z, beside": axis(5),
}


def score(core: str, summary: str = "A, B, C and Z.", valid: bool = True) -> Score:
    answer = f"<core perspectives>\n{core}\n</core perspectives>\n\n<summary>\n{summary}\n</summary>"
    answer = answer if valid else answer.replace("</summary>", "")
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
    assert score(core, valid=False).value == pytest.approx(value - 0.2)


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


def test_the_total_is_never_below_zero() -> None:
    empty = OvertonReward(FakeEncoder(VECTORS), "op-grpo").score([Group("?", REFERENCES, ("", "words"))])[0]
    assert [s.value for s in empty] == [0.0, 0.0]
    assert [s.terms["valid_tags"] for s in empty] == [0.0, 0.0]


def test_segments_start_at_the_opener_and_end_with_the_core() -> None:
    answer = (
        "Preface. In the perspective of A, one.\nFrom the perspective of the mother it hurts.\n</core perspectives>\n"
        "<summary>In the perspective of B, two.</summary>"
    )
    encoder = FakeEncoder(VECTORS | {"From the perspective of the mother it hurts": axis(5)})
    found = OvertonReward(encoder, "op-grpo").score([Group("?", REFERENCES, (answer,))])[0][0]
    assert [(s.label, s.explanation) for s in found.segments] == [
        ("A", "In the perspective of A, one."),
        ("", "From the perspective of the mother it hurts."),
    ]
    assert all(answer[s.start : s.end] == s.explanation for s in found.segments)
