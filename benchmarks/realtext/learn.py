"""Learning the language from documents, before a policy learns to answer."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from overton.precision import has_fast_bf16
from overton.training.optimizers import MuonWithAdamW
from realtext.sizes import Size

EVALUATIONS = 4  # of the loss on other questions while the documents are learnt
BLOCK = 256  # tokens of a piece of the documents


def learn_texts(model: Any, tokenizer: Any, texts: Sequence[str], size: Size, folder: Path) -> dict[str, list[float]]:
    """Next-token training on pieces of the documents, end to end; the weights with the least loss elsewhere are kept.

    Args:
        model: on its device.
        tokenizer: its tokenizer.
        texts: documents, each with its question or topic as the first line.
        size: pieces a step, steps, and what is not learnt.
        folder: where ``model`` goes.

    Returns:
        Losses that were logged, of ``train`` and ``other``.
    """
    from datasets import Dataset
    from transformers import Trainer, TrainingArguments

    batch, steps = size.learn
    topics = sorted({text.split("\n", 1)[0] for text in texts})
    kept_out = set(topics[:: size.watched])
    order = np.random.default_rng(0).permutation(len(texts))
    parts: dict[bool, list[int]] = {True: [], False: []}
    for number, ids in zip(order, tokenizer([texts[n] for n in order])["input_ids"], strict=True):
        parts[texts[number].split("\n", 1)[0] in kept_out] += [*ids, tokenizer.eos_token_id]
    sets = []
    for ids in (parts[False], parts[True]):
        pieces = [ids[start : start + BLOCK] for start in range(0, len(ids) - BLOCK + 1, BLOCK)]
        sets.append(Dataset.from_dict({"input_ids": pieces, "labels": pieces}))
    cpu = not torch.cuda.is_available()
    every = max(1, steps // EVALUATIONS)
    trainer = Trainer(
        model=model,
        args=TrainingArguments(
            str(folder / "checkpoints"),
            max_steps=steps,
            per_device_train_batch_size=batch,
            per_device_eval_batch_size=batch,
            lr_scheduler_type="cosine",
            warmup_steps=max(1, steps // 20),
            bf16=has_fast_bf16("cpu" if cpu else "cuda"),
            use_cpu=cpu,
            logging_steps=every,
            eval_strategy="steps",
            eval_steps=every,
            save_strategy="steps",
            save_steps=every,
            save_only_model=True,
            save_total_limit=1,
            load_best_model_at_end=True,
            metric_for_best_model="eval_loss",
            greater_is_better=False,
            prediction_loss_only=True,
            report_to="none",
            disable_tqdm=True,
            dataloader_pin_memory=not cpu,
        ),
        train_dataset=sets[0],
        eval_dataset=sets[1],
        optimizers=(MuonWithAdamW(model, 3e-3, 0.02), None),
    )
    trainer.train()
    model.save_pretrained(folder / "model")
    tokenizer.save_pretrained(folder / "model")
    rows = trainer.state.log_history
    return {
        "train": [round(row["loss"], 4) for row in rows if "loss" in row],
        "other": [round(row["eval_loss"], 4) for row in rows if "eval_loss" in row],
    }
