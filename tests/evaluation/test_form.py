"""Words, perspectives and tags."""

from __future__ import annotations

import pytest

from overton.evaluation.form import count_perspectives, count_words, form_row, valid_tags
from overton.types import Answer, Situation

CORE = "<core perspectives>\nIn the perspective of A, one.\n</core perspectives>"
SUMMARY = "<summary>\nAll matter.\n</summary>"


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (f"{CORE}\n\n{SUMMARY}", True),
        (f"  {CORE}{SUMMARY}\n", True),
        (f"{SUMMARY}\n{CORE}", False),
        (f"Well: {CORE}\n{SUMMARY}", False),
        (f"{CORE}\n{SUMMARY}\nThat is all.", False),
        (f"{CORE}\n{CORE}\n{SUMMARY}", False),
        (f"{CORE}\n<summary>All matter.", False),
        (f"{CORE}\n<summary> </summary>", False),
        ("<core perspectives></core perspectives><summary>x</summary>", False),
        (f"<core perspectives><summary></core perspectives>{SUMMARY}", False),
        ("", False),
    ],
)
def test_valid_tags(answer: str, expected: bool) -> None:
    assert valid_tags(answer) is expected


def test_words_leave_the_tags_out() -> None:
    assert count_words("<core perspectives>\nA mother's well-meant act, 3 times.\n</core perspectives>") == 6
    assert count_words("") == 0
    assert count_words("किसी की डायरी निजी होती है।") == 6


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (f"{CORE}\n{SUMMARY}", 1),
        ("In the perspective of A, one. And more.\nIn the perspective of B, two.", 2),
        ("Some views:\n- one. It goes on.\n- two", 2),
        ("One view. Another view.", 2),
        ("几种看法：\n１．隐私。日记是私人的。\n２．安全。", 2),
        ("以下の通りです。\n・一つ目です。続きます。\n・二つ目です。\n・三つ目です。", 3),
        ("① 结果\n重要的是结果。\n② 原则\n隐私权很重要。", 2),
        ("1. One.\n2. Two.\n3. Three.\n4. From the perspective of parents, four.\n5. Five.\n6. Six.", 6),
        ("- In the perspective of A, one.\n- In the perspective of B, two.\n- Three.", 3),
        ("1. In the perspective of A, one.\n   - It helps.\n2. In the perspective of B, two.\n   - It harms.", 2),
        ("In the perspective of A, one.\n- It helps.\n- It lasts.\nIn the perspective of B, two.\n- It harms.", 2),
        ("One. Two. From the perspective of parents, three. Four. Five.", 5),
        ("From the perspective of parents, one.\nTwo.\nThree.\nFour.", 4),
        ("There are two views.\nIn the perspective of A, one.\nSo.\nIn the perspective of B, two.\nSo.\nSo.", 2),
        ("<core perspectives>\nIn the perspective of A, one. And more. And that.\n</core perspectives>", 1),
        ("<thinking>One. Two.</thinking>One.", 1),
        ("", 0),
    ],
)
def test_perspectives(answer: str, expected: int) -> None:
    assert count_perspectives(answer) == expected


def test_row(situation: Situation, answers: list[Answer]) -> None:
    row = form_row(answers[0], situation)
    assert row["perspectives"] == 4
    assert row["true_perspectives"] == 4
    assert row["perspective_ratio"] == 1.0
    assert row["valid_tags"] == 1
    assert row["tokens"] == 60


@pytest.mark.timeout(20)  # what tries all pairs of tags takes minutes
def test_thousands_of_tags_cost_little() -> None:
    answer = "<core perspectives>a" + "</core perspectives><summary>b" * 17_000 + "</summary>b" * 45_000
    assert not valid_tags(answer)
