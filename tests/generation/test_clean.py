"""What is left of a reply, on remains that real models leave."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from overton.generation.clean import clean_answer

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
        "Think of the children, <b>all</b> of them.",
        '{"responses": [{"text": "a", "probability": 0.1}]}',
    ],
)
def test_answers_are_left_as_they_are(answer: str) -> None:
    assert clean_answer(answer) == answer


@pytest.mark.parametrize("reply", ["", " \n", "<think>\nI was cut", "<think>done</think>", "<|im_end|>", "assistant\n"])
def test_nothing_is_left_of_nothing(reply: str) -> None:
    assert clean_answer(reply) == ""


PIECES = st.sampled_from(
    [
        *("<think>", "</think>", "<|im_start|>", "<|im_end|>", "assistant", "user", "model", ":", "\n", " ", "word"),
        "</s>",
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
