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
import yaml
from accelerate.commands.launch import _validate_launch_command, launch_command_parser
from accelerate.state import PartialState
from accelerate.utils import DistributedType
from accelerate.utils.launch import prepare_deepspeed_cmd_env, prepare_multi_gpu_env
from transformers import Trainer

from overton.processes import count, number
from two_processes import train

EXAMPLES = Path(__file__).resolve().parents[2] / "examples" / "accelerate"


def handed_over(config: Path) -> dict[str, str]:
    """What `accelerate launch --config_file CONFIG` puts into the environment of FSDP or DeepSpeed."""
    given = ["--config_file", str(config), "-m", "overton", "run", "RECIPE"]
    args = _validate_launch_command(launch_command_parser().parse_args(given))[0]
    if args.use_deepspeed:
        settings = yaml.safe_load(config.read_text(encoding="utf-8"))
        args.deepspeed_fields_from_accelerate_config = ",".join(settings["deepspeed_config"])  # as the launcher does
        found = prepare_deepspeed_cmd_env(args)[1]
    else:
        found = prepare_multi_gpu_env(args)
    return {key: value for key, value in found.items() if "FSDP" in key or "DEEPSPEED" in key}


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
    os.environ |= handed_over(EXAMPLES / os.environ["CONFIG"]) | {"ACCELERATE_MIXED_PRECISION": "no"}
    pretend_to_have_gpus()
    if "ACCELERATE_USE_DEEPSPEED" in os.environ:
        os.environ["DS_ACCELERATOR"] = "cpu"
        from deepspeed import comm

        comm.init_distributed(dist_backend="gloo", auto_mpi_discovery=False)
    else:
        torch.distributed.init_process_group("gloo")
    shards, folder = watch_gradients(), Path(sys.argv[2])
    code = train(folder, sys.argv[3:])
    (folder / f"shards-{number()}.json").write_text(json.dumps(shards), encoding="utf-8")
    sys.exit(code)
