"""Marks by which models set a thought off from their answer: parts of regular expressions that look at no case."""

from __future__ import annotations

_NAME = "(?:think|thinking|thought|reasoning|seed:think)"
# Seed-OSS writes <seed:think>, Magistral [THINK] and [/THINK], most others <think>.
THOUGHT_OPEN = rf"(?:<{_NAME}>|(?-i:\[THINK\]))"
THOUGHT_CLOSE = rf"(?:</{_NAME}>|(?-i:\[/THINK\]))"
