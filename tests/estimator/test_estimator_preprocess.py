"""Label prefixes and masking, the same on both sides, and the settings that travel with a model."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from overton.errors import ModelError
from overton.estimator import Preprocessing
from overton.estimator.preprocess import SETTINGS_FILE, mask_situation

SITUATION = "A mother reads the diary of her daughter in secret."


def test_inflected_words_and_what_joins_them_are_left_out() -> None:
    text = "By reading the diary of a daughter the mother breaks her trust"
    assert mask_situation(text, SITUATION) == "By breaks her trust"


@pytest.mark.parametrize("word", ["read", "reads", "reading", "Reads", "READ"])
def test_every_form_of_a_word_is_left_out(word: str) -> None:
    assert mask_situation(f"to {word} is wrong", SITUATION) == "to is wrong"


def test_words_that_carry_meaning_between_masked_words_stay() -> None:
    assert mask_situation("The mother must not read the diary", SITUATION) == "must not"


def test_what_separated_the_words_goes_with_them() -> None:
    assert mask_situation("It is fair, the mother, to ask", SITUATION) == "It is fair, to ask"
    assert mask_situation("Mother: daughter; it is fair -- diary.", SITUATION) == "it is fair"
    assert mask_situation("Truth — the diary — matters", SITUATION) == "Truth — matters"


@given(
    st.lists(st.tuples(st.integers(0, 6), st.sampled_from(["mother", "reading", "diaries", "daughter", "secret"]))),
)
def test_the_situations_words_change_nothing_wherever_they_are_put(stuffing: list[tuple[int, str]]) -> None:
    """The rule that makes stuffing worthless."""
    words = ["Nobody", "may", "break", "such", "great", "trust"]
    for place, word in stuffing:
        words.insert(place, word)
    [prepared] = Preprocessing()([" ".join(words)], [SITUATION])
    assert prepared == "Nobody may break such great trust"


@pytest.mark.parametrize("text", ["The mother, the daughter", "Reading"])
def test_a_text_of_nothing_else_stays(text: str) -> None:
    assert mask_situation(text, SITUATION) == text


def test_other_words_and_empty_situations_change_nothing() -> None:
    assert mask_situation("Honesty matters here", SITUATION) == "Honesty matters here"
    assert mask_situation("the mother", "") == "the mother"


def test_possessives_follow_their_owner() -> None:
    assert mask_situation("The daughter's secrets matter", SITUATION) == "matter"


def test_both_sides_are_treated_alike() -> None:
    prepare = Preprocessing()
    reference = "the mother breaks her daughter's trust"
    line = "In the perspective of Trust, the mother breaks her daughter's trust."
    assert prepare([reference], [SITUATION]) == prepare([line], [SITUATION])


def test_the_texts_own_situation_decides() -> None:
    texts = ["the mother is kind", "the baker is kind"]
    prepared = Preprocessing()(texts, ["A mother sings.", "A mother sings."])
    assert prepared == ["Is kind", "The baker is kind"]


def test_masking_can_be_switched_off() -> None:
    prepare = Preprocessing(situation="ignore", strip_label=False)
    text = "In the perspective of Trust, the mother lies"
    assert prepare([text], [SITUATION]) == [text]


def test_the_situation_can_stand_in_front() -> None:
    prepare = Preprocessing(situation="prepend")
    line = "In the perspective of Trust, the mother lies."
    assert prepare([line, "She lies"], [SITUATION, ""])[1] == "She lies"
    assert prepare([line], ["may she?  "]) == ["May she?: The mother lies"]


def test_without_contexts_nothing_is_masked() -> None:
    assert Preprocessing()(["the mother lies"]) == ["The mother lies"]


def test_lengths_must_agree() -> None:
    with pytest.raises(ValueError, match="2 texts but 1 contexts"):
        Preprocessing()(["a", "b"], ["c"])


def test_settings_survive_the_folder(tmp_path: Path) -> None:
    Preprocessing(subtract_situation=0.25, strip_label=False).save(tmp_path, {"base": "b"})
    assert Preprocessing.load(tmp_path) == Preprocessing(subtract_situation=0.25, strip_label=False)


def test_a_foreign_folder_is_not_masked(tmp_path: Path) -> None:
    assert Preprocessing.load(tmp_path).situation == "ignore"


@pytest.mark.parametrize("content", ["{", "[]", '{"format": 99}', '{"format": 1, "preprocessing": {"x": 1}}'])
def test_broken_settings_are_named(tmp_path: Path, content: str) -> None:
    (tmp_path / "overton.json").write_text(content)
    with pytest.raises(ModelError, match=r"overton\.json"):
        Preprocessing.load(tmp_path)


@pytest.mark.parametrize(
    ("situation", "text", "rest"),
    [
        ("क्या नर्स को मरीज की डायरी पढ़नी चाहिए?", "गोपनीयता का अर्थ है कि डायरी निजी है", "गोपनीयता का अर्थ है कि निजी है"),
        ("একজন নার্স কি রোগীর ডায়েরি পড়তে পারেন?", "রোগীর গোপনীয়তা সবার আগে", "গোপনীয়তা সবার আগে"),
        ("Une infirmie\u0300re lit un journal.", "Une infirmie\u0300re trahie", "trahie"),
        ("Une infirmi\u00e8re lit.", "Une infirmie\u0300re trahie", "trahie"),
    ],
)
def test_vowel_signs_and_accents_are_parts_of_their_word(situation: str, text: str, rest: str) -> None:
    assert mask_situation(text, situation) == rest


@pytest.mark.parametrize(
    "given",
    [
        '{"situation": "other"}',
        '{"strip_label": "no"}',
        '{"subtract_situation": "1"}',
        '{"subtract_situation": NaN}',
        f'{{"subtract_situation": 1{"0" * 400}}}',
    ],
)
def test_settings_with_values_of_another_kind_are_refused(tmp_path: Path, given: str) -> None:
    (tmp_path / SETTINGS_FILE).write_text(f'{{"format": 3, "preprocessing": {given}}}')
    with pytest.raises(ModelError, match="unreadable settings"):
        Preprocessing.load(tmp_path)
