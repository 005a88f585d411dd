"""What both tests of stage ``training`` share."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

from overton.recipe import Recipe, override, parse_recipe


def recipe_with(*changes: str, **start: Any) -> Recipe:
    one = {"grpo": {"prompts_per_step": 1}}  # there is no more than one situation
    raw: dict[str, Any] = {"name": "x", "training": one, **deepcopy(start)}
    for item in changes:
        override(raw, item)
    return parse_recipe(raw)
