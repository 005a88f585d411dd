"""A word on questions in other languages than the one that an estimator was calibrated on."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

from overton.english import OTHER_LANGUAGES, may_be_english
from overton.types import Group


def warn_of_languages(estimator: Any, groups: Sequence[Group]) -> bool:
    """Warn where the threshold was measured on English texts and references are in another language.

    Args:
        estimator: its threshold decides what matches.
        groups: that are scored.

    Returns:
        Whether it warned.
    """
    from overton.estimator.shipped import is_shipped

    if not is_shipped(getattr(estimator, "calibration", None)):
        return False
    foreign = sum(not may_be_english(" ".join(p.explanation for p in group.references)) for group in groups)
    if foreign:
        warnings.warn(
            f"references of {foreign} of {len(groups)} situations are not in English, but the threshold of the untuned "
            f"encoder was measured on English texts: {OTHER_LANGUAGES}. Train an estimator on labels in that "
            "language (docs/estimator.md)",
            stacklevel=3,
        )
    return bool(foreign)
