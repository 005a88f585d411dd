"""What `accelerate launch` makes of a file of examples/accelerate."""

from __future__ import annotations

import argparse
from pathlib import Path

import yaml
from accelerate.commands.launch import _validate_launch_command, launch_command_parser
from accelerate.utils.launch import prepare_deepspeed_cmd_env, prepare_multi_gpu_env

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"


def launched(config: Path) -> argparse.Namespace:
    """What `accelerate launch --config_file CONFIG -m overton run RECIPE` makes of its options."""
    given = ["--config_file", str(config), "-m", "overton", "run", "RECIPE"]
    return _validate_launch_command(launch_command_parser().parse_args(given))[0]


def handed_over(config: Path) -> dict[str, str]:
    """What it puts into the environment of each process."""
    args = launched(config)
    if not args.use_deepspeed:
        return prepare_multi_gpu_env(args)
    settings = yaml.safe_load(config.read_text(encoding="utf-8"))
    args.deepspeed_fields_from_accelerate_config = ",".join(settings["deepspeed_config"])  # as the launcher does
    return prepare_deepspeed_cmd_env(args)[1]
