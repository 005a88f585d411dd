"""The reward: coverage of genuine perspectives and uniqueness of each perspective given.

>>> reward = OvertonReward(SimilarityEstimator.load("runs/quickstart/estimator"))   # doctest: +SKIP
>>> scores = reward.score([Group(prompt, references, answers)])                      # doctest: +SKIP
"""

from overton.rewards.reward import Encoder, OvertonReward

__all__ = ["Encoder", "OvertonReward"]
