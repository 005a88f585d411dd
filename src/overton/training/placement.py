"""Where the estimator runs while a policy trains: beside it, on another device, or on a server."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from overton.errors import RecipeError, first_line
from overton.recipe import Recipe
from overton.rewards import OvertonReward
from overton.rewards.background import Background
from overton.rewards.reward import Scorer
from overton.types import Situation

if TYPE_CHECKING:
    from overton.estimator import SimilarityEstimator


def placed_reward(
    recipe: Recipe, estimator: SimilarityEstimator | None, device: str, background: Sequence[Situation] = ()
) -> Scorer:
    """The recipe's reward, with its estimator where ``reward.placement`` says.

    Args:
        recipe: section ``reward``.
        estimator: the calibrated one; not looked at, and not needed, when a server scores.
        device: that this process trains on.
        background: situations that ``reward.background`` references are drawn from.

    Raises:
        RecipeError: no such device, or no usable address of a server.
        DataError: too few references for a background.
    """
    section = recipe.reward
    if section.remote:
        from overton.integrations.remote import RemoteReward

        return RemoteReward(section.placement, section.token_env, section.timeout)
    if estimator is None:
        raise RecipeError(f"reward.placement: {section.placement} needs an estimator; overton estimator RECIPE")
    # A GPU named `cuda` alone would be the first one for every process.
    wanted = device if section.placement in ("auto", "cuda") else section.placement
    if section.placement != "auto" or not device.startswith("cpu"):
        try:
            estimator.move(wanted)
        except (RuntimeError, AssertionError) as error:
            reason = first_line(error)
            raise RecipeError(f"reward.placement: the estimator cannot be put on {wanted} ({reason})") from None
    behind = Background.of(background, estimator, section.background) if section.background else None
    overrides: dict[str, Any] = section.overrides
    return OvertonReward(estimator, section.preset, background=behind, **overrides)
