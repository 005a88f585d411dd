"""Items that are counted within a paragraph: "(1) ..., (2) ...", "1. ... 2. ... 3. ..."."""

from __future__ import annotations

import re

from overton.segment.cues import beginning
from overton.segment.marks import count_words
from overton.segment.sentences import before_closing
from overton.segment.template import Piece, rstrip

_MARK = re.compile(
    r"(?<![\w(])(?:[(（](?P<bracket>\d{1,2}|[a-h])[)）]|(?P<half>\d{1,2})[)）](?=\s)|(?P<point>\d{1,2})\.(?=\s)"
    r"|(?P<circled>[①-⑳]))"
)
_REACH = 200  # characters of an item that are searched for two words
_STOPS = '.!?:;"”)…。！？：；'
# A comma or "and" at the end of an item leads to the next one.
_TAIL = re.compile(r"[,;，；、](?:\s+(?:and|or|und|oder|et|ou|y|o|e|и|или))?$")


def read(text: str, start: int, stop: int) -> list[Piece]:
    """Pieces of a text that counts them; none where most of the text stands before the first."""
    found: list[re.Match[str]] = []
    count = 0
    for match in _MARK.finditer(text, start, stop):
        kind = match.lastgroup or ""
        value = _value(kind, match[kind])
        if (found and kind != found[0].lastgroup) or value not in (1, count + 1):
            continue
        before = text[max(start, match.start() - 3) : match.start()].rstrip()
        if kind == "point" and before and before[-1] not in _STOPS:
            continue
        found.append(match)
        count = value
    # A full stop after a number is common elsewhere: two such may be chance.
    if len(found) < (3 if found and found[0].lastgroup == "point" else 2):
        return []
    pieces = []
    ends = [*(m.start() for m in found[1:]), stop]
    for match, following in zip(found, ends, strict=True):
        paragraph = text.find("\n\n", match.end(), following)
        end = rstrip(text, match.end(), following if paragraph < 0 else paragraph)
        if paragraph >= 0 or following == stop:
            end = before_closing(text, match.end(), end)
        elif tail := _TAIL.search(text, max(match.end(), end - 8), end):
            end = tail.start()
        if count_words(text, match.end(), min(end, match.end() + _REACH)) < 2:
            return []  # "See (1) and (2)."
        view = beginning(text, match.end(), end)
        pieces.append(Piece(match.start(), view.label, max(match.end(), view.body), end))
    return pieces if sum(p.end - p.start for p in pieces) * 2 >= stop - start else []


def _value(kind: str, sign: str) -> int:
    if kind == "circled":
        return ord(sign) - ord("①") + 1
    return int(sign) if sign.isdigit() else ord(sign) - ord("a") + 1
