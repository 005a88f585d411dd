"""An estimator that is taken as it is: another run's, or a base encoder whose calibration comes along."""

from __future__ import annotations

import shutil
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from overton.errors import ModelError
from overton.estimator.calibration import CALIBRATION_FILE, Calibration
from overton.estimator.models import UNWANTED, WANTED, model_folder, model_hash, no_calibration
from overton.estimator.open import open_estimator
from overton.estimator.preprocess import SETTINGS_FILE
from overton.estimator.shipped import UNTUNED, shipped_calibration, shipped_sets
from overton.folders import shown_model, visible_files
from overton.jsonio import read_json, write_json
from overton.notes import threshold_interval
from overton.progress import say

if TYPE_CHECKING:
    from overton.sections import EstimatorSection


def check_ready(section: EstimatorSection) -> None:
    """Load the base, and see that it has a calibration.

    Raises:
        ModelError: it is not to be had, or nothing is known of its threshold.
    """
    found, _ = open_estimator(section.base)
    if found.calibration is None:
        raise ModelError(
            f"estimator.base: {no_calibration(found.model)}. With `train_on: nothing` name another run's estimator, "
            "or a base whose calibration comes along (docs/estimator.md)"
        )


def take_ready(section: EstimatorSection, out: Path) -> None:
    """Copy the base into a stage's folder, as a training would have left it: ``model/`` and ``calibration.json``.

    Args:
        section: with a ``base`` that :func:`check_ready` takes; the keys of the training have no effect.
        out: the stage's folder.
    """
    from huggingface_hub.utils import filter_repo_objects

    source, model = model_folder(section.base), out / "model"
    trained = (source / SETTINGS_FILE).is_file()
    names = (path.relative_to(source).as_posix() for path in visible_files(source))
    # Folders from the hub also hold the same weights for other programs.
    for name in names if trained else filter_repo_objects(names, allow_patterns=WANTED, ignore_patterns=UNWANTED):
        (model / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source / name, model / name)
    if trained:
        places = (source / CALIBRATION_FILE, source.parent / CALIBRATION_FILE)
        record = read_json(next(path for path in places if path.is_file()))
    else:
        UNTUNED.save(model, {})
        shipped = shipped_calibration(source)
        assert shipped is not None
        record = {**asdict(shipped), "sets": shipped_sets(source), "model_hash": model_hash(model)}
    for folder in (out, model):
        write_json(folder / CALIBRATION_FILE, record)
    calibration = Calibration.load(out / CALIBRATION_FILE)
    say(
        f"Estimator: {shown_model(section.base)} as it is, threshold {calibration.threshold:.3f} "
        f"({threshold_interval(calibration.low, calibration.high)})"
    )
