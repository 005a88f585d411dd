"""The tokenizer of a policy from nothing."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import AutoTokenizer

from overton.segment import CORE_CLOSE, CORE_OPEN, OPENER, SUMMARY_CLOSE, SUMMARY_OPEN, format_answer
from overton.testing import tiny_policy
from overton.training.tokenizer import frequent_phrases, token_uses, train_tokenizer
from overton.types import Perspective

ANSWER = format_answer(
    [Perspective("Right to privacy", "reading the diary of a child breaks her trust"), Perspective("Care", "12 é")],
    "Privacy and care pull apart.",
)


@pytest.fixture(scope="module")
def tokenizers(tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, Any]:
    """One that knows phrases, and the same read back from beside a policy."""
    folder = tiny_policy(tmp_path_factory.mktemp("policy"))
    before = train_tokenizer([ANSWER] * 30, 330, 20)
    before.save_pretrained(folder)
    return before, AutoTokenizer.from_pretrained(folder)


def test_tags_and_opener_are_single_tokens_that_decoding_keeps() -> None:
    tokenizer = train_tokenizer([ANSWER], 320)
    ids = tokenizer(ANSWER)["input_ids"]
    for mark in (CORE_OPEN, CORE_CLOSE, SUMMARY_OPEN, SUMMARY_CLOSE, OPENER):
        (token,) = tokenizer(mark)["input_ids"]
        assert ids.count(token) == ANSWER.count(mark)
    assert tokenizer.decode(ids, skip_special_tokens=True) == ANSWER
    assert tokenizer.decode([*ids, tokenizer.eos_token_id, tokenizer.pad_token_id], skip_special_tokens=True) == ANSWER
    assert len({tokenizer.eos_token_id, tokenizer.pad_token_id, tokenizer.unk_token_id}) == 2


def test_frequent_phrases_become_tokens_and_leave_the_text_as_it_is() -> None:
    plain, phrases = train_tokenizer([ANSWER] * 30, 330), train_tokenizer([ANSWER] * 30, 330, 20)
    assert len(phrases(ANSWER)["input_ids"]) < len(plain(ANSWER)["input_ids"])
    assert phrases.decode(phrases(ANSWER)["input_ids"]) == ANSWER
    rare = train_tokenizer([ANSWER] * 3, 330, 20)
    assert len(rare) == len(train_tokenizer([ANSWER] * 3, 330))


def test_the_saved_tokenizer_is_read_back_as_it_was(tokenizers: tuple[Any, Any]) -> None:
    before, after = tokenizers
    assert after.get_vocab() == before.get_vocab()
    assert len(after) == len(before)
    assert (after.eos_token_id, after.pad_token_id) == (before.eos_token_id, before.pad_token_id)


@given(text=st.one_of(st.text(max_size=40), st.text("aé. \n'12\u0301\u00a0ſtTЖ。", max_size=40)))
@settings(max_examples=200, deadline=None)
def test_any_text_has_the_same_tokens_after_saving(tokenizers: tuple[Any, Any], text: str) -> None:
    before, after = tokenizers
    assert after(text)["input_ids"] == before(text)["input_ids"]


# ------------------------------------------------------------------ phrases


def test_only_the_longest_phrase_is_kept_where_the_shorter_are_steps_to_it() -> None:
    assert frequent_phrases(["who reads a diary"] * 30, 10) == ["who reads a diary"]
    mixed = frequent_phrases(["who reads a diary"] * 30 + ["nobody reads a book"] * 30, 10)
    assert sorted(mixed) == ["nobody reads a book", "who reads a diary"]  # " reads a" is never used by itself
    alone = frequent_phrases(["who reads a diary"] * 30 + [f"{n} reads a {n}" for n in range(30)], 10)
    assert sorted(alone) == [" reads a", "who reads a diary"]


def test_phrases_are_as_frequent_as_asked() -> None:
    texts = ["who reads a diary"] * 19
    assert frequent_phrases(texts, 10) == []
    assert frequent_phrases(texts, 10, least=19) == ["who reads a diary"]


def test_uses_are_counted_as_the_tokenizer_splits() -> None:
    texts = ["who reads a diary reads", "nobody", ""]
    assert token_uses(texts, [" reads", " reads a", "diary", "who else"]) == {" reads a": 1, "diary": 1, " reads": 1}


def test_every_phrase_is_used_by_the_tokenizer() -> None:
    texts = ["who reads a diary"] * 30 + ["nobody reads a book"] * 30
    tokenizer = train_tokenizer(texts, 330, 10)
    used = {token for text in texts for token in tokenizer.tokenize(text)}
    assert used == {"who reads a diary", "nobody reads a book"}
    assert used == set(tokenizer.get_added_vocab()) - set(train_tokenizer(texts, 330).get_added_vocab())
