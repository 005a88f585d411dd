"""Full stops: which of them end a sentence, and which belong to an abbreviation, an initial or a number."""

from __future__ import annotations

import re

NEXT = re.compile(r"[\s\"'“„«»‘(\[*_¿¡]*+(?P<word>[^\W_]*+(?:['’][^\W_]++)?)")
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


def ends_sentence(text: str, begin: int, stop: int, sign: str, word: str) -> bool:
    """Whether a full stop ends a sentence, and is not that of an abbreviation, an initial or an ordinal number.

    Args:
        text: what it stands in.
        begin: where the sentence begins.
        stop: place of the stop.
        sign: the stop with what stands at it, such as a quote.
        word: the word that follows, ``""`` without one.
    """
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


def within_label(text: str, start: int, place: int, end: int) -> bool:
    """Whether the full stop at ``place`` belongs to the label ``text[start:end]``: "Dr. King", "3.5", "(b. 1980)"."""
    before, after = text[max(start, place - 2) : place], text[place + 1 : end]
    if text.rfind("(", start, place) > text.rfind(")", start, place) and ")" in after:
        return True
    if after[:1].isalnum():
        one = before[-1:].isalpha() and not before[:-1].isalnum()
        return one or (before[-1:].isdigit() and after[:1].isdigit())
    if after.startswith("."):
        return False
    following = NEXT.match(text, place + 1, end)
    return not ends_sentence(text, start, place, ".", following["word"] if following else "")
