"""A tiny policy's data, settings and training, as the tests of TRL's call shape use them."""

from __future__ import annotations

import json
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from datasets import Dataset
from transformers import set_seed
from trl import GRPOConfig

from overton.testing import tiny_encoder
from overton.training.policy import load_policy


class HashEncoder:
    """Vectors that only depend on the text, so that nonsense scores now well and now badly."""

    threshold = 0.3

    def encode(self, texts: list[str], contexts: Any = None, *, preprocess: bool = True) -> np.ndarray:
        rows = [np.random.default_rng(zlib.crc32(t.rstrip(".").encode())).normal(size=3) for t in texts]
        return np.stack([row / np.linalg.norm(row) for row in rows]).astype(np.float32)


def dataset(without: tuple[str, ...] = ()) -> Dataset:
    """Six situations; those named have no references."""
    rows = []
    for name in ("Ann", "Bo", "Cy", "Di", "Ed", "Flo"):
        references = [
            {"label": "Privacy", "explanation": f"{name} reads what is not theirs"},
            {"label": "Care", "explanation": f"{name} means well"},
        ]
        rows.append(
            {
                "prompt": f"May {name} read it?\n",
                "situation": f"May {name} read it?",
                "situation_id": name,
                "references": [] if name in without else references,
            }
        )
    return Dataset.from_list(rows)


def arguments(folder: Path, **more: Any) -> GRPOConfig:
    settings: dict[str, Any] = {
        "max_steps": 2,
        "per_device_train_batch_size": 8,
        "num_generations": 4,
        "max_completion_length": 12,
        "learning_rate": 1e-2,
        "temperature": 0.8,
        "logging_steps": 1,
        "report_to": "none",
        "save_strategy": "no",
        "use_cpu": True,
        "bf16": False,
        "gradient_checkpointing": False,
        "disable_tqdm": True,
        "seed": 5,
    }
    return GRPOConfig(output_dir=str(folder), **(settings | more))


def train(kind: Callable[..., Any], policy: Path, folder: Path, data: Dataset, args: GRPOConfig, **more: Any) -> Any:
    set_seed(5)
    model, tokenizer = load_policy(policy)
    trainer = kind(model=model, args=args, train_dataset=data, processing_class=tokenizer, **more)
    trainer.train()
    return trainer


def reward_file(folder: Path, **overrides: Any) -> Path:
    """Settings for ``OVERTON_REWARD``: a tiny encoder beside them, and a threshold that nonsense reaches at times."""
    tiny_encoder(folder / "encoder")
    path = folder / "reward.json"
    path.write_text(json.dumps({"estimator": "encoder", "overrides": {"threshold": 0.5} | overrides}), encoding="utf-8")
    return path
