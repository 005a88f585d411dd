"""Rows for fine-tuning are those that TRL makes, only faster."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from trl import SFTConfig, SFTTrainer

from overton.errors import DataError
from overton.jsonio import write_jsonl
from overton.prompting import read_sft_rows
from overton.recipe import parse_recipe
from overton.rundir import RunDir
from overton.testing import tiny_policy
from overton.training.policy import load_policy
from overton.training.sft import conversation_sizes, conversations, row_sizes, shortened, tokenized, train_sft
from overton.training.stage import grpo_situations

ROWS = [
    {"prompt": "Is it right to lie?", "completion": "<core perspectives>\nIn the perspective of Trust, no.\n"},
    {"prompt": "é", "completion": "short<|end|>"},
    {"prompt": "May I? " * 12, "completion": "long " * 40},
    {"prompt": "So long that no answer is left. " * 20, "completion": "gone"},
]


def test_plain_rows_are_prepared_as_by_trl(tmp_path: Path) -> None:
    model, tokenizer = load_policy(tiny_policy(tmp_path / "policy"))
    arguments = SFTConfig(output_dir=str(tmp_path / "out"), max_length=90, report_to="none", use_cpu=True, bf16=False)
    trainer = SFTTrainer(
        model=model,
        args=arguments,
        train_dataset=conversations(ROWS, "Q: {situation}", tokenizer),
        processing_class=tokenizer,
    )
    whole = tokenized(ROWS, "Q: {situation}", tokenizer)
    assert len(whole) == 4 and row_sizes(whole) == [len(row) for row in whole["input_ids"]]
    found = shortened(whole, 90)
    assert len(found) == 3
    for name in ("input_ids", "labels"):
        assert [list(row) for row in found[name]] == [list(row) for row in trainer.train_dataset[name]]
    assert found["labels"][0][0] == -100 and found["labels"][0][-1] == tokenizer.eos_token_id


def test_tokens_of_conversations_are_those_that_trl_makes(tmp_path: Path) -> None:
    model, tokenizer = load_policy(tiny_policy(tmp_path / "policy", chat=True))
    dataset = conversations(ROWS, "Q: {situation}", tokenizer)
    arguments = SFTConfig(output_dir=str(tmp_path / "out"), max_length=None, report_to="none", use_cpu=True, bf16=False)
    trainer = SFTTrainer(model=model, args=arguments, train_dataset=dataset, processing_class=tokenizer)
    assert conversation_sizes(dataset, tokenizer) == [len(row) for row in trainer.train_dataset["input_ids"]]


@pytest.mark.parametrize(
    ("row", "name"),
    [
        ({"prompt": "May I?"}, "completion"),
        ({"prompt": "May I?", "completion": None}, "completion"),
        ({"prompt": "May I?", "completion": [{"role": "assistant", "content": "No."}]}, "completion"),
        ({"completion": "No."}, "prompt"),
        ({"prompt": " \n", "completion": "No."}, "prompt"),
        ({"prompt": 7, "completion": "No."}, "prompt"),
    ],
)
def test_a_row_without_its_two_texts_is_named(tmp_path: Path, row: dict[str, Any], name: str) -> None:
    file = tmp_path / "sft.jsonl"
    write_jsonl(file, [*ROWS, row])
    with pytest.raises(DataError, match=rf"sft\.jsonl, row 5: `{name}`"):
        read_sft_rows(file)
    silent = {"prompt": "May I?", "completion": ""}
    write_jsonl(file, [*ROWS, silent])
    assert read_sft_rows(file) == [*ROWS, silent]  # as they are, with the spaces at their ends


@pytest.mark.parametrize("chat", [False, True], ids=["plain", "chat"])
def test_no_training_learns_from_a_row_without_an_answer(tmp_path: Path, chat: bool) -> None:
    write_jsonl(tmp_path / "sft.jsonl", [*ROWS[:2], {"prompt": "May I?", "completion": None}])
    policy = tiny_policy(tmp_path / "policy", chat=chat)
    recipe = parse_recipe({"name": "x", "threads": 1, "policy": {"model": str(policy)}, "training": {"bf16": False}})
    with pytest.raises(DataError, match=r"sft\.jsonl, row 3: `completion`"):
        train_sft(recipe, tmp_path / "sft.jsonl", tmp_path / "out", max_steps=1)


def test_an_answer_without_an_id_is_named_where_ids_are_compared(tmp_path: Path) -> None:
    view = {"label": "Care", "explanation": "it hurts"}
    write_jsonl(
        tmp_path / "data" / "train.jsonl", [{"id": n, "text": f"May {n}?", "perspectives": [view]} for n in (1, 2)]
    )
    answers = [{"id": 1, "prompt": "May 1?", "completion": "No."}, {"prompt": "May 2?", "completion": "No."}]
    recipe, run = parse_recipe({"name": "x", "data": {"grpo_only": 1}}), RunDir(tmp_path)
    write_jsonl(tmp_path / "data" / "sft.jsonl", answers)
    with pytest.raises(DataError, match=r"sft\.jsonl, row 2: `id`"):
        grpo_situations(recipe, run)
    write_jsonl(tmp_path / "data" / "sft.jsonl", answers[:1])
    # A number is an id too: situation 1 is answered, 2 comes first.
    assert [s.id for s in grpo_situations(recipe, run)] == ["2", "1"]


def test_a_train_file_put_in_place_of_the_stages_is_read_strictly(tmp_path: Path) -> None:
    write_jsonl(tmp_path / "data" / "train.jsonl", [{"id": 1, "question": "May I?", "perspectives": []}])
    with pytest.raises(DataError, match=r"train\.jsonl, row 1: column 'text' is missing; found: id, question"):
        grpo_situations(parse_recipe({"name": "x"}), RunDir(tmp_path))
