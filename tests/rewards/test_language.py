"""A threshold that was measured on English texts, and questions in other languages."""

from __future__ import annotations

import warnings
from types import SimpleNamespace

import numpy as np
import pytest
from fake_encoder import FakeEncoder, axis

from overton.english import may_be_english
from overton.estimator.shipped import _entries
from overton.rewards import OvertonReward
from overton.types import Group, Perspective

ENGLISH = "The nurse may look into the diary when she has good reason to fear for her patient."
GERMAN = "Eine Krankenschwester darf das Tagebuch nicht lesen, denn es gehört allein dem Patienten."
CHINESE = (
    "日记是病人写给自己看的私人物品，护士不能没有许可就随便翻看。"
    "护士如果怀疑病人有危险，及时查看日记也许能够挽救病人的生命。"
)


def group(explanation: str) -> Group:
    return Group("p", (Perspective("L", explanation),), ("- " + ENGLISH,))


def shipped() -> FakeEncoder:
    encoder = FakeEncoder({ENGLISH: axis(0), GERMAN: axis(1), CHINESE: axis(2)})
    known = next(iter(_entries().values()))["data_hash"]
    encoder.calibration = SimpleNamespace(data_hash=known)  # type: ignore[attr-defined]
    encoder.probability = np.asarray  # type: ignore[attr-defined]
    return encoder


@pytest.mark.parametrize("text", [GERMAN, CHINESE])
def test_one_warning_of_other_languages(text: str) -> None:
    reward = OvertonReward(shipped(), tag_penalty=0)
    with pytest.warns(UserWarning, match="of 1 of 2 situations are not in English") as caught:
        reward.score([group(ENGLISH), group(text)])
    assert caught[0].filename == __file__
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        reward.score([group(text)])


def test_a_trainer_may_bring_one_situation_a_call_and_the_first_be_english() -> None:
    """A reward server scores one of its own before any other."""
    reward = OvertonReward(shipped(), tag_penalty=0)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for _ in range(5):
            reward.score([group(ENGLISH)])
    with pytest.warns(UserWarning, match="of 1 of 1 situations are not in English"):
        reward.score([group(GERMAN)])


@pytest.mark.filterwarnings("error")
def test_no_warning_in_english_nor_of_another_calibration_nor_of_a_threshold_that_is_given() -> None:
    assert OvertonReward(shipped()).score([]) == []
    scores = [OvertonReward(shipped()).score([group(ENGLISH)])]
    scores.append(OvertonReward(shipped(), threshold=0.5).score([group(GERMAN)]))
    own = shipped()
    own.calibration = SimpleNamespace(data_hash="of my own labels")  # type: ignore[attr-defined]
    scores.append(OvertonReward(own).score([group(GERMAN)]))
    assert [row[0][0].value is not None for row in scores] == [True] * 3


def test_short_texts_tell_no_language() -> None:
    assert may_be_english("") and may_be_english("Datenschutz") and may_be_english(ENGLISH)
    assert not may_be_english(GERMAN) and not may_be_english(CHINESE)


@pytest.mark.parametrize(
    "text",
    [
        "Right to privacy. Duty of care. Patient autonomy. Professional ethics. Preventing self-harm.",
        "School uniforms reduce bullying. Uniforms limit self-expression. Uniforms cost families money.",
        "Kant, Mill, Rawls, Nozick, Žižek, Hume and Bentham disagree; Nussbaum, Sen and Singer reject Mill’s claims.",
        "def read(path): return open(path).read()  # for i in range(10): print(i, data[i]); raise ValueError(path)",
        "Prices rose 3.5% in 2019, 4.1% in 2020, 7.0% in 2021; wages rose 2.1%, 2.2%, 3.0%; GDP fell 2%.",
        "Oil = Rentier economies = weak internal cohesion. Los Angeles and La Paz prosper, says José de la Cruz.",
    ],
)
def test_english_of_labels_names_code_and_numbers_is_english(text: str) -> None:
    assert may_be_english(text)


@pytest.mark.parametrize(
    "text",
    [
        "Was het dagboek in gevaar, dan is het over en die man had me in de weg gestaan. Is dat zo?",
        "Sygeplejersken skal se i bogen, for det er hun sat til at gøre, og i fare er det over alt andet.",
        "Om det finns en fara i huset så ska man se till att hon får hjälp under natten.",
        "Men er det fare for livet, så kan hun gjøre det for å hjelpe, og det er lov.",
        "A enfermeira não deve ler o diário, pois é da paciente e ela tem direito à privacidade.",
        "L'infermiera non deve leggere il diario, che è della paziente; in caso di pericolo può parlare con lei.",
        "La enfermera no debe leer el diario, porque es de la paciente y ella tiene derecho a la intimidad.",
        "On me dit que c'est la loi et que la patiente a droit à sa vie privée.",
        "To jest ważne i do tego legalne, bo on należy do niej i ma ona prawo do prywatności.",
        "Perawat tidak boleh membaca buku harian pasien karena itu milik pribadi yang harus dijaga.",
        "Hemşire günlüğü okumamalı çünkü hastaya ait ve mahremiyet hakkı var.",
        "Медсестра не должна читать дневник, потому что он принадлежит пациентке.",
    ],
)
def test_languages_that_share_function_words_with_english_are_told(text: str) -> None:
    assert not may_be_english(text)
