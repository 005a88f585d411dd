"""Answers to segments: the template and back, offsets, broken layouts, masking. Free text has tests of its own."""

from __future__ import annotations

import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from overton.segment import MASK, format_answer, keywords, layout, mask_words, segment, strip_label
from overton.types import Perspective

TWO = (
    "<core perspectives>\n"
    "In the perspective of Right to privacy, the diary is hers alone.\n"
    "From the perspective of Honesty, she is owed the truth.\n"
    "</core perspectives>\n\n"
    "<summary>\nPrivacy and honesty pull apart.\n</summary>"
)

# What the template can carry: no comma, colon, stop or line break in a label, one line an explanation.
LABEL = st.from_regex(r"[A-Za-zÀ-ÿ][A-Za-zÀ-ÿ '()-]{0,60}[a-z]", fullmatch=True)
EXPLANATION = st.from_regex(r"[A-Za-zÀ-ÿ][A-Za-z0-9À-ÿ ,;:'()-]{0,120}[a-z]", fullmatch=True).filter(
    lambda text: not re.search(r"the perspective of", text, re.IGNORECASE)
)
PIECES = st.sampled_from(
    [
        "<core perspectives>",
        "</core perspectives>",
        "<summary>",
        "</summary>",
        "<think>",
        "</think>",
        *("<ul>", "<li>", "</li>", "<p>", "<b>", "</b>", "<details>", "</details>"),
        "In the perspective of",
        " Honesty, ",
        "from the PERSPECTIVE of x: y",
        "\n",
        "\n- ",
        "\n1. ",
        ".",
        "。",
        "\t",
        " ",
        "\u00a0",
        "é",
        "🙂",
        "word",
    ]
)
MESSY = st.one_of(st.text(max_size=200), st.lists(PIECES, max_size=30).map("".join))


# ------------------------------------------------------------------ template


def test_template_is_read_with_labels_explanations_and_offsets() -> None:
    found = segment(TWO)
    assert [(s.label, s.explanation) for s in found] == [
        ("Right to privacy", "the diary is hers alone."),
        ("Honesty", "she is owed the truth."),
    ]
    assert TWO[found[0].start : found[0].end] == ("In the perspective of Right to privacy, the diary is hers alone.")
    assert TWO[found[1].start :].startswith("From the perspective of Honesty")
    assert layout(TWO).valid
    assert layout(TWO).summary == "Privacy and honesty pull apart."


@given(st.lists(st.tuples(LABEL, EXPLANATION), min_size=1, max_size=8))
def test_format_answer_is_read_back(rows: list[tuple[str, str]]) -> None:
    answer = format_answer([Perspective(label, text) for label, text in rows], "A summary.")
    found = segment(answer)
    assert [(s.label, s.explanation) for s in found] == [(label.strip(), f"{text.strip()}.") for label, text in rows]
    assert layout(answer).valid and layout(answer).summary == "A summary."
    for part in found:
        shown = answer[part.start : part.end]
        assert shown.startswith("In the perspective of") and shown.endswith(part.explanation)


def test_a_final_stop_is_not_doubled() -> None:
    answer = format_answer([Perspective("Care", "She suffers.")], "S")
    assert "She suffers.\n" in answer and segment(answer)[0].explanation == "She suffers."


def test_label_of_a_line_that_names_none() -> None:
    found = segment("In the perspective of , it hurts her. In the perspective of the mother it helps")
    assert [(s.label, s.explanation) for s in found] == [
        ("", "it hurts her."),
        ("", "the mother it helps"),
    ]


def test_a_label_alone_stays_a_segment_and_an_empty_opener_does_not() -> None:
    assert [(s.label, s.explanation) for s in segment("In the perspective of Honesty,")] == [("Honesty", "")]
    assert segment("In the perspective of") == []
    assert segment("In the perspective of, ...") == []


def test_numbers_and_bullets_before_the_opener_belong_to_no_line() -> None:
    answer = (
        "1. In the perspective of A, x holds.\n2. In the perspective of B, y holds.\n  - In the perspective of C, z."
    )
    assert [s.explanation for s in segment(answer)] == ["x holds.", "y holds.", "z."]


def in_block(core: str) -> list[tuple[str, str]]:
    answer = f"<core perspectives>\n{core}\n</core perspectives>\n\n<summary>\nBoth.\n</summary>"
    return [(s.label, s.explanation) for s in segment(answer)]


def test_an_opener_within_a_sentence_of_the_block_begins_nothing() -> None:
    listed = "1. A diary is private.\n2. It may tell of a danger.\n3. Trust, from the perspective of a patient, leads."
    assert in_block(listed) == [(s.label, s.explanation) for s in segment(listed)]
    assert len(in_block(listed)) == 3
    opened = "In the perspective of Privacy, seen from the perspective of a patient, a diary is private.\n"
    assert len(in_block(opened + "In the perspective of Safety, it may tell of a danger.")) == 2


def test_openers_on_one_line_are_told_by_the_capital() -> None:
    assert in_block("In the perspective of A, one thing In the perspective of B, two things.") == [
        ("A", "one thing"),
        ("B", "two things."),
    ]


def test_what_the_block_says_before_its_first_opener_counts_and_an_introduction_does_not() -> None:
    opened = "In the perspective of Privacy, it is hers.\nIn the perspective of Safety, it may warn."
    two = [("Privacy", "it is hers."), ("Safety", "it may warn.")]
    assert in_block("Kindness is a virtue in every land.\n" + opened) == [
        ("", "Kindness is a virtue in every land."),
        *two,
    ]
    assert in_block("Here are the views:\n" + opened) == two


def test_bold_openers() -> None:
    core = "**In the perspective of Privacy**, it is hers.\n\n2. **In the perspective of Safety**, it may warn."
    assert in_block(core) == [("Privacy", "it is hers."), ("Safety", "it may warn.")]


def test_summary_is_never_a_segment() -> None:
    answer = TWO.replace("Privacy and honesty pull apart.", "In the perspective of Care, they meet.")
    assert [s.label for s in segment(answer)] == ["Right to privacy", "Honesty"]
    assert [s.label for s in segment(answer.replace("</core perspectives>", ""))] == [
        "Right to privacy",
        "Honesty",
    ]


# ------------------------------------------------------------------ layout


@pytest.mark.parametrize(
    "broken",
    [
        TWO.replace("<core perspectives>", ""),
        TWO.replace("</core perspectives>", ""),
        TWO.replace("<summary>", ""),
        TWO.replace("</summary>", ""),
        TWO.replace("</summary>", "</summary></summary>"),
        TWO + " One more word.",
        "Sure! " + TWO,
        TWO.replace("\n\n<summary>", "\nand\n<summary>"),
        TWO.replace("Privacy and honesty pull apart.", " "),
        "<core perspectives>\n</core perspectives>\n<summary>x</summary>",
        "<summary>x</summary><core perspectives>y</core perspectives>",
        "",
    ],
)
def test_broken_layouts_are_not_valid(broken: str) -> None:
    assert not layout(broken).valid


@pytest.mark.parametrize("lost", ["<core perspectives>\n", "</core perspectives>\n", "</summary>"])
def test_segments_survive_a_lost_tag(lost: str) -> None:
    answer = TWO.replace(lost, "")
    found = segment(answer)
    assert [s.label for s in found] == ["Right to privacy", "Honesty"]
    assert found[1].explanation == "she is owed the truth."
    assert layout(answer).summary == "Privacy and honesty pull apart."


def test_tags_in_any_case_and_an_answer_cut_off_in_its_first_line() -> None:
    assert layout(TWO.replace("core", "CORE")).valid
    cut = TWO[: TWO.index("hers alone")]
    assert [s.explanation for s in segment(cut)] == ["the diary is"]
    assert not layout(cut).valid and layout(cut).summary == ""


def test_thinking_is_not_part_of_the_answer() -> None:
    thought = "<think>In the perspective of Greed, <core perspectives> I could lie. </think>\n" + TWO
    assert [s.label for s in segment(thought)] == ["Right to privacy", "Honesty"]
    assert layout(thought).valid
    without_opening = thought.removeprefix("<think>")  # some chat templates put it in the prompt
    assert [s.label for s in segment(without_opening)] == ["Right to privacy", "Honesty"]
    prose = segment("<think>First thought.</think> It hurts her.")
    assert [s.explanation for s in prose] == ["It hurts her."]


def test_a_thought_that_never_ends_has_no_answer() -> None:
    assert segment("<think> In the perspective of Greed, I could lie.") == []
    assert [s.explanation for s in segment("The word <think> is no thought.")] == ["The word <think> is no thought."]


# ------------------------------------------------------------------ lists and prose


@pytest.mark.parametrize(
    "text",
    [
        "1. She has rights.\n2. He means well.",
        "Views:\n- She has rights.\n* He means well.",
        "1) She has rights.\n\n2) He means well.\n",
    ],
)
def test_lists_give_one_segment_an_item(text: str) -> None:
    found = segment(text)
    assert [s.explanation for s in found] == ["She has rights.", "He means well."]
    assert [s.label for s in found] == ["", ""]
    assert all(s.explanation in text[s.start : s.end] for s in found)


def test_items_may_run_over_lines() -> None:
    assert [s.explanation for s in segment("- one\n  more\n- two")] == ["one\n  more", "two"]


def test_prose_of_unrelated_sentences_is_read_by_sentence() -> None:
    text = "Is it fair? Some say so! Others do not.\nA last one without a stop"
    found = segment(text)
    assert [s.explanation for s in found] == [
        "Is it fair?",
        "Some say so!",
        "Others do not.",
        "A last one without a stop",
    ]
    assert [text[s.start : s.end] for s in found] == [s.explanation for s in found]


def test_prose_without_spaces_between_sentences() -> None:
    assert [s.explanation for s in segment("隐私很重要。诚实也很重要！是吗？")] == [
        "隐私很重要。",
        "诚实也很重要！",
        "是吗？",
    ]


def test_one_bullet_alone_is_prose() -> None:
    found = segment("- One thing. Another.")
    assert [(s.explanation, s.start) for s in found] == [("One thing.", 0), ("Another.", 13)]


@pytest.mark.parametrize(
    "text", ["", " \n\t", "...", "- \n- ", "<core perspectives></core perspectives>", "\n1. \n2. "]
)
def test_nothing_said_gives_no_segments(text: str) -> None:
    assert segment(text) == []


@given(MESSY)
@example("<think></think><summary>")
@example("\ud800 In the perspective of \ud800, x")
def test_any_text_gives_ordered_segments_inside_it(text: str) -> None:
    found = segment(text)
    start, stop = layout(text).core
    assert 0 <= start <= stop <= len(text)
    position = 0
    for part in found:
        assert position <= part.start < part.end <= len(text)
        assert start <= part.start and part.end <= stop
        assert part.explanation in text[part.start : part.end]
        assert part.label in text[part.start : part.end]
        assert part.explanation or part.label
        position = part.end


@given(MESSY)
def test_layout_is_valid_only_with_each_tag_once(text: str) -> None:
    if layout(text).valid:
        proper = re.split("</think>", text, maxsplit=1, flags=re.IGNORECASE)[-1].lower()
        assert [
            proper.count(t) for t in ("<core perspectives>", "</core perspectives>", "<summary>", "</summary>")
        ] == [1] * 4
        assert layout(text).summary


# ------------------------------------------------------------------ masking


def test_keywords_are_the_words_that_carry_the_topic() -> None:
    found = keywords("Should a mother read her daughter's diary? It's the DAUGHTER’S well-kept secret.")
    assert found == {"mother", "read", "daughter", "diary", "well-kept", "secret"}


def test_runs_of_masked_words_become_one_mask() -> None:
    words = keywords("A mother reads the diary of her daughter")
    assert mask_words("The mother reads diary pages.", words) == f"The {MASK} pages."
    assert mask_words("Mother, reads her diary", words) == f"{MASK}, {MASK} her {MASK}"


def test_possessives_and_case_are_masked_and_parts_of_words_are_not() -> None:
    words = keywords("The mother and the cat")
    assert mask_words("MOTHER's and Mother’s grandmother category", words, "[KW]") == (
        "[KW] and [KW] grandmother category"
    )
    assert mask_words("the mother", keywords("my mother's house")) == f"the {MASK}"


def test_nothing_to_mask_leaves_the_text() -> None:
    assert mask_words(" as it is\n", frozenset()) == " as it is\n"
    assert mask_words(" as it is\n", {"absent"}) == " as it is\n"


@given(MESSY, MESSY)
def test_masking_leaves_no_masked_word_and_touches_no_other(text: str, prompt: str) -> None:
    words = keywords(prompt)
    masked = mask_words(text.replace("\0", ""), words, "\0")
    assert not keywords(masked) & words
    assert re.sub(r"[\s\0]", "", masked) == _without(text.replace("\0", ""), words)
    assert mask_words(masked, words, "\0") == masked


def _without(text: str, words: frozenset[str]) -> str:
    """The text without the masked words, by a route of its own: split into words and what is between."""
    parts = re.split(r"([^\W_]+(?:['’-][^\W_]+)*)", text)
    kept = [p for i, p in enumerate(parts) if i % 2 == 0 or not keywords(p) & words]
    return re.sub(r"\s", "", "".join(kept))


# ------------------------------------------------------------------ time


@pytest.mark.timeout(60)  # milliseconds; what grows with the square of the length takes minutes
@pytest.mark.parametrize(
    "answer",
    [
        "In the perspective of Right to rest, people who work need a day off now and then. " * 600,
        "Some people hold that rest is a right. " * 1300,
        "- people who work need a day off now and then\n" * 1000,
        "In the perspective of" + " " * 60_000,
        ("In the perspective of" + " " * 200 + "x ") * 250,
        "<think> " * 10_000,
        "</summary>" * 6_000,
        " \n" * 30_000,
        "1" * 60_000,
        "a-" * 30_000,
        "<ul><li>" * 8_000,
        "<li><p>" + " \n" * 30_000,
        "<b " * 20_000,
        '["' + 'a", "' * 12_000,
        "**a:** b c. " * 5_000,
    ],
    ids=[
        "template",
        "prose",
        "list",
        "spaces",
        "openers",
        "thoughts",
        "tags",
        "lines",
        "digits",
        "hyphens",
        "items",
        "item",
        "open",
        "json",
        "bold",
    ],
)
def test_ten_thousand_words_do_not_hang(answer: str) -> None:
    found = segment(answer)
    assert all(0 <= part.start <= part.end <= len(answer) for part in found)
    assert len(strip_label(answer)) <= len(answer)
    words = keywords("people who need rest")
    assert not words & keywords(mask_words(answer, words))


def test_a_tag_with_more_spaces_is_the_tag() -> None:
    spaced = TWO.replace("core perspectives", "core  perspectives")
    assert layout(spaced).valid
    assert [s.explanation for s in segment(spaced)] == [s.explanation for s in segment(TWO)]


@pytest.mark.parametrize("line", ["In the perspective of A, so it is.\n", "- So it is.\n", "So it is.\n\n"])
def test_no_more_segments_are_compared_than_any_model_writes(line: str) -> None:
    assert len(segment(line * 1999)) == 1999
    assert len(segment(line * 2500)) == 2000
