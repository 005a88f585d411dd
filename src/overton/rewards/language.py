"""A word on questions in other languages than the one that an estimator was calibrated on."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

from overton.segment.masking import may_be_english
from overton.types import Group


def warn_of_languages(estimator: Any, groups: Sequence[Group]) -> None:
    """Warn where the threshold was measured on English texts and references are in another language.

    Args:
        estimator: its threshold decides what matches.
        groups: that are scored.
    """
    from overton.estimator.shipped import is_shipped

    if not is_shipped(getattr(estimator, "calibration", None)):
        return
    texts = [" ".join(p.explanation for p in group.references) for group in groups]
    foreign = sum(not may_be_english(text) for text in texts)
    if foreign:
        warnings.warn(
            f"references of {foreign} of the first {len(texts)} situations are not in English, but the threshold of "
            "the untuned encoder was measured on English texts: in other languages it takes different views for the "
            "same far more often. Train an estimator on labels in that language (docs/estimator.md)",
            stacklevel=3,
        )
