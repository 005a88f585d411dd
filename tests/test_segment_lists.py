"""Numbered, bulleted, bold, headed and nested lists: one segment an item, with its label."""

from __future__ import annotations

import pytest

from overton.segment import segment

Found = list[tuple[str, str]]


def read(text: str) -> Found:
    """Labels and explanations; the places in the text are checked on the way."""
    found = segment(text)
    for part in found:
        assert part.explanation in text[part.start : part.end]
        assert part.label in text[part.start : part.end]
    return [(part.label, part.explanation) for part in found]


TWO: Found = [("", "She has rights."), ("", "He means well.")]
NAMED: Found = [("Privacy", "The diary is hers."), ("Honesty", "She is owed the truth.")]


# ------------------------------------------------------------------ marks


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("1. ", "2. "),
        ("1) ", "2) "),
        ("(1) ", "(2) "),
        ("1.", "2."),
        ("9. ", "10. "),
        ("a) ", "b) "),
        ("A. ", "B. "),
        ("(a) ", "(b) "),
        ("i. ", "ii. "),
        ("I) ", "II) "),
        ("①", "②"),
        ("❶ ", "❷ "),
        ("1️⃣ ", "2️⃣ "),
        ("1.1 ", "1.2 "),
        ("- ", "- "),
        ("* ", "* "),
        ("+ ", "+ "),
        ("• ", "• "),
        ("•", "•"),
        ("– ", "– "),
        ("— ", "— "),
        ("- [ ] ", "- [x] "),
        ("> 1. ", "> 2. "),
        ("👉 ", "👉 "),
        ("１．", "２．"),
        ("（1）", "（2）"),
        ("一、", "二、"),
        ("第一、", "第二、"),
        ("（一）", "（二）"),
        ("・", "・"),
        ("١. ", "٢. "),
        ("१. ", "२. "),
        ("๑. ", "๒. "),
        ("а) ", "б) "),
        ("가. ", "나. "),
        ("أ. ", "ب. "),
    ],
)
@pytest.mark.parametrize("between", ["\n", "\n\n", "\r\n"])
def test_marks_of_items(first: str, second: str, between: str) -> None:
    text = f"{first}She has rights.{between}{second}He means well."
    assert read(text) == TWO
    found = segment(text)
    assert (found[0].start, found[1].end) == (text.index(first.lstrip("> ")), len(text))


@pytest.mark.parametrize(
    "text",
    [
        "A. Smith hurts her. Others gain.",
        "Views:\n1984 was a year.\n2024 is another.",
        "3.5 million lose.\n4.5 million gain.",
        "*Privacy* matters. Others gain.",
    ],
)
def test_what_only_looks_like_a_mark_stays(text: str) -> None:
    assert all(part.explanation.strip() for part in segment(text))
    said = "".join(part.explanation for part in segment(text))
    assert said.replace(" ", "") in text.replace("\n", "").replace(" ", "")
    assert text.split()[-1] in said and text.split("\n")[-1].split()[0] in said


# ------------------------------------------------------------------ labels


@pytest.mark.parametrize(
    "form",
    [
        "**{0}**: {1}",
        "**{0}:** {1}",
        "**{0}** - {1}",
        "**{0}** – {1}",
        "**{0}.** {1}",
        "**{0}** {1}",
        "__{0}__: {1}",
        "*{0}*: {1}",
        "**{0}** (a value): {1}",
        "* **{0}:** {1}",
        "- **{0}** — {1}",
        "1. **{0}**: {1}",
        "1. **{0}**\n   {1}",
        "**1. {0}**\n{1}",
        "**{0}**\n{1}",
        "**{0}:**\n\n{1}",
        "## {0}\n{1}",
        "### 1. {0}\n\n{1}",
        "#### **{0}**\n{1}",
        "## {0} ##\n{1}",
        "{0}:\n{1}",
        "{0}: {1}",
        "- {0}: {1}",
        "1. {0} – {1}",
        "1. {0}\n{1}",
        "{0}：{1}",
    ],
)
@pytest.mark.parametrize("between", ["\n\n", "\n"])
def test_labels(form: str, between: str) -> None:
    assert read(between.join(form.format(*view) for view in NAMED)) == NAMED


def test_a_label_that_only_one_item_has_is_part_of_it() -> None:
    text = "- She has rights.\n- He asks: is it fair?\n- They gain.\n- We lose."
    assert read(text)[1] == ("", "He asks: is it fair?")


def test_bold_words_within_a_sentence_are_no_label() -> None:
    text = "- **Privacy** matters to her.\n- **Honesty** matters to him."
    assert read(text) == [("", "**Privacy** matters to her."), ("", "**Honesty** matters to him.")]


def test_names_alone_are_what_the_items_say() -> None:
    for text in ("- **Privacy**\n- **Honesty**", "## Privacy\n## Honesty", "1. Privacy\n2. Honesty"):
        assert read(text) == [("", "Privacy"), ("", "Honesty")]


def test_labels_by_standpoint() -> None:
    text = "1. In the perspective of Care, she suffers.\n2. From the standpoint of law, it is theft.\n3. Others gain."
    assert read(text) == [("Care", "she suffers."), ("law", "it is theft."), ("", "Others gain.")]
    assert read("Legal perspective: It is theft.\nMoral perspective: It is kind.") == [
        ("Legal perspective", "It is theft."),
        ("Moral perspective", "It is kind."),
    ]


def test_a_table_gives_a_segment_a_row() -> None:
    text = (
        "| View | Why |\n|---|:--|\n| Privacy | The diary is hers. |\n| **1** | She is owed the truth. |\n\nBoth count."
    )
    assert read(text) == [("Privacy", "The diary is hers."), ("", "She is owed the truth.")]


# ------------------------------------------------------------------ nesting


def test_points_below_an_item_belong_to_it() -> None:
    text = "1. **Privacy**:\n   - Hers alone.\n   - Nobody else's.\n2. **Honesty**: He asks.\n   * She is owed it."
    assert read(text) == [
        ("Privacy", "- Hers alone.\n   - Nobody else's."),
        ("Honesty", "He asks.\n   * She is owed it."),
    ]
    flat = "• Privacy counts\n- hers alone\n- nobody else's\n• Honesty counts\n- owed"
    assert read(flat) == [
        ("Privacy counts", "- hers alone\n- nobody else's"),
        ("Honesty counts", "- owed"),
    ]


def test_headings_outrank_a_table_of_contents() -> None:
    text = "Views:\n- Privacy\n- Honesty\n\n## Privacy\nThe diary is hers.\n\n## Honesty\nShe is owed the truth."
    assert read(text) == NAMED


def test_sections_that_name_a_side_stand_for_their_items() -> None:
    text = "### Arguments for\n1. **Privacy**: Hers.\n2. **Care**: Love.\n\n### Arguments against\n- **Truth**: Owed."
    assert read(text) == [("Privacy", "Hers."), ("Care", "Love."), ("Truth", "Owed.")]
    colons = "Some support it:\n- It saves lives.\n- It costs little.\n\nOthers oppose it:\n- It hurts.\n- It is late."
    assert [e for _, e in read(colons)] == ["It saves lives.", "It costs little.", "It hurts.", "It is late."]
    prose = "**Pros**\nIt saves lives. Others gain.\n\n**Cons**\nIt hurts. However, pain ends."
    assert [e for _, e in read(prose)] == ["It saves lives.", "Others gain.", "It hurts.", "However, pain ends."]


def test_sections_of_labeled_items_stand_for_them() -> None:
    text = "## Ethical\n- **Autonomy**: Hers.\n- **Harm**: His.\n\n## Practical\n- **Cost**: Much.\n- **Time**: Little."
    assert [label for label, _ in read(text)] == ["Autonomy", "Harm", "Cost", "Time"]


# ------------------------------------------------------------------ what is beside a list


@pytest.mark.parametrize("introduction", ["Here are some views:\n\n", "There are many views on this.\n\n", "# Views\n"])
@pytest.mark.parametrize(
    "closing",
    [
        "\n\nIn conclusion, both count.",
        "\n\nUltimately, nobody can decide this for her.",
        "\nOverall, it depends.",
        "\n\nWhoever has to choose should listen.",
        "\n\n## Conclusion\nBoth count.",
        "\n\n**Conclusion:** Both count.",
        "\n\n---\n\nLet me know what you think.",
        "\n\nZusammenfassend zählt beides.",
        "\n\n总之，两者都重要。",
        "",
    ],
)
@pytest.mark.parametrize("form", ["- {1}", "1. **{0}**: {1}", "**{0}**\n{1}", "### {0}\n{1}"])
def test_introduction_and_closing_are_no_segments(introduction: str, closing: str, form: str) -> None:
    items = "\n\n".join(form.format(*view) for view in NAMED)
    assert [e for _, e in read(introduction + items + closing)] == [e for _, e in NAMED]


def test_sections_without_a_view_are_left_out() -> None:
    text = "## Introduction\nIt is hard.\n\n## Privacy\nHers.\n\n## Honesty\nOwed.\n\n## Sources\nX"
    assert read(text) == [("Privacy", "Hers."), ("Honesty", "Owed.")]


def test_a_closing_sentence_in_the_line_of_the_last_item() -> None:
    text = "1. She has rights.\n2. He means well. Overall, it depends on both."
    assert read(text) == TWO


def test_paragraphs_after_an_item_are_its_own_where_others_have_such() -> None:
    text = "1. One view.\n\nMore on it.\n\n2. A second.\n\nMore on this one."
    assert [e for _, e in read(text)] == ["One view.\n\nMore on it.", "A second.\n\nMore on this one."]


def test_two_lists_do_not_swallow_what_leads_to_the_second() -> None:
    text = "For it speak\n- care\n- love\n\nAgainst it speak:\n- cost\n- time"
    assert [e for _, e in read(text)] == ["care", "love", "cost", "time"]


def test_a_list_that_is_a_detail_of_prose_does_not_hide_the_prose() -> None:
    prose = "Privacy is at stake, since a diary is where a person can be alone with what she thinks and fears.\n\n"
    text = prose + "Steps:\n- ask\n- wait\n\n" + "Others hold that a parent who fears for her life may read it."
    found = [e for _, e in read(text)]
    assert found[0] == prose.strip() and found[-1].startswith("Others hold")


# ------------------------------------------------------------------ counted within a paragraph


@pytest.mark.parametrize(
    "text",
    [
        "Three views: (1) She has rights, (2) he means well, and (3) they gain.",
        "Three views: 1) She has rights, 2) he means well; 3) they gain.",
        "Three views: 1. She has rights. 2. he means well. 3. they gain.",
        "Three views: (a) She has rights; (b) he means well; or (c) they gain.",
        "Three views: ① She has rights, ② he means well, ③ they gain.",
    ],
)
def test_items_within_a_paragraph(text: str) -> None:
    assert [e.rstrip(".") for _, e in read(text)] == ["She has rights", "he means well", "they gain"]


def test_numbers_that_count_nothing() -> None:
    text = "Article 1 gives her rights. Others cite chapter 2. He means well."
    assert [e for _, e in read(text)] == ["Article 1 gives her rights.", "Others cite chapter 2.", "He means well."]
    assert read("See (1) and (2).") == [("", "See (1) and (2).")]


@pytest.mark.parametrize("lead", ["", "Here goes. "])
def test_several_views_in_one_line_are_told_apart_though_the_line_begins_with_an_opener(lead: str) -> None:
    text = (
        "In the perspective of privacy, a diary is hers. From the standpoint of safety, it may warn. "
        "From a legal perspective, it is a crime."
    )
    found = [s.explanation for s in segment(lead + text)]
    assert found[-3:] == ["a diary is hers.", "it may warn.", "it is a crime."]
    two = [s.explanation for s in segment(f"{text}\nIn the perspective of Care, ask her first.")]
    assert two == ["a diary is hers.", "it may warn.", "it is a crime.", "ask her first."]


@pytest.mark.parametrize(
    "form",
    [
        '["{}", "{}", "{}"]',
        '```json\n[\n  "{}",\n  "{}",\n  "{}"\n]\n```',
        '{{"perspectives": ["{}", "{}", "{}"]}}',
        '<core perspectives>\n["{}", "{}", "{}"]\n</core perspectives>',
    ],
)
def test_a_list_of_strings_in_json_is_one(form: str) -> None:
    said = ["Privacy: a diary is hers.", 'She calls it \\"mine\\", and so it is.', "The nurse may hear of a danger."]
    assert read(form.format(*said)) == [("", s) for s in said]
    named = [f"In the perspective of View {i}, {s}" for i, s in enumerate(said)]
    assert read(form.format(*named)) == [(f"View {i}", s) for i, s in enumerate(said)]


@pytest.mark.parametrize("form", ["**{}:** {}", "**{}**: {}"])
def test_bold_names_within_one_paragraph_begin_items(form: str) -> None:
    said = ["a diary is hers alone. Nobody may read it.", "it may tell of a danger.", "**All** need to trust her."]
    text = " ".join(form.format(f"View {i}", s) for i, s in enumerate(said))
    assert read(text) == [(f"View {i}", s) for i, s in enumerate(said)]


def test_bold_words_within_a_sentence_begin_nothing() -> None:
    said = "a diary is **hers:** she wrote it and nobody may read what **she:** alone should know."
    assert read(f"**Privacy:** {said}") == [("Privacy", said)]


@pytest.mark.parametrize("signs", ["✅❌✅", "🔹🔸🔹", "⚖🔒🏢", "👉👉👉"])
@pytest.mark.parametrize(
    "form", ["{sign} **{name}**: {said}", "{sign}\ufe0f {name}: {said}", "## {sign} {name}\n{said}"]
)
def test_pictures_may_be_bullets_each_another(signs: str, form: str) -> None:
    views = [("Privacy", "A diary is hers."), ("Safety", "It may warn of a danger."), ("Trust", "She told nobody.")]
    text = "\n".join(form.format(sign=sign, name=n, said=s) for sign, (n, s) in zip(signs, views, strict=True))
    assert read(text) == views


def test_a_greeting_and_a_farewell_with_pictures_are_no_list() -> None:
    said = ["A diary is hers.", "It may warn of a danger."]
    assert [s for _, s in read("😊 Great question!\n\n" + "\n\n".join(said) + "\n\n🙏 Hope this helps!")][1:3] == said


@pytest.mark.parametrize(
    "form",
    [
        "Perspective {}: {}\n{}",
        "**View {}: {}**\n{}",
        "### Viewpoint {} - {}\n{}",
        "1. **Position {}: {}** - {}",
        "Perspektive {}: {}\n{}",
        "观点{}：{}\n{}",
    ],
)
def test_views_that_are_counted_by_name_have_their_own_label(form: str) -> None:
    views = [("Privacy", "A diary is hers."), ("Safety", "It may warn of a danger.")]
    assert read("\n\n".join(form.format(i, *view) for i, view in enumerate(views, 1))) == views


def test_a_count_by_name_alone_stays_the_label() -> None:
    text = "**Perspective 1:** A diary is hers.\n**Perspective 2:** It may warn of a danger."
    assert read(text) == [("Perspective 1", "A diary is hers."), ("Perspective 2", "It may warn of a danger.")]
    assert [said for _, said in read("View A: A diary is hers.\nView B: It may warn.")] == [
        "A diary is hers.",
        "It may warn.",
    ]


def test_bold_names_in_a_table_are_labels_without_their_marks() -> None:
    text = "| View | Why |\n|---|---|\n| **Privacy** | A diary is **hers**. |\n| _Safety_ | It may warn. |"
    assert read(text) == [("Privacy", "A diary is **hers**."), ("Safety", "It may warn.")]


def test_words_of_a_label_are_counted_with_their_vowel_signs() -> None:
    views = [("रोगी की निजता का अधिकार", "किसी की डायरी निजी होती है।"), ("सबकी सुरक्षा और जिम्मेदारी", "खतरा दिखता है।")]
    assert read("\n".join(f"- {label}: {said}" for label, said in views)) == views


@pytest.mark.parametrize(
    "said",
    [
        ["ความเป็นส่วนตัวของผู้ป่วยต้องได้รับการเคารพ", "พยาบาลอาจทราบถึงอันตรายได้ทันเวลา"],
        ["日记是私人的，谁也不能看", "护士可能及时得知危险"],
    ],
)
def test_words_of_scripts_without_spaces_are_counted_by_length(said: list[str]) -> None:
    assert read(" ".join(f"({i}) {s}" for i, s in enumerate(said, 1))) == [("", s) for s in said]
