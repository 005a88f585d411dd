"""Run directories: one folder and one manifest a stage.

A stage hands over files, never objects. Its ``manifest.json`` holds what it was made from (recipe sections,
input hashes, versions, seed) and what it made, so that a finished stage with unchanged inputs is skipped and
a killed one is found again.
"""

from __future__ import annotations

import errno
import hashlib
import json
import shutil
import time
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

from overton.errors import RunError
from overton.folders import empty_folder, visible_files
from overton.jsonio import sha256, write_json

_VERSIONED = (
    "overton",
    "torch",
    "transformers",
    "trl",
    "sentence-transformers",
    "datasets",
    "numpy",
    "tokenizers",
)


def versions() -> dict[str, str]:
    """Installed versions of the packages that decide a result."""
    found = {}
    for name in _VERSIONED:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def fingerprint(value: Any) -> str:
    """Hash of any JSON value, independent of key order."""
    return hashlib.sha256(json.dumps(value, sort_keys=True, ensure_ascii=False).encode()).hexdigest()


def stage_files(folder: Path) -> dict[str, str]:
    """Hash of each file of a stage's folder by relative path, without manifest and checkpoints."""
    return {
        str(p.relative_to(folder)): sha256(p)
        for p in visible_files(folder)
        if p.name != "manifest.json" and "checkpoints" not in p.relative_to(folder).parts
    }


def is_unfinished(folder: Path) -> bool:
    """Whether a stage began to fill this folder and did not come to its end: killed, failed or still at work."""
    record = RunDir(folder.parent).manifest(folder.name)
    return record is not None and record.get("status") == "running"


class RunDir:
    """One run's folder.

    Attributes:
        path: the folder, for example ``runs/quickstart``.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def stage(self, name: str) -> Path:
        """Folder of a stage (``data``, ``estimator``, ...)."""
        return self.path / name

    def manifest(self, stage: str) -> dict[str, Any] | None:
        """The stage's manifest, or ``None`` when there is none, or a broken one.

        Raises:
            RunError: there is one, and the system does not let it be read. A stage without a manifest is made again,
                so that must not count as none.
        """
        path = self.stage(stage) / "manifest.json"
        for last in (False, True):
            try:
                record = json.loads(path.read_text(encoding="utf-8"))
                break
            except (FileNotFoundError, NotADirectoryError, ValueError, RecursionError):
                return None
            except OSError as error:
                if error.errno == errno.ESTALE and not last:  # another machine has just replaced it
                    continue
                raise RunError(
                    f"{path}: cannot be read ({error.strerror or error}). Nothing was changed; make it readable and "
                    "run the same command again."
                ) from error
        complete = isinstance(record, dict) and record.get("status") == "complete"
        if not isinstance(record, dict) or (complete and not isinstance(record.get("outputs"), dict)):
            return None
        return record

    def begin(
        self, stage: str, made_from: dict[str, Any], writes: Sequence[str] | None = None, *, clear: bool = True
    ) -> None:
        """Mark a stage as running. Output made from something else is removed first.

        Args:
            stage: its name.
            made_from: what decides its files.
            writes: names of its files, where files of the user's may lie beside them; those stay. ``None`` when the
                folder is the stage's alone.
            clear: ``False`` where the stage itself removes what was made from something else.

        Raises:
            RunError: a file may be the user's, and would be written over or taken for a result; or the manifest
                cannot be read, or an old file not be removed.
        """
        old = self.manifest(stage)
        if clear and (old is None or old.get("fingerprint") != fingerprint(made_from)):
            if writes is None:
                empty_folder(self.stage(stage), "manifest.json")
            else:
                self._remove_own(stage, old, writes)
        for leftover in list(self.stage(stage).rglob(".*.tmp")):  # of a write that was killed
            if leftover.is_dir():
                shutil.rmtree(leftover)
            else:
                leftover.unlink(missing_ok=True)
        write_json(
            self.stage(stage) / "manifest.json",
            {
                "stage": stage,
                "status": "running",
                "fingerprint": fingerprint(made_from),
                "made_from": made_from,
                **({} if writes is None else {"writes": list(writes)}),
                "versions": versions(),
                "started": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
            },
        )

    def _remove_own(self, stage: str, old: dict[str, Any] | None, writes: Sequence[str]) -> None:
        """Remove what the old manifest's stage wrote, or would have written had it not been killed."""
        folder = self.stage(stage)
        own = {*(old or {}).get("outputs", ()), *(old or {}).get("writes", ())}
        others = [name for name in stage_files(folder) if name not in own]
        if others and old is None:
            raise RunError(
                f"{folder}: there is no manifest, so nothing says where {', '.join(others[:3])} came from. Move such "
                "files away and run again; what is your own can be put back when the stage is done."
            )
        for name in set(others) & set(writes):
            raise RunError(f"{folder / name}: is not this run's, and would be written over. Rename it or the system.")
        for name in own:
            (folder / name).unlink(missing_ok=True)

    def finish(self, stage: str, seconds: float, cpu_seconds: float) -> None:
        """Mark a stage as complete and record the hashes of its files."""
        folder = self.stage(stage)
        record = self.manifest(stage)
        if record is None:
            raise RunError(f"{folder}: the manifest vanished while the stage ran")
        record["status"] = "complete"
        record["seconds"] = round(seconds, 1)
        record["cpu_seconds"] = round(cpu_seconds, 1)
        files = stage_files(folder)
        record["outputs"] = {name: digest for name, digest in files.items() if name in record.get("writes", files)}
        write_json(folder / "manifest.json", record)

    def is_complete(self, stage: str, made_from: dict[str, Any]) -> bool:
        """Whether the stage finished from just these inputs and its files are still as it left them."""
        record = self.manifest(stage)
        if record is None or record.get("status") != "complete" or record.get("fingerprint") != fingerprint(made_from):
            return False
        folder = self.stage(stage)
        return all(
            (folder / name).is_file() and sha256(folder / name) == digest for name, digest in record["outputs"].items()
        )
