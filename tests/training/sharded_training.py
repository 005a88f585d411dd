"""A whole training whose weights or states are shared out, on CPUs: run by torchrun with two processes.

    CONFIG=fsdp2.yaml torchrun --nproc_per_node 2 sharded_training.py train FOLDER [...]

CONFIG is a file of examples/accelerate: FSDP2, or DeepSpeed's ZeRO 2 or 3. It leaves ``shards-RANK.json``: for each
pass of a step whether the gradients lay on the shards after it.

Accelerate takes FSDP and DeepSpeed on GPUs only, and starts plain data parallelism on CPUs whatever its configuration
says. Here it is told that the CPUs are GPUs; everything after that (sharding, gathering, generation, checkpoints) is
its own. Numbers stay in float32.
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
from launch_options import EXAMPLES, handed_over
from transformers import Trainer

from overton.processes import count, number
from two_processes import train


def pretend_to_have_gpus() -> None:
    """Let Accelerate share out the weights all the same."""
    begin = PartialState.__init__

    def begun(self: PartialState, cpu: bool = False, **options: Any) -> None:
        begin(self, cpu=False, **options)

    def backend(self: PartialState, *_: Any, **__: Any) -> Any:
        return ("gloo", DistributedType.MULTI_GPU) if count() > 1 else (None, DistributedType.NO)

    def device(self: PartialState) -> None:
        self.device = torch.device("cpu")

    PartialState.__init__ = begun  # type: ignore[method-assign]
    PartialState._prepare_backend = backend  # type: ignore[method-assign]
    PartialState.set_device = device  # type: ignore[method-assign]


def wait_for_every_gather(comm: Any) -> None:
    """DeepSpeed 0.19.5 starts the gathers of several tensors and waits for the last one: enough on a GPU, where NCCL
    takes one after the other. Gloo runs them side by side, and weights would be read before they are there.
    """
    for name in ("all_gather", "all_gather_into_tensor"):
        gather = getattr(comm, name)

        def waited(*args: Any, gather: Any = gather, **options: Any) -> Any:
            handle = gather(*args, **options)
            if handle is not None:
                handle.wait()
            return handle

        setattr(comm, name, waited)


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
    given = handed_over(EXAMPLES / "accelerate" / os.environ["CONFIG"])
    os.environ |= {key: value for key, value in given.items() if "FSDP" in key or "DEEPSPEED" in key}
    os.environ["ACCELERATE_MIXED_PRECISION"] = "no"
    pretend_to_have_gpus()
    if "ACCELERATE_USE_DEEPSPEED" in os.environ:
        os.environ["DS_ACCELERATOR"] = "cpu"
        from deepspeed import comm

        comm.init_distributed(dist_backend="gloo", auto_mpi_discovery=False)
        wait_for_every_gather(comm)
    else:
        torch.distributed.init_process_group("gloo")
    shards, folder = watch_gradients(), Path(sys.argv[2])
    code = train(folder, sys.argv[3:])
    (folder / f"shards-{number()}.json").write_text(json.dumps(shards), encoding="utf-8")
    sys.exit(code)
