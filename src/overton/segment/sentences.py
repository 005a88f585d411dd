"""Paragraphs and sentences of a prose text, in the punctuation of several languages."""

from __future__ import annotations

import re
from collections.abc import Iterator

from overton.segment.cues import Cue, beginning
from overton.segment.stops import NEXT, ends_sentence
from overton.segment.template import Span, rstrip, trim

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
    following = NEXT.match(text, match.end(), stop)
    word = following.group("word") if following else ""
    if sign[0] in ";\u037e":  # Greek asks with it
        return match.start() > begin and "\u0370" <= text[match.start() - 1] <= "\u03ff"
    if not word and text[match.end() : match.end() + 2].strip()[:1] in (",", ";", ":", ")", "]"):
        return False
    if sign[0] in "!?":
        return not (word[:1].islower() and sign.rstrip("!?…"))  # "Is it fair?" she asked.
    if sign.startswith(("..", "…")):
        return not word[:1].islower()
    return sign[0] != "." or ends_sentence(text, begin, match.start(), sign, word)


def before_closing(text: str, start: int, end: int) -> int:
    """``end`` without sentences that sum up, in the last line of ``text[start:end]``; its first sentence stays."""
    line = max(text.rfind("\n", start, end) + 1, start)
    for number, (begin, stop) in enumerate(sentences(text, line, end)):
        if number and beginning(text, begin, stop).cue is Cue.CLOSES:
            return rstrip(text, start, begin)
    return end
