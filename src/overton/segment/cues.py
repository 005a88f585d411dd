"""How a sentence begins: whether it goes on with a view, turns to another, names one, or closes the answer."""

from __future__ import annotations

import re
from enum import Enum
from typing import NamedTuple

from overton.segment import phrases
from overton.segment.template import Span
from overton.spelling import composed

# Not letters: quotes, brackets, Markdown's marks and pictures before the first word.
_SKIP = re.compile("[\\s\"'“”„«»‘’(\\[*_¿¡\u2600-\u27bf\U0001f000-\U0001faff-]*+")
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
# Whose view it is stands before the noun: "Aus juristischer Sicht", "法的な観点から", "कानूनी दृष्टिकोण से".
_SEEN_FROM = re.compile(
    r"aus (?:[^\W\d_]{1,30}+ ){1,4}?(?:sicht|perspektive|blickwinkel)\b"
    r"|(?![彼私]|これ|それ)[^\s、。，]{1,20}?(?:(?:観点|視点|立場|見地)から|にとって)"
    r"|(?:在|就|站在|对)(?![他她它我你这此])[^\s、。，；]{1,15}?(?:看来|而言|来说|角度|立场)"
    r"|(?:[^\s।,]{1,20}+ ){1,5}?(?:दृष्टिकोण|नज़रिए|नज़रिये|नजरिए|दृष्टि) से(?=[\s,])",
    re.IGNORECASE,
)
_INDIC = "\u08ff"  # scripts of India and what lies behind them in Unicode
_AND = "و"  # Arabic writes it together with the next word
# Legally, ... | Economically speaking, ...
_FIELD = re.compile(r"(?P<word>[A-Z][a-z]{2,24}ly)(?: speaking)?,")


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
    other = place < end and (text[place] in "aA" or text[place] > _INDIC)
    named = _is_field(text, place, end) or (other and _SEEN_FROM.match(composed(text[place : min(end, place + 200)])))
    cue = Cue.NAMES if named else _phrase_at(text, place, end)
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
    head = composed(text[place : min(end, place + 80)]).lower().replace("’", "'")
    words = [word.rstrip(",.:;،؛") for word in head.split(maxsplit=6)[:6]]
    for known in (words, [words[0][1:], *words[1:]] if head[:1] == _AND else []):
        if known and known[0] in _LENGTHS:
            for count in range(min(len(known), _LENGTHS[known[0]]), 0, -1):
                if cue := _SPACED.get(" ".join(known[:count])):
                    return cue
    if head[:1] > _EAST:
        for count in range(_LONGEST, 0, -1):
            if cue := _UNSPACED.get(head[:count]):
                return cue
    return Cue.NONE
