"""A threshold that was measured on English texts, and questions in other languages."""

from __future__ import annotations

import warnings
from types import SimpleNamespace

import numpy as np
import pytest
from fake_encoder import FakeEncoder, axis

from overton.estimator.shipped import _entries
from overton.rewards import OvertonReward
from overton.segment.masking import may_be_english
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
def test_the_first_call_warns_once_of_other_languages(text: str) -> None:
    reward = OvertonReward(shipped(), tag_penalty=0)
    with pytest.warns(UserWarning, match="of 1 of the first 2 situations are not in English") as caught:
        reward.score([group(ENGLISH), group(text)])
    assert caught[0].filename == __file__
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        reward.score([group(text)])


@pytest.mark.filterwarnings("error")
def test_no_warning_in_english_nor_of_another_calibration_nor_of_a_threshold_that_is_given() -> None:
    OvertonReward(shipped()).score([group(ENGLISH)])
    OvertonReward(shipped()).score([])
    OvertonReward(shipped(), threshold=0.5).score([group(GERMAN)])
    OvertonReward(shipped(), "op-grpo", threshold=0.5)
    own = shipped()
    own.calibration = SimpleNamespace(data_hash="of my own labels")  # type: ignore[attr-defined]
    OvertonReward(own).score([group(GERMAN)])


def test_short_texts_tell_no_language() -> None:
    assert may_be_english("") and may_be_english("Datenschutz") and may_be_english(ENGLISH)
    assert not may_be_english(GERMAN) and not may_be_english(CHINESE)
