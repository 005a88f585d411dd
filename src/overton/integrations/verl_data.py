"""Situations as the parquet rows that verl trains on: ``train.parquet`` and ``val.parquet``.

Row form: verl 0.9.1, ``verl/utils/dataset/rl_dataset.py`` and its documentation, "Prepare Data for Post-Training".
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from overton.errors import DataError, MissingDependencyError
from overton.jsonio import atomic_open
from overton.types import Situation

DATA_SOURCE = "overton"


def verl_row(situation: Situation, template: str = "{situation}") -> dict[str, Any]:
    """One row.

    Args:
        situation: with its references.
        template: ``policy.prompt_template`` of a recipe; by default the model reads the bare question.

    Returns:
        ``prompt``, one user turn, which verl puts into the chat template; ``data_source``, a name for logs and
        validation metrics; ``ability``; and what :func:`overton.integrations.verl.compute_score` reads, since verl
        hands it neither the prompt nor another column: ``reward_model`` and ``extra_info``.
    """
    return {
        "prompt": [{"role": "user", "content": template.replace("{situation}", situation.text)}],
        "data_source": DATA_SOURCE,
        "ability": "pluralism",
        "reward_model": {"style": "rule", "ground_truth": situation.id},
        "extra_info": {
            "situation": situation.text,
            "references": [{"label": p.label, "explanation": p.explanation} for p in situation.perspectives],
        },
    }


def write_verl(situations: Iterable[Situation], path: Path, template: str = "{situation}") -> int:
    """Write rows as one parquet file, whole or not at all; returns their number.

    Raises:
        DataError: there is no situation.
        MissingDependencyError: the package datasets is not installed.
        RunError: the file cannot be written.
    """
    try:
        from datasets import Dataset
    except ImportError:
        raise MissingDependencyError("parquet files for verl need the package datasets: pip install datasets") from None
    rows = [verl_row(situation, template) for situation in situations]
    if not rows:
        raise DataError(f"{path}: there is no situation to write")
    data = Dataset.from_list(rows)
    with atomic_open(path, binary=True) as file:
        data.to_parquet(file)
    return len(rows)


__all__ = ["DATA_SOURCE", "verl_row", "write_verl"]
