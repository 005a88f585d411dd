"""Vectors on disk: the same numbers, no model needed again, and never those of another model."""

from __future__ import annotations

import hashlib
import shutil
import sqlite3
from pathlib import Path

import numpy as np
import pytest
from estimator_tiny import WORDS, build_tiny
from hypothesis import given, settings
from hypothesis import strategies as st

from overton.errors import ModelError
from overton.estimator import Preprocessing, SimilarityEstimator
from overton.estimator.store import VectorStore

TEXTS = [" ".join(WORDS[i : i + 2 + i % 5]) for i in range(12)]


@pytest.fixture
def folder(tiny_base: Path, tmp_path: Path) -> Path:
    shutil.copytree(tiny_base, tmp_path / "model")
    Preprocessing(situation="ignore").save(tmp_path / "model", {})
    return tmp_path / "model"


def test_a_second_process_encodes_nothing(folder: Path, tmp_path: Path) -> None:
    file = tmp_path / "deep" / "vectors.sqlite"
    plain = SimilarityEstimator.load(folder).encode(TEXTS)
    first = SimilarityEstimator.load(folder, cache_file=file)
    np.testing.assert_array_equal(first.encode(TEXTS[:8]), plain[:8])
    second = SimilarityEstimator.load(folder, cache_file=file, cache_rows=0)
    np.testing.assert_array_equal(second.encode([*TEXTS, *TEXTS[::-1]]), np.concatenate([plain, plain[::-1]]))
    assert (first.encoded, second.encoded) == (8, 4)
    assert second.encode(TEXTS) is not None and second.encoded == 4


def test_another_model_precision_or_length_is_refused(folder: Path, tmp_path: Path) -> None:
    file = tmp_path / "vectors.sqlite"
    SimilarityEstimator.load(folder, cache_file=file, bf16=False).encode(TEXTS)
    other = build_tiny(tmp_path / "other", seed=1)
    with pytest.raises(ModelError, match="vectors of another model"):
        SimilarityEstimator.load(other, cache_file=file)
    with pytest.raises(ModelError, match=r"dimension 32, not 8\). Delete it, or name another file"):
        VectorStore(file, _about(file)["model"], 8)
    prepared = Preprocessing(situation="ignore")(TEXTS)
    assert set(VectorStore(file, _about(file)["model"], 32).get(prepared)) == set(prepared)


def test_a_file_that_is_no_store_is_refused_and_left_alone(tmp_path: Path) -> None:
    file = tmp_path / "notes.txt"
    file.write_text("these are my notes, and not a few of them" * 30, encoding="utf-8")
    before = file.read_bytes()
    with pytest.raises(ModelError, match="cannot be used as a cache of vectors"):
        VectorStore(file, "m", 3)
    assert file.read_bytes() == before
    with pytest.raises(ModelError, match="cannot be used"):
        VectorStore(tmp_path, "m", 3)


def test_a_failed_write_changes_nothing(tmp_path: Path) -> None:
    store = VectorStore(tmp_path / "v.sqlite", "m", 2)
    store.put({"a": np.ones(2, np.float32)})
    with closed_for_writing(store), pytest.raises(ModelError, match="cannot be written"):
        store.put({"b": np.ones(2, np.float32)})
    assert set(store.get(["a", "b"])) == {"a"}


@settings(deadline=None)  # a disk may be slow
@given(st.dictionaries(st.text(), st.lists(st.floats(-1, 1, width=32), min_size=3, max_size=3), max_size=8))
def test_what_goes_in_comes_out(tmp_path_factory: pytest.TempPathFactory, rows: dict[str, list[float]]) -> None:
    store = VectorStore(tmp_path_factory.mktemp("store") / "v.sqlite", "m", 3)
    store.put({text: np.array(row, np.float32) for text, row in rows.items()})
    found = store.get([*rows, "never stored, this"])
    assert set(found) == set(rows) - {"never stored, this"} or "never stored, this" in rows
    for text, row in found.items():
        np.testing.assert_array_equal(row, np.array(rows[text], np.float32))


def _about(file: Path) -> dict[str, str]:
    with sqlite3.connect(file) as connection:
        return dict(connection.execute("SELECT name, value FROM about"))


class closed_for_writing:
    """Another process holds the file."""

    def __init__(self, store: VectorStore) -> None:
        self.store = store

    def __enter__(self) -> None:
        self.other = sqlite3.connect(self.store.path, isolation_level=None)
        self.other.execute("PRAGMA locking_mode=EXCLUSIVE")
        self.other.execute("BEGIN IMMEDIATE")
        self.store.timeout = 0.1

    def __exit__(self, *_: object) -> None:
        self.other.execute("ROLLBACK")
        self.other.close()


def test_what_is_no_vector_of_finite_numbers_is_not_taken(tmp_path: Path) -> None:
    """Others may have written into a shared file: NaN, text."""
    store = VectorStore(tmp_path / "vectors.sqlite", "m", 2)
    unit = np.array([0.6, 0.8], dtype=np.float32)
    store.put({"fine": unit, "nan": unit * np.nan, "text": unit})
    with sqlite3.connect(tmp_path / "vectors.sqlite") as file:
        file.execute("UPDATE vectors SET row = 'abcdefgh' WHERE text = ?", (hashlib.sha256(b"text").digest(),))
    found = store.get(["fine", "nan", "text"])
    assert list(found) == ["fine"]
    np.testing.assert_array_equal(found["fine"], unit)
