"""Paragraphs and sentences of a prose text, in the punctuation of several languages."""

from __future__ import annotations

import re
from collections.abc import Iterator

from overton.segment.cues import Cue, beginning
from overton.segment.template import rstrip, trim

Span = tuple[int, int]

# What may stand between a stop and the space after it: quotes, brackets, Markdown's marks. Two of the quotes open in
# one language and close in another; where no space follows a stop, they open.
_CLOSERS = "\"'”’»›」』）)\\]*_〉》】"
# Full stops of scripts that leave no space after them, and stops that need one. A run of stops is tried once, at its
# first: otherwise a page of dots would take forever.
_END = re.compile(
    rf"[。！？｡।॥؟۔։።။។]++[.!?…]*+[{_CLOSERS}]*+"
    rf"|(?<![.!?…])[.!?…]++[{_CLOSERS}“‘]*+(?:[ ]»)?(?=\s|$)"
    r"|[;\u037e](?=\s|$)"
)
_BREAK = re.compile(r"\n\s*+")
_NEXT = re.compile(r"[\s\"'“„«»‘(\[*_¿¡]*+(?P<word>[^\W_]*+(?:['’][^\W_]++)?)")
# They are followed by what they belong to; titles are written with a capital ("Rev.", but "a sales rep.").
_NEVER_WORDS = """
al approx bspw bzw ca cf d.h dr e.g eds ej etw evtl figs geb ggf hrsg i.d.r i.e mme mr mrs ms nr nrs p.ex prof sgt sog
sra srta u.a vgl viz vols vs z.b z.t напр см стр т.е т.к т.н ул
"""
_NEVER = frozenset(_NEVER_WORDS.split())
_TITLES_WORDS = "Capt Col Fr Gen Gov Hon Hr Lt Maj Mt Rep Rev Sen Sr St"
_TITLES = frozenset(_TITLES_WORDS.split())
# They may also end a sentence: a word that begins one then tells.
_PERHAPS_WORDS = "bros co corp e.v ecc esq etc et.al inc jr ltd o.ä ph.d u.ä usf usw т.д т.п др г"
_PERHAPS = frozenset(_PERHAPS_WORDS.split())
# Before a number only: "No. 5", but "No. She is right."
_BEFORE_NUMBER_WORDS = "abs art fig kap no nos nr nrs num p pp s sec vol"
_BEFORE_NUMBER = frozenset(_BEFORE_NUMBER_WORDS.split())
_ORDINAL_WORDS = "am ab bei bis das dem den der des die im ins seit vom zum zur"
_ORDINAL = frozenset(_ORDINAL_WORDS.split())
_STARTERS_WORDS = """
a after all although an and another any as at because both but by critics each even every finally first for from
further given he here how however i if in it its many more most no not nothing on once one opponents others our
people perhaps proponents second she similarly since so some still such supporters that the their then there
therefore these they this those though thus to under unless until we what when where whether which while who why
with without yet you your das der die ein eine es sie er wir la le les il elle el los las un una это он она они
"""
_STARTERS = frozenset(_STARTERS_WORDS.split())


def paragraphs(text: str, start: int, stop: int) -> Iterator[Span]:
    """Paragraphs of ``text[start:stop]``, trimmed: lines, but those that only wrap a sentence."""
    begin = start
    for match in _BREAK.finditer(text, start, stop):
        if _wraps(text, begin, *match.span(), stop):
            continue
        yield trim(text, begin, match.start())
        begin = match.end()
    yield trim(text, begin, stop)


def _wraps(text: str, begin: int, end: int, following: int, stop: int) -> bool:
    """Whether a line break stands within a sentence: a small letter goes on where no stop stood."""
    if text.count("\n", end, following) > 1 or following >= stop or end <= begin:
        return False
    return text[following].islower() and (text[end - 1].isalnum() or text[end - 1] in ",;-–’'\"")


def sentences(text: str, start: int, stop: int) -> Iterator[Span]:
    """Sentences of one paragraph, trimmed. No cut after an abbreviation, an initial or an ordinal number."""
    begin = start
    for match in [*_END.finditer(text, start, stop), None]:
        if match and match.end() < stop and not _ends(text, begin, match, stop):
            continue
        end = match.end() if match else stop
        span = trim(text, begin, end)
        if span[0] < span[1]:
            yield span
        begin = end


def _ends(text: str, begin: int, match: re.Match[str], stop: int) -> bool:
    """Whether a sentence ends with this stop, which is not the last one of its paragraph."""
    sign = match.group()
    following = _NEXT.match(text, match.end(), stop)
    word = following.group("word") if following else ""
    if sign[0] in ";\u037e":  # Greek asks with it
        return match.start() > begin and "\u0370" <= text[match.start() - 1] <= "\u03ff"
    if not word and text[match.end() : match.end() + 2].strip()[:1] in (",", ";", ":", ")", "]"):
        return False
    if sign[0] in "!?":
        return not (word[:1].islower() and sign.rstrip("!?…"))  # "Is it fair?" she asked.
    if sign.startswith(("..", "…")):
        return not word[:1].islower()
    return sign[0] != "." or _full_stop(text, begin, match.start(), sign, word)


def _full_stop(text: str, begin: int, stop: int, sign: str, word: str) -> bool:
    """Whether a full stop is one; ``word`` follows it."""
    first = stop
    lowest = max(begin, stop - 14)
    while first > lowest and (text[first - 1].isalnum() or text[first - 1] == "."):
        first -= 1
    token = text[first:stop].strip(".")
    lower = token.lower()
    starts = word.lower() in _STARTERS and not word.islower()
    if token.isdigit():
        before = text[max(begin, first - 6) : first].split()
        return not (len(token) <= 2 and (word.islower() or (before and before[-1].lower() in _ORDINAL)))
    if lower in _BEFORE_NUMBER and word[:1].isdigit():
        return False
    if (lower in _NEVER or token in _TITLES) and len(sign) == 1:
        return False
    if lower in _PERHAPS or "." in token:
        return starts or (bool(word) and not word[:1].islower() and not word.isascii())
    if len(token) == 1 and token.isupper() and token != "I":
        return starts
    return True


def before_closing(text: str, start: int, end: int) -> int:
    """``end`` without sentences that sum up, in the last line of ``text[start:end]``; its first sentence stays."""
    line = max(text.rfind("\n", start, end) + 1, start)
    for number, (begin, stop) in enumerate(sentences(text, line, end)):
        if number and beginning(text, begin, stop).cue is Cue.CLOSES:
            return rstrip(text, start, begin)
    return end
