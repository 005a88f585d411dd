"""An estimator by whatever name a user has for it."""

from __future__ import annotations

from pathlib import Path

from overton.errors import ModelError
from overton.estimator.encode import SimilarityEstimator
from overton.estimator.models import resolve_base
from overton.estimator.preprocess import SETTINGS_FILE
from overton.estimator.shipped import load_base
from overton.rundir import is_unfinished

DEFAULT_BASE = "sentence-transformers/all-MiniLM-L6-v2"


def open_estimator(
    name: str | Path | None = None, *, data_set: str = "", cache_file: Path | None = None
) -> tuple[SimilarityEstimator, str]:
    """Load an estimator.

    Args:
        name: a run directory, its ``estimator/``, the ``model/`` in that, a Sentence Transformers folder or a hub
            name; ``None`` = the untuned ``all-MiniLM-L6-v2`` with the calibration that comes with the package.
        data_set: take the threshold of this one of several data sets; ``""`` = of all of them together.
        cache_file: keep vectors in this file too, for later processes.

    Returns:
        The estimator, and its name for people.

    Raises:
        ModelError: it cannot be had or read, its stage refused it or did not finish, or nothing was calibrated on that
            data set.
    """
    if name is None:
        base = load_base(DEFAULT_BASE, data_set=data_set, cache_file=cache_file)
        return base, f"untuned {DEFAULT_BASE.rpartition('/')[2]}"
    folder = Path(name).expanduser()
    if (folder / "estimator" / "model").is_dir():
        folder = folder / "estimator"
    elif folder.name == "model" and ((folder.parent / "calibration.json").is_file() or is_unfinished(folder.parent)):
        folder = folder.parent
    elif not (folder / "model").is_dir():
        run = folder.parent if folder.name == "estimator" else folder
        if (run / "recipe.yaml").is_file():
            raise ModelError(
                f"{run}: a run without an estimator yet; `overton estimator {run / 'recipe.yaml'} --run-dir {run}` "
                "makes it"
            )
        folder = resolve_base(str(name))
        if not (folder / SETTINGS_FILE).is_file():
            return load_base(str(name), data_set=data_set, cache_file=cache_file), str(name)
    return SimilarityEstimator.load(folder, data_set=data_set, cache_file=cache_file), str(name)
