"""Calibrations of untuned base encoders that come with the package: numbers only, so that scoring can start at once."""

from __future__ import annotations

from importlib import resources
from pathlib import Path
from typing import Any

from overton.errors import ModelError
from overton.estimator.calibration import Calibration
from overton.estimator.encode import SimilarityEstimator
from overton.estimator.models import load_sentence_transformer, model_hash, resolve_base
from overton.estimator.preprocess import Preprocessing
from overton.jsonio import read_json, sha256

_FILE = "calibrations.json"
# Chosen on the dev parts of both data sets, where it is the best of 0, .2, .4 and .6 (docs/estimator.md).
UNTUNED = Preprocessing(subtract_situation=0.6)


def load_base(
    name: str, *, data_set: str = "", max_seq_length: int | None = None, cache_file: Path | None = None
) -> SimilarityEstimator:
    """An untuned base with the preprocessing it was calibrated with, and its calibration where one is shipped.

    Args:
        name: folder or hub name, as for :func:`overton.estimator.models.resolve_base`.
        data_set: ``perspectrum`` or ``argkp``; ``""`` = the threshold of both together.
        max_seq_length: as for :func:`overton.estimator.models.load_sentence_transformer`.
        cache_file: keep vectors in this file too, for later processes.

    Raises:
        ModelError: the base cannot be had, the file holds vectors of another model, or nothing is shipped for that
            data set.
    """
    folder = resolve_base(name)
    found = shipped_calibration(folder, data_set)
    preprocessing = UNTUNED if found else Preprocessing.load(folder)
    estimator = SimilarityEstimator(load_sentence_transformer(folder, max_seq_length), preprocessing, found)
    if cache_file is not None:
        estimator.keep_in(cache_file, model_hash(folder))
    return estimator


def shipped_calibration(folder: Path, data_set: str = "") -> Calibration | None:
    """The calibration of the base whose weights a folder holds, or ``None``.

    A base is known by the hash of its weights, since copies of a folder differ in files that do not matter.

    Raises:
        ModelError: nothing is shipped for that data set.
    """
    entry = _entries().get(weights_hash(folder))
    if entry is None:
        if data_set:
            raise ModelError(f"{folder}: no calibration is shipped for this base, so none for {data_set!r}")
        return None
    if data_set and data_set not in entry["sets"]:
        raise ModelError(
            f"no calibration is shipped for the data set {data_set!r}; there are: {', '.join(entry['sets'])}"
        )
    numbers = entry["sets"][data_set] if data_set else entry["all"]
    return Calibration(**numbers, model_hash=model_hash(folder), data_hash=entry["data_hash"])


def shipped_sets(folder: Path) -> dict[str, dict[str, float]]:
    """Numbers of the shipped calibration by data set; none where nothing is shipped for the base of that folder."""
    sets: dict[str, dict[str, float]] = _entries().get(weights_hash(folder), {}).get("sets", {})
    return sets


def is_shipped(calibration: object) -> bool:
    """Whether a calibration came with the package: measured on labels of English texts."""
    return getattr(calibration, "data_hash", None) in {entry["data_hash"] for entry in _entries().values()}


def weights_hash(folder: Path) -> str:
    """Hash of the weights of a model folder; ``""`` when it holds none, or several files."""
    found = sorted(folder.glob("*.safetensors"))
    return sha256(found[0]) if len(found) == 1 else ""


def _entries() -> dict[str, Any]:
    with resources.as_file(resources.files("overton.estimator") / _FILE) as path:
        entries: dict[str, Any] = read_json(path)
    return entries
