"""What is left of a reply, on remains that real models leave."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from overton.generation.clean import clean_answer
from overton.prompting import answer_text
from overton.training.tokenizer import train_tokenizer

ANSWER = "In the perspective of Privacy, it is hers.\n\nIn the perspective of Safety, somebody must look."


@pytest.mark.parametrize(
    "reply",
    [
        ANSWER,
        f"  {ANSWER}\n",
        f"<think>\nLet me see.\n</think>\n\n{ANSWER}",
        f"Let me see.\n</think>\n\n{ANSWER}",
        f"<think>a</think><think>b</think>{ANSWER}",
        f"<Thinking>a</Thinking> {ANSWER}",
        f"{ANSWER}<|im_end|>",
        f"{ANSWER}<|im_end|>\n<|im_start|>user\nAnd now?",
        f"{ANSWER}</s>",
        f"{ANSWER}<|eot_id|><|start_header_id|>assistant<|end_header_id|>\n\nMore.",
        f"{ANSWER}<end_of_turn>\n<start_of_turn>user",
        f"<|im_start|>assistant\n{ANSWER}",
        f"<|start_header_id|>assistant<|end_header_id|>\n\n{ANSWER}<|eot_id|>",
        f"<start_of_turn>model\n{ANSWER}",
        f"assistant\n\n{ANSWER}",
        f"assistant\n<think>hm</think>\n{ANSWER}",
        f"Assistant: {ANSWER}",
        f"[/INST] {ANSWER} [INST] Next?",
        f"{ANSWER}\nuser\nWhat else?",
        f"{ANSWER}\n\nUser:\nWhat else?\n",
        f"{ANSWER}\n<think>\nShould I add",
        f"<|channel|>analysis<|message|>Hm.<|end|><|start|>assistant<|channel|>final<|message|>{ANSWER}<|return|>",
        f"{ANSWER}</s><s>[INST] Next? [/INST] No.</s>",
        f"<s>{ANSWER}</s>",
    ],
)
def test_remains_go_and_the_answer_stays(reply: str) -> None:
    assert clean_answer(reply) == ANSWER


@pytest.mark.parametrize(
    "answer",
    [
        "<core perspectives>\nIn the perspective of A, b.\n</core perspectives>\n\n<summary>\nAll.\n</summary>",
        "Assistant managers should be told.",
        "Model behaviour matters: children copy it.",
        "The user should decide.\nUsers differ.",
        "1 < 2 and 3 > 2 | so",
        "Use <s>this</s> or that. Next view.",
        "The role of the\nAssistant\nis to help.",
        "Think of the children, <b>all</b> of them.",
        '{"responses": [{"text": "a", "probability": 0.1}]}',
    ],
)
def test_answers_are_left_as_they_are(answer: str) -> None:
    assert clean_answer(answer) == answer


@pytest.mark.parametrize(
    "reply",
    [
        *("", " \n", "<think>\nI was cut", "<think>done</think>", "<|im_end|>", "assistant\n"),
        "<|channel|>analysis<|message|>We need to think",
        "<|channel|>analysis<|message|>Hm.<|end|><|start|>assistant<|channel|>commentary<|message|>So",
    ],
)
def test_nothing_is_left_of_nothing(reply: str) -> None:
    assert clean_answer(reply) == ""


def test_special_tokens_are_read_where_they_tell_the_answer_from_thoughts() -> None:
    marks = ["<|channel|>", "<|message|>", "<|end|>", "<|start|>", "<|return|>"]
    said = "<|channel|>analysis<|message|>Hm.<|end|><|start|>assistant<|channel|>final<|message|>A view.<|return|>"
    for special, wanted in ((marks, said), (marks[1:], "analysisHm.assistantfinalA view.")):
        tokenizer = train_tokenizer(["A view."], 300)
        tokenizer.add_special_tokens({"additional_special_tokens": special})
        text = said if special == marks else said.replace("<|channel|>", "")
        assert answer_text(tokenizer(text, add_special_tokens=False)["input_ids"], tokenizer) == wanted
        assert clean_answer(wanted) == "A view."


PIECES = st.sampled_from(
    [
        *("<think>", "</think>", "<|im_start|>", "<|im_end|>", "assistant", "user", "model", ":", "\n", " ", "word"),
        *("<s>", "</s>", "<|channel|>", "analysis", "final", "<|message|>"),
    ]
)


@given(st.lists(PIECES, max_size=14).map("".join) | st.text(max_size=60))
def test_cleaning_twice_is_cleaning_once_and_adds_nothing(text: str) -> None:
    once = clean_answer(text)
    assert clean_answer(once) == once
    assert once in text


@pytest.mark.timeout(60)  # milliseconds; what grows with the square of the length takes minutes
@pytest.mark.parametrize("piece", ["</think>", "<think>", "assistant\n", "<|channel|>", " ", "\n \n", "<|", "[INST]"])
def test_long_repetitions_cost_little(piece: str) -> None:
    text = piece * (100_000 // len(piece))
    assert clean_answer(text) in text


@pytest.mark.timeout(20)  # what copies the rest for each head takes minutes
def test_a_page_of_heads_costs_little() -> None:
    assert clean_answer("assistant: " * 50_000 + "A view.") == "A view."
