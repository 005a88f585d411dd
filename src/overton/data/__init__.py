"""The data stage: situations with their reference perspectives, from the bundled world or your own table."""

from overton.data.io import read_answers, read_situations, train_situations

__all__ = ["read_answers", "read_situations", "train_situations"]
