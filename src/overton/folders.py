"""Folders that appear whole, are emptied, are listed without what systems and tools leave in them, and are named."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from overton.errors import RunError
from overton.full_disk import disk_full


def shown_model(name: str) -> str:
    """A model's name for files that may be published: of a local folder ``./`` and its last part, which no hub has."""
    folder = Path(name).expanduser()
    return f"./{folder.resolve().name}" if folder.is_dir() else name


@contextmanager
def atomic_folder(path: Path) -> Iterator[Path]:
    """A temporary sibling to fill, which takes the place of ``path`` when the block ends without an error.

    A reader sees the old folder, none for an instant, or the whole new one. Its files have the rights of any new file,
    whatever a library gave them: safetensors keeps the group and others from reading weights.

    Raises:
        DiskFullError: the disk is full.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        temporary.mkdir(parents=True)
        yield temporary
        _share(temporary)
        _remove(path)  # of a link the link alone; no folder can take its place
        temporary.rename(path)
    except Exception as error:  # what a library raises when it cannot write is of many classes
        if full := disk_full(error, path):
            raise full from error
        raise
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _share(folder: Path) -> None:
    rights = folder.stat().st_mode & 0o666  # a new folder's are those that the umask leaves
    for path in folder.rglob("*"):
        if path.is_file() and path.stat().st_mode & 0o666 != rights:
            with suppress(PermissionError):  # some disks know no rights
                path.chmod(rights)


def empty_folder(folder: Path, mark: str = "") -> None:
    """Remove all that a folder holds, also where a link leads to it; the folder and the link stay.

    Args:
        folder: it need not be there.
        mark: name of the file that shows whose files they are. Where a link leads to files without it, nothing is
            removed: a run from elsewhere may bring along a link to any folder.

    Raises:
        RunError: nothing shows that the files behind a link are this run's, or a file cannot be removed; it would be
            taken for a new one.
    """
    if mark and folder.is_symlink() and not (folder / mark).is_file() and next(_visible(folder), None):
        raise RunError(
            f"{folder}: is a link to {folder.resolve()}, whose files were not made here, as there is no {mark}. Remove "
            "the link, or empty that folder yourself, and run the same command again."
        )
    for path in list(folder.iterdir()) if folder.is_dir() else []:
        _remove(path)
    left = (path for path in _visible(folder) if path.is_symlink() or not path.is_dir())
    if first := next(left, None):
        raise RunError(
            f"{first}: cannot be removed, and was made from something else. Give yourself the right to write to its "
            "folder, or remove it, and run the same command again."
        )


def _remove(path: Path) -> None:
    """Remove a file, a folder with what is in it, or a link alone, as far as that is allowed."""
    if path.is_symlink() or not path.is_dir():
        with suppress(OSError):
            path.unlink()
    else:
        shutil.rmtree(path, ignore_errors=True)


def estimator_in(folder: Path) -> Path | None:
    """The estimator's model in a run, or in its ``estimator/``; ``None`` in a folder that is none of these."""
    inside = (folder / "estimator" / "model", folder / "model")
    return next((path for path in inside if path.is_dir()), None)


def visible_files(folder: Path) -> list[Path]:
    """All files below a folder, sorted, without hidden ones: systems and tools leave such anywhere (.DS_Store)."""
    return sorted(p for p in _visible(folder) if p.is_file())


def _visible(folder: Path) -> Iterator[Path]:
    return (p for p in folder.rglob("*") if not any(part.startswith(".") for part in p.relative_to(folder).parts))
