"""Tiny models that your own tests may use: made in a second, offline, from a config and a seed."""

from overton.testing.tiny import scripted_policy, tiny_encoder, tiny_nli, tiny_policy

__all__ = ["scripted_policy", "tiny_encoder", "tiny_nli", "tiny_policy"]
