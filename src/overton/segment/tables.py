"""Rows of a table in Markdown: their cells, and whether its columns are sides ("Pros", "Cons")."""

from __future__ import annotations

import re
from collections.abc import Iterator

from overton.segment.phrases import SIDES
from overton.segment.template import Span, trim

RULER = re.compile(r"\|[ \t]*+:?-[-| :\t]*+$")
_CELL = re.compile(r"[^|\n]++")
_ANY_SIDE = re.compile(r"(?:\w+ )?(?:perspectives?|arguments?|viewpoints|considerations)", re.IGNORECASE)
_TITLE = re.compile(r"[\W_]*+(?P<title>.*\w)")


def cells(text: str, start: int, end: int) -> Iterator[Span]:
    """Cells with a word in them."""
    for cell in _CELL.finditer(text, start, end):
        if _TITLE.match(text, *cell.span()):
            yield trim(text, *cell.span())


def has_sides(text: str, start: int, end: int) -> bool:
    """Whether the head of a table names sides and nothing else, so that each cell below is said for one of them."""
    titles = [found["title"] for cell in cells(text, start, end) if (found := _TITLE.match(text, *cell))]
    return len(titles) >= 2 and all(SIDES.fullmatch(t) and not _ANY_SIDE.fullmatch(t) for t in titles)
