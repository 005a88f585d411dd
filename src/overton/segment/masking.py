"""The words of a situation, and how they are hidden in a text."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection
from functools import lru_cache

from overton.spelling import run

MASK = "[MASK]"
_LETTERS = run(r"[^\W_]")
WORD = re.compile(rf"{_LETTERS}(?:['’-]{_LETTERS})*")


@lru_cache(maxsize=4096)
def keywords(prompt: str) -> frozenset[str]:
    """The words of a prompt that masking hides: all but stop words, lower case, without a possessive 's."""
    return frozenset(_base(m.group()) for m in WORD.finditer(prompt)) - STOP_WORDS


def _base(word: str) -> str:
    word = unicodedata.normalize("NFC", word.lower())
    return word[:-2] if word.endswith(("'s", "’s")) else word


def mask_words(text: str, words: Collection[str], mask: str = MASK) -> str:
    """Replace each run of the given words (case-insensitive, whole words) by one mask.

    Args:
        text: any text.
        words: lower-case words, as :func:`keywords` gives them.
        mask: what to write instead.
    """
    if not words:
        return text
    out: list[str] = []
    position = 0
    for match in WORD.finditer(text):
        if match.group().lower() not in words and _base(match.group()) not in words:
            continue
        gap = text[position : match.start()]
        if not out or gap.strip():
            out += [gap, mask]
        position = match.end()
    out.append(text[position:])
    return "".join(out)


# English function words: the ones that carry no topic of a situation.
_STOP_WORDS_WORDS = """
a about above after again against all also although always am an and any are as at away be because been
before being below between both but by can cannot could did do does doing done down during each either else
even ever every everybody everyone few first for from further get gets give gives go goes going had has have
having he her here hers herself him himself his how i if in into is it its itself just keep keeps let like
made make makes may me might mine more most much must my myself neither never no nobody nor not nothing now
of off often on once one only or other others ought our ours ourselves out over own people person put rather
same say says see shall she should since so some somebody someone something still such take takes than that
the their theirs them themselves then there these they thing things this those though through to too toward
towards under until up upon us use very was way we well were what when where whether which while who whole
whom whose why will with within without would yet you your yours yourself yourselves
"""
STOP_WORDS = frozenset(_STOP_WORDS_WORDS.split())
