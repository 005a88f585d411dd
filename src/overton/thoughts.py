"""Marks by which models set a thought off from their answer: parts of regular expressions that look at no case."""

from __future__ import annotations

_NAME = "(?:(?:[a-z]{1,12}:)?think|thinking|thought|reasoning)"
# gpt-oss names its channels, and the answer is in the last one. Decoded without special tokens, what it writes begins
# with "analysisWe" or the like, and "assistantfinal" stands before the answer: two words in one, which nobody writes.
_CHANNEL = r"<\|channel\|>\s*"
# Seed-OSS writes <seed:think>, Magistral [THINK] and [/THINK], most others <think>.
THOUGHT_OPEN = (
    rf"(?:<{_NAME}>|(?-i:\[THINK\])|{_CHANNEL}(?:analysis|commentary)\b(?:[^<\n]{{0,80}}<\|message\|>)?"
    r"|(?-i:\Aanalysis(?=[A-Z])))"
)
THOUGHT_CLOSE = (
    rf"(?:</{_NAME}>|(?-i:\[/THINK\])|{_CHANNEL}final\s*(?:<\|constrain\|>\s*\w+\s*)?<\|message\|>"
    r"|(?-i:\A(?:analysis|commentary)(?s:.*?)assistantfinal))"
)
