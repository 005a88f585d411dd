"""Runs OpenRLHF's command line up to the moment when it would start its GPUs, and keeps the settings it read.

Python imports this by itself from PYTHONPATH. ``OPENRLHF_SETTINGS`` names the file that the settings go to.
"""

import json
import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))
import openrlhf_standins

openrlhf_standins.install()
import ray  # noqa: E402


def stop() -> bool:
    """Takes the place of the first thing that ``train(args)`` asks of ray."""
    args = sys._getframe(1).f_locals["args"]
    Path(os.environ["OPENRLHF_SETTINGS"]).write_text(json.dumps(args, default=vars), encoding="utf-8")
    raise SystemExit(0)


ray.is_initialized = stop
