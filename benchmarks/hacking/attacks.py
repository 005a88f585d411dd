"""All attacks, by name: importing this module fills the list."""

from __future__ import annotations

from hacking import characters, content, labels, repetition, shape
from hacking.registry import ATTACKS, Attack

__all__ = ["ATTACKS", "Attack", "characters", "content", "labels", "repetition", "shape"]
