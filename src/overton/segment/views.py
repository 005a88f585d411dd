"""Whether "In the perspective of" begins the views of an answer, or is one way among others to name some of them."""

from __future__ import annotations

import re

from overton.segment.cues import Cue, beginning
from overton.segment.marks import lines
from overton.segment.sentences import paragraphs, sentences

# What may stand between the beginning of a line and the opener.
_LEAD = re.compile(r"[ \t>]*+(?P<mark>(?:[-*+•–—#]{1,6}|[(（]?\w{1,4}[.)）、．])[ \t]*+)?[\"'“*_ \t]*+")
_REACH = 24
_INNER_STOP = re.compile(r"[.!?…][\"'”’)*_]*[ \t]+\S|[。！？][^\s\"'”’)*_]")
_STOPS = ".!?…。！？:："


def carriers(text: str, found: list[re.Match[str]], start: int, stop: int) -> list[re.Match[str]]:
    """The openers that begin the perspectives of an answer; none where something else begins most of them.

    In "1. In the perspective of A, ... 2. From the standpoint of B, ... 3. Lawyers may hold ..." the items of the list
    do. Nor does "seen from the perspective of" within a sentence begin anything.

    Args:
        text: the answer.
        found: its openers.
        start: beginning of what is read.
        stop: its end.
    """
    carrying = [m for m in found if _begins(text, start, m.start()) or m.group()[:1].isupper()]
    led = [m.start() for m in carrying]
    if not led:
        return []
    if len(led) == _sentences_alone(text[start:stop]) and all(_leads(text, start, place) for place in led):
        return carrying  # each line is a sentence that begins with one, as in the template: nothing is beside them
    rows = lines(text, start, stop)
    opened = set(led)
    marked = [row for row in rows if row.listed and _mark_end(text, row.start, row.end) in opened]
    if marked:
        rivals = sum(row.key == marked[0].key for row in rows) - sum(row.key == marked[0].key for row in marked)
    else:
        rivals = sum(row.listed and row.start < led[0] for row in rows)
    for paragraph in paragraphs(text, start, stop):
        for begin, end in sentences(text, *paragraph):
            named = beginning(text, begin, end).cue is Cue.NAMES
            rivals += named and not any(place in opened for place in range(begin, min(begin + 9, end)))
    alone = len(led) == 1 and text[start : led[0]].strip(" \n\t*_\"'“#>-1.")
    return [] if alone or len(led) <= rivals else carrying


def _sentences_alone(text: str) -> int:
    """Lines that are not empty; -1 when a stop stands within one, so that it may be several sentences."""
    return -1 if _INNER_STOP.search(text) else sum(map(bool, map(str.strip, text.split("\n"))))


def _leads(text: str, start: int, place: int) -> bool:
    """Whether a line begins at ``place``, marks aside."""
    line = max(text.rfind("\n", start, place) + 1, start)
    return place - line <= _REACH and bool(_LEAD.fullmatch(text, line, place))


def _begins(text: str, start: int, place: int) -> bool:
    """Whether a sentence or a line begins at ``place``, marks aside."""
    if _leads(text, start, place):
        return True
    while place > start and text[place - 1] in " \t\"'“*_":
        place -= 1
    return place > start and text[place - 1] in _STOPS


def _mark_end(text: str, start: int, end: int) -> int:
    """Where the text of a line begins after number, bullet and bold mark."""
    lead = _LEAD.match(text, start, end)
    return lead.end() if lead and lead.group("mark") else -1
