"""Vectors on disk, so that texts encoded once need no encoder in a later process."""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

from overton.errors import ModelError

if TYPE_CHECKING:
    import numpy as np

_PART = 500  # SQLite takes a bounded number of values in one statement


class VectorStore:
    """An SQLite file of unit vectors by the hash of their text.

    Several processes may share it. A write that was cut short leaves nothing behind.

    Args:
        path: made when it is not there.
        model: what decides the vectors; a file of other vectors is refused.
        dimension: numbers a vector.

    Raises:
        ModelError: the file is none of these, or holds vectors of another model or dimension.
    """

    def __init__(self, path: Path, model: str, dimension: int) -> None:
        self.path, self.dimension, self.timeout = path, dimension, 60.0  # seconds to wait for other processes
        wanted = {"model": model, "dimension": str(dimension)}
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with self._open() as file, file:
                file.execute("CREATE TABLE IF NOT EXISTS about (name TEXT PRIMARY KEY, value TEXT)")
                file.execute("CREATE TABLE IF NOT EXISTS vectors (text BLOB PRIMARY KEY, row BLOB) WITHOUT ROWID")
                file.executemany("INSERT OR IGNORE INTO about VALUES (?, ?)", wanted.items())
                found = dict(file.execute("SELECT name, value FROM about"))
        except (sqlite3.Error, OSError) as error:
            raise ModelError(f"{path}: cannot be used as a cache of vectors ({error}); name another file") from None
        for name, value in wanted.items():
            if found.get(name) != value:
                raise ModelError(
                    f"{path}: holds vectors of another model ({name} {found.get(name)}, not {value}). Delete it, or "
                    "name another file for this model."
                )

    def get(self, texts: Sequence[str]) -> dict[str, np.ndarray]:
        """The stored vectors, (dimension,) float32, of those texts that have one; what is no vector of
        finite numbers is left out.

        Raises:
            ModelError: the file cannot be read.
        """
        import numpy as np

        keys = {_key(text): text for text in texts}
        found: dict[str, np.ndarray] = {}
        try:
            with self._open() as file:
                for part in _parts(list(keys)):
                    marks = ",".join("?" * len(part))
                    for key, row in file.execute(f"SELECT text, row FROM vectors WHERE text IN ({marks})", part):
                        if isinstance(row, bytes) and len(row) == 4 * self.dimension:
                            vector = np.frombuffer(row, dtype="<f4").astype(np.float32)
                            if np.isfinite(vector).all():
                                found[keys[key]] = vector
        except sqlite3.Error as error:
            raise ModelError(f"{self.path}: the cache of vectors cannot be read ({error}); delete it") from None
        return found

    def put(self, rows: Mapping[str, np.ndarray]) -> None:
        """Store vectors, all or none.

        Raises:
            ModelError: the file cannot be written; nothing in it has changed.
        """
        try:
            with self._open() as file, file:
                file.executemany(
                    "INSERT OR REPLACE INTO vectors VALUES (?, ?)",
                    ((_key(text), row.astype("<f4").tobytes()) for text, row in rows.items()),
                )
        except sqlite3.Error as error:
            raise ModelError(f"{self.path}: the cache of vectors cannot be written ({error})") from None

    def _open(self) -> closing[sqlite3.Connection]:
        return closing(sqlite3.connect(self.path, timeout=self.timeout))


def _key(text: str) -> bytes:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()


def _parts(keys: list[bytes]) -> Iterable[list[bytes]]:
    return (keys[i : i + _PART] for i in range(0, len(keys), _PART))
