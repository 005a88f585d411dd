"""Checkpoints that count only when they are whole: the last file lists the others with sizes and hashes.

A process can be killed, or the disk fill up, between any two files of a checkpoint, and a file that was there may be
cut or changed afterwards. Reading and hashing takes about a second of processor time a gigabyte, which is of the
order of writing it.
"""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

from overton.jsonio import sha256, write_json
from overton.processes import from_first
from overton.progress import say

LIST = "files.json"
KEPT = 2  # the newest may turn out damaged


def seal(checkpoint: Path) -> None:
    """List the files of a checkpoint, after all of them were written.

    Args:
        checkpoint: a folder; those inside count too, as FSDP and DeepSpeed make them.
    """
    files = {
        str(path.relative_to(checkpoint)): {"bytes": path.stat().st_size, "sha256": sha256(path)}
        for path in sorted(checkpoint.rglob("*"))
        if path.is_file() and path.name != LIST
    }
    write_json(checkpoint / LIST, files)


def damage(checkpoint: Path, hashes: bool = True) -> str | None:
    """What is wrong with a checkpoint, or ``None`` when it is as it was sealed.

    Args:
        checkpoint: the folder.
        hashes: read the files, instead of looking at their sizes alone.
    """
    try:
        files = json.loads((checkpoint / LIST).read_text(encoding="utf-8"))
        if not files:
            return "its list of files is empty"
        for name, listed in files.items():
            found = (checkpoint / name).stat().st_size
            if found != listed["bytes"]:
                return f"{name} has {found:,} of {listed['bytes']:,} bytes"
        for name, listed in files.items():
            if hashes and sha256(checkpoint / name) != listed["sha256"]:
                return f"the content of {name} has changed since it was written"
    except FileNotFoundError as error:
        name = Path(error.filename).name
        return "it was not finished" if name == LIST else f"{name} is missing"
    except (OSError, ValueError, AttributeError, KeyError, TypeError) as error:
        return f"it cannot be read ({error})"
    return None


def numbered(folder: Path) -> list[tuple[int, Path]]:
    """Step and path of each ``checkpoint-STEP`` in a trainer's output folder, newest first."""
    found = ((re.fullmatch(r"checkpoint-(\d+)", path.name), path) for path in folder.glob("checkpoint-*"))
    return sorted(((int(match[1]), path) for match, path in found if match and path.is_dir()), reverse=True)


def last_checkpoint(folder: Path, steps: int) -> str | None:
    """The newest whole checkpoint to go on from, or ``None``; the console says what is passed over, and why.

    With several processes the first one looks and tells the others.

    Args:
        folder: a trainer's output folder.
        steps: steps of the whole training. A checkpoint with all of them done is passed over, since the
            trainer of transformers would add one more step to it; the steps since the one before are done again.
    """
    return from_first(lambda: _newest_whole(folder, steps))


def _newest_whole(folder: Path, steps: int) -> str | None:
    for step, path in numbered(folder):
        if step >= steps:
            continue
        wrong = damage(path)
        if wrong is None:
            return str(path)
        say(f"{path}: passed over, {wrong}")
    return None


def rotate(folder: Path, step: int) -> None:
    """Keep the newest two whole checkpoints up to ``step``, the one just sealed.

    Others are removed: older ones, those that are not whole, and those of later steps, which a training that went on
    from an earlier one has left behind.
    """
    kept = 0
    for number, path in numbered(folder):
        if number <= step and kept < KEPT and damage(path, hashes=False) is None:
            kept += 1
        else:
            # Its list first: half of it must not look whole.
            (path / LIST).unlink(missing_ok=True)
            shutil.rmtree(path, ignore_errors=True)
