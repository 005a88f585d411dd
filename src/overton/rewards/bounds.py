"""What the numbers of a preset may be."""

from __future__ import annotations

import sys
from collections.abc import Mapping

from overton.errors import RecipeError

LARGEST = sys.float_info.max
NOT_NEGATIVE = (0.0, LARGEST)
COSINE = (-1.0, 1.0)
SHARE = (0.0, 1.0)


def check_bounds(preset: object, bounds: Mapping[str, tuple[float, float]]) -> None:
    """Refuse a number out of range: a penalty of -1 would be a bonus.

    Args:
        preset: whose fields are looked at; ``None`` passes.
        bounds: least and greatest value of each field.

    Raises:
        RecipeError: names the field and its range; NaN lies in none.
    """
    for name, (low, high) in bounds.items():
        value = getattr(preset, name)
        if value is None or low <= value <= high:
            continue
        if high == LARGEST:
            wanted = f"be at least {low:g}"
        elif low == -LARGEST:
            wanted = f"be at most {high:g}"
        else:
            wanted = f"lie between {low:g} and {high:g}"
        raise RecipeError(f"reward: {name} must {wanted}, found {value}")
