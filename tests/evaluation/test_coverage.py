"""Cutting answers into sentences, and counting coverage, precision and uniqueness from entailment."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from overton.evaluation.coverage import drop_lead, reference_groups, score_coverage, split_sentences
from overton.types import Perspective


def texts(answer: str) -> list[str]:
    return [s.text for s in split_sentences(answer)]


def test_template_lead_tags_and_summary_are_left_out() -> None:
    answer = (
        "<core perspectives>\nIn the perspective of Right to privacy, the diary is hers. It is private.\n"
        "From the perspective of Trust: trust breaks.\n</core perspectives>\n\n"
        "<summary>\nPrivacy and trust matter.\n</summary>"
    )
    assert texts(answer) == ["The diary is hers.", "It is private.", "Trust breaks."]
    sentences = split_sentences(answer)
    assert [s.led for s in sentences] == [True, False, True]
    assert answer[sentences[0].start : sentences[0].end] == "In the perspective of Right to privacy, the diary is hers."


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        ("", []),
        ("   \n\n  ...  \n - \n 12. \n", []),
        ("<summary>Only a summary.", []),
        ("<core perspectives>\nOne. Two!\n", ["One.", "Two!"]),
        (
            "1. First point\n2) Second point\n- **Third** point",
            ["First point", "Second point", "Third point"],
        ),
        (
            "A view, e.g. this one, holds. Dr. Smith agrees.",
            ["A view, e.g. this one, holds.", "Dr. Smith agrees."],
        ),
        ('He said "no." Then he left.', ['He said "no."', "Then he left."]),
        ("<think>In the perspective of X, debris.</think>Real view.", ["Real view."]),
        ("<thinking>\nX.\n</thinking>\nYes.", ["Yes."]),
        ("X.</THOUGHT>Yes. <reasoning>Y.</reasoning>\nNo.", ["No."]),
        ("<think>\nIn the perspective of X, never closed.", []),
        ("Yes.\n<reasoning>\nNever closed.", ["Yes."]),
        ("I think so.\n<b>Reasoning</b> helps.", ["I think so.", "Reasoning helps."]),
        (
            "In the perspective of Trust the line has no comma.",
            ["In the perspective of Trust the line has no comma."],
        ),
        ("डायरी निजी है। उसे पढ़ना गलत है।", ["डायरी निजी है।", "उसे पढ़ना गलत है।"]),
        ("هل هذا عدل؟ لا أحد يعرف.", ["هل هذا عدل؟", "لا أحد يعرف."]),
        ("Es gibt z. B. Regeln. Das gilt i. d. R. immer.", ["Es gibt z. B. Regeln.", "Das gilt i. d. R. immer."]),
        (
            "１．**隐私**：日记是私人的。\n（2）安全第一。\n三、信任。\n④ 法律。",
            ["隐私：日记是私人的。", "安全第一。", "信任。", "法律。"],
        ),
        ("In the perspective of A, one. In the perspective of B, two.", ["One.", "Two."]),
        ("In the perspective of A,\nIn the perspective of B, two.", ["Two."]),
        ("Costs are 3.5 million. Fine.", ["Costs are 3.5 million.", "Fine."]),
        ("That is No. 1 on the list. See p. 5 of vol. 2.", ["That is No. 1 on the list.", "See p. 5 of vol. 2."]),
        ("See Smith et al. 2020. They met in Jan. 2020.", ["See Smith et al. 2020.", "They met in Jan. 2020."]),
        ("At 5 p.m. they left. The U.S. law is old.", ["At 5 p.m. they left.", "The U.S. law is old."]),
        (
            '"Stop!" he said... and left. "Why?" (No one knew.)',
            ['"Stop!" he said... and left.', '"Why?"', "(No one knew.)"],
        ),
        ("it helps. it harms. 2 of 3 agree.", ["it helps.", "it harms.", "2 of 3 agree."]),
        ("a) It helps. b) It harms. • So what?", ["It helps.", "It harms.", "So what?"]),
        ("## Pros\n\nIt helps.\n**Cons:**\n- It harms\nTwo things matter:", ["It helps.", "It harms"]),
        ("**Respect:** People decide. *Care.* It helps.", ["Respect: People decide.", "Care.", "It helps."]),
        ("| Pro | It helps. |\n|---|---|", ["Pro | It helps."]),
        ("第一の見方。第二の見方。", ["第一の見方。", "第二の見方。"]),
        ("Seen within the perspective of A, no lead.", ["Seen within the perspective of A, no lead."]),
    ],
)
def test_splitting(answer: str, expected: list[str]) -> None:
    assert texts(answer) == expected


PIECES = st.sampled_from(
    [
        "In the perspective of",
        " Trust,",
        " the mother",
        " reads.",
        "\n",
        "<summary>",
        "</summary>",
        "- ",
        "e.g.",
        "。",
    ]
)


@settings(max_examples=200, deadline=None)
@given(st.one_of(st.text(max_size=200), st.lists(PIECES, max_size=20).map("".join)))
def test_offsets_point_into_the_answer_in_order(answer: str) -> None:
    end = 0
    for sentence in split_sentences(answer):
        assert end <= sentence.start < sentence.end <= len(answer)
        span = answer[sentence.start : sentence.end].replace("**", "").replace("__", "")
        assert sentence.text.casefold()[1:] in span.casefold()
        end = sentence.end


def test_a_very_long_answer_is_cut_quickly() -> None:
    answer = "<think>" * 2000 + "</think>" + "In the perspective of " * 5000 + "word " * 10_000 + "." * 10_000
    assert split_sentences(answer)


@pytest.mark.timeout(20)  # a copy of the rest of the line for each stop takes minutes
def test_a_line_of_a_million_characters_is_cut_quickly() -> None:
    assert len(split_sentences("so. " * 400_000)) == 400_000


def test_drop_lead_agrees_with_the_splitter() -> None:
    line = "In the perspective of Trust, trust breaks."
    assert drop_lead(line) == texts(line)[0] == "Trust breaks."
    assert drop_lead("Trust breaks.") == "Trust breaks."
    assert drop_lead("In the perspective of Trust,") == "In the perspective of Trust,"


def test_references_of_one_cluster_are_one() -> None:
    references = [Perspective("", "a", cluster="x"), Perspective("", "b"), Perspective("", "c", cluster="x")]
    assert reference_groups(references) == [[0, 2], [1]]


def test_counts_by_hand() -> None:
    # Three references; sentences 0 and 2 say the first, 1 says nothing relevant, 3 says the second.
    entailment = np.array([[0.9, 0.1, 0.5, 0.0], [0.0, 0.2, 0.0, 0.8], [0.4, 0.49, 0.1, 0.0]])
    mutual = np.eye(4)
    mutual[0, 2] = mutual[2, 0] = 0.7
    mutual[0, 3] = 0.9  # one direction alone is not sameness
    score = score_coverage(entailment, mutual)
    assert score.coverage == pytest.approx(2 / 3)
    assert score.precision == pytest.approx(3 / 4)
    assert score.f1 == pytest.approx(2 * (2 / 3) * (3 / 4) / (2 / 3 + 3 / 4))
    assert score.uniqueness == pytest.approx(3 / 4)
    assert score.covered == (True, True, False)
    assert score.verdicts == ("matched", "irrelevant", "repeated", "matched")


def test_an_empty_answer_covers_nothing_and_has_no_precision() -> None:
    score = score_coverage(np.zeros((3, 0)), np.zeros((0, 0)))
    assert (score.coverage, score.f1, score.precision, score.uniqueness) == (0.0, 0.0, None, None)


def test_sameness_is_transitive() -> None:
    mutual = np.zeros((3, 3))
    mutual[0, 1] = mutual[1, 0] = mutual[1, 2] = mutual[2, 1] = 1.0
    assert score_coverage(np.ones((1, 3)), mutual).uniqueness == pytest.approx(1 / 3)


@pytest.mark.parametrize(
    ("entailment", "mutual"),
    [
        (np.zeros((0, 2)), np.zeros((2, 2))),
        (np.zeros((1, 2)), np.zeros((3, 3))),
        (np.array([[np.nan, 0.1]]), np.zeros((2, 2))),
    ],
)
def test_arrays_that_mean_nothing_are_refused(entailment: np.ndarray, mutual: np.ndarray) -> None:
    with pytest.raises(ValueError, match=r"shapes|NaN"):
        score_coverage(entailment, mutual)


@settings(max_examples=100, deadline=None)
@given(st.data(), st.integers(1, 5), st.integers(1, 6))
def test_figures_do_not_depend_on_the_order_of_the_sentences(data: st.DataObject, rows: int, columns: int) -> None:
    probability = st.floats(0, 1, width=32)
    entailment = data.draw(arrays(float, (rows, columns), elements=probability))
    mutual = data.draw(arrays(float, (columns, columns), elements=probability))
    order = data.draw(st.permutations(range(columns)))
    one = score_coverage(entailment, mutual)
    other = score_coverage(entailment[:, order], mutual[np.ix_(order, order)])
    assert (one.coverage, one.f1, one.uniqueness) == (other.coverage, other.f1, other.uniqueness)
    assert one.precision == other.precision
    assert 0 < one.uniqueness <= 1
