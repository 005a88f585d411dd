"""Items within a paragraph: "(1) ..., (2) ...", "1. ... 2. ... 3. ...", "**A:** ... **B:** ..."."""

from __future__ import annotations

import re

from overton.segment.cues import beginning
from overton.segment.marks import MAX_WORDS, count_words
from overton.segment.sentences import before_closing
from overton.segment.template import MAX_LABEL, Piece, rstrip, trim

_MARK = re.compile(
    r"(?<![\w(])(?:[(（](?P<bracket>\d{1,2}|[a-h])[)）]|(?P<half>\d{1,2})[)）](?=\s)|(?P<point>\d{1,2})\.(?=\s)"
    r"|(?P<circled>[①-⑳]))"
)
_NAME = re.compile(rf"\*\*(?P<name>[^*\n]{{1,{MAX_LABEL}}}?)(?::\*\*|\*\*:)(?=[ \t])")
_REACH = 200  # characters of an item that are searched for two words
_STOPS = '.!?:;"”)…。！？：；'
# A comma or "and" at the end of an item leads to the next one.
_TAIL = re.compile(r"[,;，；、](?:\s+(?:and|or|und|oder|et|ou|y|o|e|и|или))?$")


def read(text: str, start: int, stop: int) -> list[Piece]:
    """Pieces of a text that counts or names them; none where most of the text stands before the first."""
    found = _counted(text, start, stop) or _named(text, start, stop)
    if not found:
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
        named = match.lastgroup == "name"
        label, body = (trim(text, *match.span("name")), match.end()) if named else (view.label, view.body)
        pieces.append(Piece(match.start(), label, max(match.end(), body), end))
    return pieces if sum(p.end - p.start for p in pieces) * 2 >= stop - start else []


def _counted(text: str, start: int, stop: int) -> list[re.Match[str]]:
    """The numbers before the items; none where they are too few to tell."""
    found: list[re.Match[str]] = []
    count = 0
    for match in _MARK.finditer(text, start, stop):
        kind = match.lastgroup or ""
        value = _value(kind, match[kind])
        if (found and kind != found[0].lastgroup) or value not in (1, count + 1):
            continue
        if kind == "point" and not _after_stop(text, start, match.start()):
            continue
        found.append(match)
        count = value
    # A full stop after a number is common elsewhere: two such may be chance.
    return found if len(found) >= (3 if found and found[0].lastgroup == "point" else 2) else []


def _named(text: str, start: int, stop: int) -> list[re.Match[str]]:
    """The bold names before the items of one line; none where it does not begin with one, or has one alone."""
    names = _NAME.finditer(text, start, stop)
    found = [
        m for m in names if _after_stop(text, start, m.start()) and count_words(text, *m.span("name")) <= MAX_WORDS
    ]
    several = len(found) >= 2 and "\n" not in text[found[0].start() : found[-1].start()]
    return found if several and not text[start : found[0].start()].strip() else []


def _after_stop(text: str, start: int, place: int) -> bool:
    """Whether a sentence may begin at ``place``."""
    before = text[max(start, place - 3) : place].rstrip()
    return not before or before[-1] in _STOPS


def _value(kind: str, sign: str) -> int:
    if kind == "circled":
        return ord(sign) - ord("①") + 1
    return int(sign) if sign.isdigit() else ord(sign) - ord("a") + 1
