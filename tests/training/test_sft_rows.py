"""Rows for fine-tuning are those that TRL makes, only faster."""

from __future__ import annotations

from pathlib import Path

from trl import SFTConfig, SFTTrainer

from overton.testing import tiny_policy
from overton.training.policy import load_policy
from overton.training.sft import conversation_sizes, conversations, row_sizes, shortened, tokenized

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
