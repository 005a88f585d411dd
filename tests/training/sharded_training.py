"""A whole training whose weights are shared out by FSDP2, on CPUs: run by torchrun with two processes.

    torchrun --nproc_per_node 2 sharded_training.py train FOLDER [...]

It leaves ``shards-RANK.json``: for each pass of a step whether the gradients lay on the shards after it.

Accelerate takes FSDP on GPUs only, and starts plain data parallelism on CPUs whatever its configuration says. Here it
is told that the CPUs are GPUs; everything after that (sharding, gathering, generation, checkpoints) is its own.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

import torch
from accelerate.state import PartialState
from accelerate.utils import DistributedType
from transformers import Trainer

from overton.processes import count, number
from two_processes import train


def pretend(**fsdp: str) -> None:
    """Let Accelerate share out the weights though there is no GPU.

    Args:
        fsdp: what `accelerate launch` would hand over, without the prefix FSDP_.
    """

    def backend(self: PartialState, *_: Any, **__: Any) -> Any:
        return ("gloo", DistributedType.MULTI_GPU) if count() > 1 else (None, DistributedType.NO)

    def device(self: PartialState) -> None:
        self.device = torch.device("cpu")

    PartialState._prepare_backend = backend  # type: ignore[method-assign]
    PartialState.set_device = device  # type: ignore[method-assign]
    os.environ |= {"ACCELERATE_USE_FSDP": "true", "FSDP_VERSION": "2"} | {f"FSDP_{k}": v for k, v in fsdp.items()}


def watch_gradients() -> list[bool]:
    """For each pass that is to come, whether its gradients are summed and shared out: whole ones lie elsewhere."""
    found: list[bool] = []
    one_pass = Trainer.training_step

    def watched(self: Trainer, model: torch.nn.Module, *args: Any, **kwargs: Any) -> Any:
        loss = one_pass(self, model, *args, **kwargs)
        found.append(all(p.grad is not None for p in model.parameters() if p.requires_grad))
        return loss

    Trainer.training_step = watched
    return found


if __name__ == "__main__":
    torch.set_num_threads(1)
    pretend(AUTO_WRAP_POLICY="TRANSFORMER_BASED_WRAP", STATE_DICT_TYPE="SHARDED_STATE_DICT")
    torch.distributed.init_process_group("gloo")
    shards, folder = watch_gradients(), Path(sys.argv[2])
    code = train(folder, sys.argv[3:])
    (folder / f"shards-{number()}.json").write_text(json.dumps(shards), encoding="utf-8")
    sys.exit(code)
