"""Overton: train and measure language models that show the whole spectrum of reasonable perspectives."""

from overton.types import Answer, Group, Match, Perspective, Score, Segment, Situation

__version__ = "0.1.0"

__all__ = ["Answer", "Group", "Match", "Perspective", "Score", "Segment", "Situation", "__version__"]
