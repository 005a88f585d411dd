"""Which reward this is, in one word: two that give the same scores have the same one."""

from __future__ import annotations

import dataclasses
import hashlib
from typing import Any

from overton.rewards.reward import OvertonReward
from overton.rundir import fingerprint


def identity(reward: OvertonReward) -> str:
    """Hash of the model's weights, the threshold, all fields of the preset and the situations of the background.

    Where it runs, and with what rounding, does not count.

    Raises:
        ModelError: there is no threshold.
    """
    estimator, preset, behind = reward.estimator, reward.preset, reward.background
    return fingerprint(
        {
            "model": _weights(getattr(estimator, "model", None)),
            "texts": repr(getattr(estimator, "preprocessing", None)),
            "threshold": estimator.threshold if preset.threshold is None else preset.threshold,
            "preset": [type(preset).__name__, dataclasses.asdict(preset)],
            "background": list(behind.situations) if behind else [],
        }
    )


def _weights(model: Any) -> str:
    if not hasattr(model, "state_dict"):
        return ""
    import torch

    found = hashlib.sha256(f"{getattr(model, 'max_seq_length', '')}".encode())
    for name, tensor in sorted(model.state_dict().items()):
        found.update(f"{name} {tuple(tensor.shape)}".encode())
        found.update(tensor.detach().cpu().flatten().contiguous().view(torch.uint8).numpy())
    return found.hexdigest()
