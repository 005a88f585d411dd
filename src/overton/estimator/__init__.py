"""The similarity estimator: a Sentence Transformer that says whether two texts state the same perspective.

Names are loaded on first use, so importing this package costs nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from overton.estimator.calibration import Calibration
    from overton.estimator.encode import SimilarityEstimator
    from overton.estimator.models import resolve_base
    from overton.estimator.open import open_estimator
    from overton.estimator.preprocess import Preprocessing
    from overton.estimator.train import train_estimator

__all__ = ["Calibration", "Preprocessing", "SimilarityEstimator", "open_estimator", "resolve_base", "train_estimator"]

_HOME = {
    "Calibration": "calibration",
    "Preprocessing": "preprocess",
    "SimilarityEstimator": "encode",
    "open_estimator": "open",
    "resolve_base": "models",
    "train_estimator": "train",
}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
