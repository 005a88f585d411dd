"""How a sentence begins: whether it goes on with a view, turns to another, names one, or closes the answer."""

from __future__ import annotations

import re
from enum import Enum
from typing import NamedTuple

from overton.segment import phrases

Span = tuple[int, int]

# Not letters: quotes, brackets and Markdown's marks before the first word.
_SKIP = re.compile(r"[\s\"'“”„«»‘’(\[*_¿¡-]*+")
_EAST = "\u2fff"  # scripts above it have no spaces
_NOUN = r"(?:perspective|standpoint|viewpoint|point of view|view|angle|lens)"
_VIEWS = (
    # From the standpoint of LABEL, ...
    re.compile(rf"(?:in|from|under) (?:the|an?) {_NOUN} of (?P<label>[^,.:;!?\n]{{1,120}}+)[,:]\s*+", re.IGNORECASE),
    # From a LABEL perspective, ...
    re.compile(
        rf"(?:in|from|under) (?:the|an?|one) (?P<label>(?:[\w'’/-]{{1,30}}+ ){{1,6}}?){_NOUN}\b,?\s*+", re.IGNORECASE
    ),
)
# Legally, ... | Economically speaking, ...
_FIELD = re.compile(r"(?P<word>[A-Z][a-z]{2,24}ly)(?: speaking)?,")
# A first sentence that only says that there is much to say.
_ANNOUNCES = re.compile(
    r"\b(?:(?:is|are|can be|remains?) (?:an? |a very |often |always )?(?:\w{1,20}+(?:,| and|,? yet|,? but)? ){0,4}?"
    r"(?:complex|controversial|contentious|multi-?faceted|nuanced|debated|divisive|sensitive|complicated|challenging|"
    r"polarizing|difficult)\b"
    r"|rais(?:es|ing) (?:\w{1,20}+,? (?:and )?){0,5}?(?:questions?|issues?|concerns?|considerations?|dilemmas?)\b"
    r"|there (?:are|is) (?:\w{1,20}+ ){0,3}?(?:perspectives?|views?|viewpoints?|arguments?|sides|opinions?|factors|"
    r"considerations|reasons|ways to)\b"
    r"|(?:opinions|views|perspectives) (?:\w{1,20}+ ){0,4}?(?:vary|differ|diverge|are divided)\b"
    r"|(?:can|may|could|should) be (?:viewed|seen|approached|considered|examined|analyzed|looked at) from\b"
    r"|here (?:are|is)\b|depends on (?:\w{1,20}+ ){0,3}?(?:factors|circumstances|perspectives?)\b"
    r"|requires? (?:an? )?(?:careful|thoughtful|nuanced) (?:consideration|thought|analysis))",
    re.IGNORECASE,
)
_REACH = 600  # characters of a sentence that are searched for it


class Cue(Enum):
    """What the beginning of a sentence says about its place; the phrases of each are in phrases.py."""

    NONE = "nothing"
    CONTINUES = "goes on with what was said"
    ADDS = "adds something, perhaps to the same view"
    TURNS = "turns to another side"
    NAMES = "names a view"
    OPENS = "says who holds a view, or counts"
    CLOSES = "sums up"
    MAY_CLOSE = "sums up where it stands near the end"


class Beginning(NamedTuple):
    """How a sentence begins.

    Attributes:
        cue: what that says.
        label: (start, end) of a view that is named; empty without one.
        body: where the sentence goes on after the name of the view.
    """

    cue: Cue
    label: Span
    body: int


def _split(lines: str) -> list[str]:
    return [p for p in re.split(r"[|\n]", lines) if p]


_SPACED = {p: cue for cue in Cue if cue is not Cue.NONE for p in _split(getattr(phrases, cue.name))}
_UNSPACED = {p: cue for cue in Cue if cue is not Cue.NONE for p in _split(getattr(phrases, f"{cue.name}_UNSPACED"))}
# First word -> words of the longest phrase with it; most sentences begin with none of them.
_LENGTHS: dict[str, int] = {}
for _phrase in _SPACED:
    _head, _count = _phrase.split()[0], len(_phrase.split())
    _LENGTHS[_head] = max(_count, _LENGTHS.get(_head, 0))
_LONGEST = max(map(len, _UNSPACED))


def beginning(text: str, start: int, end: int) -> Beginning:
    """Read how the sentence ``text[start:end]`` begins."""
    skip = _SKIP.match(text, start, end)
    place = skip.end() if skip else start
    if text[place : place + 1] in ("F", "I", "U", "f", "i", "u"):
        for pattern in _VIEWS:
            if view := pattern.match(text, place, end):
                return _named(text, start, end, view)
    cue = Cue.NAMES if _is_field(text, place, end) else _phrase_at(text, place, end)
    return Beginning(cue, (start, start), start)


def _named(text: str, start: int, end: int, view: re.Match[str]) -> Beginning:
    """The label is taken where a comma ends it and something follows; otherwise it belongs to the sentence."""
    if view.end() < end and view.group().rstrip()[-1] in ",:":
        first, last = view.span("label")
        last -= text[last - 1].isspace()
        return Beginning(Cue.NAMES, (first, last), view.end())
    return Beginning(Cue.NAMES, (start, start), start)


def _is_field(text: str, place: int, end: int) -> bool:
    field = _FIELD.match(text, place, end)
    return field is not None and field["word"].lower() not in phrases.NO_FIELD


def _phrase_at(text: str, place: int, end: int) -> Cue:
    """What the longest known phrase at a place says."""
    head = text[place : min(end, place + 80)].lower().replace("’", "'")
    words = [word.rstrip(",.:;،؛") for word in head.split(maxsplit=6)[:6]]
    if words and words[0] in _LENGTHS:
        for count in range(min(len(words), _LENGTHS[words[0]]), 0, -1):
            if cue := _SPACED.get(" ".join(words[:count])):
                return cue
    if head[:1] > _EAST:
        for count in range(_LONGEST, 0, -1):
            if cue := _UNSPACED.get(head[:count]):
                return cue
    return Cue.NONE


def announces(text: str, start: int, end: int) -> bool:
    """Whether a sentence only announces what follows."""
    return text[end - 1 : end] in (":", "：") or bool(_ANNOUNCES.search(text, start, min(end, start + _REACH)))
