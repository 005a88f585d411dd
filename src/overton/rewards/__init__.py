"""The reward: coverage of genuine perspectives and uniqueness of each perspective given.

>>> reward = OvertonReward(SimilarityEstimator.load("runs/quickstart/estimator"))   # doctest: +SKIP
>>> scores = reward.score([Group(prompt, references, answers)])                      # doctest: +SKIP
"""

from overton.rewards.load import load_reward, shared_reward
from overton.rewards.references import parse_references
from overton.rewards.reward import Encoder, OvertonReward
from overton.segment import keywords
from overton.types import Group, Perspective, Score

__all__ = [
    "Encoder",
    "Group",
    "OvertonReward",
    "Perspective",
    "Score",
    "keywords",
    "load_reward",
    "parse_references",
    "shared_reward",
]
