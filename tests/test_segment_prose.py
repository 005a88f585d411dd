"""Prose: sentences, the perspectives they are grouped into, what announces or sums up, several languages."""

from __future__ import annotations

import pytest

from overton.segment import segment
from overton.segment.sentences import paragraphs, sentences


def said(text: str) -> list[str]:
    """Explanations; the places in the text are checked on the way."""
    found = segment(text)
    for part in found:
        assert part.explanation in text[part.start : part.end]
    return [part.explanation for part in found]


def cut(text: str) -> list[str]:
    """Sentences of all paragraphs."""
    return [text[a:b] for part in paragraphs(text, 0, len(text)) for a, b in sentences(text, *part)]


# ------------------------------------------------------------------ sentences


@pytest.mark.parametrize(
    "whole",
    [
        "Dr. Smith and Mrs. Jones disagree.",
        "It costs 3.5 million, e.g. for care, i.e. too much.",
        "The U.S. and the U.K. allow it.",
        "It is duty vs. love.",
        "J. K. Rowling and George W. Bush wrote it.",
        "No. 5 and Art. 3 forbid it (cf. Fig. 2).",
        "See p. 12 and pp. 13 ff.",
        "Studies (Carmody et al., 2013) show it.",
        "She waited... and waited.",
        '"Is it fair?" she asked.',
        "Cats, dogs, etc. are harmed.",
        "Sie sagt z.B. nein, d.h. nie.",
        "Am 3. Oktober im 19. Jahrhundert war es so.",
        "Prof. Dr. Meier u.a. sehen es so.",
        "It was at 5 p.m. on Monday.",
        "A line that is\nwrapped by an editor.",
    ],
)
def test_what_ends_no_sentence(whole: str) -> None:
    assert cut(f"Before it. {whole} After it.") == ["Before it.", whole, "After it."]


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("She lives in the U.S.", "The law allows it."),
        ("Cats, dogs, etc.", "They are harmed."),
        ("So do I.", "She does too."),
        ("No.", "She is right."),
        ("It is plan B.", "The first failed."),
        ("It began in 1990.", "Others came."),
        ("Wait…", "Others came."),
        ("She said “no.”", "He left."),
        ("Sie sagt: „Nein.“", "Er geht."),
        ("Elle dit : « Non ! »", "Il part."),
        ("«No.»", "Se fue."),
        ("¿Es justo?", "¡Sí!"),
        ("Really?!", "Others came."),
        ("(It hurts.)", "Others gain."),
        ("**It hurts.**", "Others gain."),
        ("Είναι δίκαιο;", "Όχι."),
        ("هل هذا عادل؟", "نعم."),
        ("یہ درست ہے۔", "نہیں۔"),
        ("क्या यह सही है?", "नहीं।"),
        ("यह गलत है।", "दूसरे लोग असहमत हैं।"),
        ("Это верно?", "Нет."),
        ("One line without a stop", "Another Line"),
    ],
)
def test_where_a_sentence_ends(first: str, second: str) -> None:
    between = " " if first[-1] in ".!?…»”“)*;؟۔।" else "\n"
    assert cut(f"{first}{between}{second}") == [first, second]


def test_scripts_without_spaces() -> None:
    assert cut("隐私很重要。“诚实呢？”也重要！") == ["隐私很重要。", "“诚实呢？”", "也重要！"]
    assert cut("これは正しい。「はい。」でも違う。") == ["これは正しい。", "「はい。」", "でも違う。"]
    assert cut("ความเป็นส่วนตัวสำคัญ\nความซื่อสัตย์ก็สำคัญ") == ["ความเป็นส่วนตัวสำคัญ", "ความซื่อสัตย์ก็สำคัญ"]


# ------------------------------------------------------------------ grouping

PRIVACY = "A diary is where a person can be alone."


@pytest.mark.parametrize(
    "more",
    [
        "This matters most to the young.",
        "It protects her from shame.",
        "They need such a place.",
        "For example, teenagers write what they dare not say.",
        "Because of that, reading wounds.",
        "Therefore, reading wounds.",
        "In other words, silence heals.",
        "Such places are rare.",
        "Diary pages hold what nobody else hears.",
    ],
)
def test_a_sentence_that_goes_on_joins_the_one_before(more: str) -> None:
    assert said(f"{PRIVACY} {more}") == [f"{PRIVACY} {more}"]


@pytest.mark.parametrize(
    "other",
    [
        "However, a parent must protect her.",
        "On the other hand, danger justifies much.",
        "Others argue that safety comes first.",
        "Some people put safety first.",
        "Critics of this view point to danger.",
        "From a legal standpoint, minors have fewer rights.",
        "Legally, minors have fewer rights.",
        "In terms of safety, much speaks for it.",
        "Secondly, danger justifies much.",
        "Another reason is danger.",
        "While some trust her, danger remains.",
        "The perspective of the parent is one of fear.",
        "Love excuses much.",
    ],
)
def test_a_sentence_that_turns_or_opens_a_view_begins_another(other: str) -> None:
    assert len(said(f"{PRIVACY} {other}")) == 2


def test_moreover_joins_what_it_adds_to_and_no_other_view() -> None:
    assert len(said(f"{PRIVACY} Moreover, a person who is alone can rest.")) == 1
    assert len(said(f"{PRIVACY} Moreover, lies destroy trust.")) == 2


def test_sentences_that_begin_alike_stand_side_by_side() -> None:
    assert said("It hurts her. It helps him.") == ["It hurts her.", "It helps him."]


def test_paragraphs_are_boundaries() -> None:
    parts = [
        "Privacy counts here. Nobody else may look.",
        "This is also about trust.",
        "Safety counts. Nothing beats it.",
    ]
    assert said("\n\n".join(parts)) == parts


def test_named_views_outline_an_answer() -> None:
    text = (
        "Ethically, the diary is hers. Pages like these are written alone. "
        "Legally, minors are in the care of adults. Courts say so. "
        "Socially, families need honesty. Silence is poison."
    )
    assert [s.split(",")[0] for s in said(text)] == ["Ethically", "Legally", "Socially"]


def test_standpoints_are_labels() -> None:
    text = "From a legal perspective, minors have few rights. From the point of view of love, he may ask."
    assert [(s.label, s.explanation) for s in segment(text)] == [
        ("legal", "minors have few rights."),
        ("love", "he may ask."),
    ]
    assert [s.label for s in segment("Danger is real. From this perspective, all is fair.")] == [""]


def test_what_announces_and_what_sums_up_are_left_out() -> None:
    text = (
        "Reading a diary is a complex issue that raises ethical questions. "
        "Privacy speaks against it. However, danger speaks for it. Love excuses much. "
        "In conclusion, both sides have weight. Balance is needed."
    )
    assert said(text) == ["Privacy speaks against it.", "However, danger speaks for it.", "Love excuses much."]
    late = "Privacy speaks against it. Danger excuses much. Love asks first. Ultimately, she decides."
    assert len(said(late)) == 3
    early = (
        "Ultimately, privacy wins. Danger excuses much. Love asks first. Trust grows slowly. Pain fades. Hope stays."
    )
    assert len(said(early)) == 6
    titled = (
        "# Reading a diary\n\nPrivacy speaks against it.\n\nDanger excuses much.\n\n**References**\n\nSmith (2010)."
    )
    assert said(titled) == ["Privacy speaks against it.", "Danger excuses much."]


@pytest.mark.parametrize(
    "text",
    [
        "In conclusion, it depends.",
        "This is a complex issue.",
        "# Privacy",
        "**Privacy**",
        "Views:",
        "Overall, yes. Ultimately, no.",
    ],
)
def test_something_always_remains(text: str) -> None:
    assert said(text)


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("隐私很重要。这意味着日记属于她。然而，安全也很重要。有人认为父母应当知情。总之，两者都要考虑。", 3),
        ("プライバシーは大切だ。これは彼女の権利だ。しかし、安全も大切だ。まとめると、両方が大事だ。", 2),
        ("사생활은 중요하다. 이는 그녀의 권리이다. 그러나 안전도 중요하다. 결론적으로 둘 다 중요하다.", 2),
        ("Das Tagebuch gehört ihr. Das ist ihr Recht. Andererseits droht Gefahr. Zusammenfassend zählt beides.", 2),
        ("Le journal est à elle. Cela compte. En revanche, le danger existe. En conclusion, les deux comptent.", 2),
        ("El diario es suyo. Esto importa. Sin embargo, hay peligro. En conclusión, ambos cuentan.", 2),
        ("O diário é dela. Isso importa. No entanto, há perigo. Em conclusão, ambos contam.", 2),
        ("Il diario è suo. Questo conta. Tuttavia, c'è pericolo. In conclusione, contano entrambi.", 2),
        ("Дневник принадлежит ей. Это важно. Однако есть опасность. В заключение, важно и то и другое.", 2),
        ("اليوميات ملك لها. هذا مهم. لكن الخطر قائم. في الختام، كلاهما مهم.", 2),
        ("डायरी उसकी है। यह महत्वपूर्ण है। लेकिन खतरा भी है। निष्कर्ष में दोनों ज़रूरी हैं।", 2),
    ],
)
def test_languages(text: str, count: int) -> None:
    assert len(said(text)) == count


# ------------------------------------------------------------------ odd characters


def test_invisible_characters_hide_nothing_and_stay_in_the_text() -> None:
    text = (
        "In the persp\u200bective of Hon\u00adesty, she is\u00a0owed.\u2028"
        "In\u00a0the perspective of Care, he as\u2060ks."
    )
    found = segment(text)
    assert [(s.label, s.explanation) for s in found] == [
        ("Hon\u00adesty", "she is\u00a0owed."),
        ("Care", "he as\u2060ks."),
    ]
    assert text[found[1].start :].startswith("In\u00a0the")
    assert said("1.\u00a0She\u200d has.\r\n2.\u2003He\ufeff means.\r\n") == ["She\u200d has.", "He\ufeff means."]
    assert said("\u200b- one thing\u2029\u200e- two things") == ["one thing", "two things"]


def test_words_that_need_joiners_keep_them() -> None:
    text = "1. می\u200cخواهد که بداند.\n2. क्\u200dष सही है।"
    assert said(text) == ["می\u200cخواهد که بداند.", "क्\u200dष सही है।"]


@pytest.mark.parametrize("space", [" ", "\u00a0", "\u3000", "\t", "\u2009"])
def test_spaces_of_all_kinds(space: str) -> None:
    assert said(f"She{space}has rights.{space}However,{space}he means well.") == [
        f"She{space}has rights.",
        f"However,{space}he means well.",
    ]


@pytest.mark.parametrize(
    "thought",
    [
        "<think>1. Lie.\n2. Steal.</think>\n",
        "<think>Lie.</think>\n<think>Steal.</think>\n",
        "<thinking>\nLie.\n</thinking>",
        "1. Lie.\n2. Steal.\n</think>\n",
        "Lie.</think></think> ",
        "<THINK>Lie.</THINK>",
    ],
)
def test_thoughts_are_not_read(thought: str) -> None:
    assert said(f"{thought}She has rights. However, he means well.") == ["She has rights.", "However, he means well."]


@pytest.mark.parametrize("text", ["<think>Lie.", " <think>a</think><think>b", "?! …", "**  **", "1.\n2.\n", "🙂 🙂"])
def test_no_word_no_segment(text: str) -> None:
    assert segment(text) == []
