"""From an answer's text to the perspectives it states. No model, no numpy.

An answer in the template of OP-GRPO is read by its openers ("In the perspective of LABEL,"), another one as a list,
and what is no list as prose. How each is read stands in template.py, lists.py and prose.py.
"""

from __future__ import annotations

from overton.segment import lists, prose, structured, template
from overton.segment.masking import MASK, WORD, keywords, mask_words
from overton.segment.template import (
    CORE_CLOSE,
    CORE_OPEN,
    MAX_LABEL,
    OPENER,
    SUMMARY_CLOSE,
    SUMMARY_OPEN,
    Layout,
    behind,
    format_answer,
    layout,
    opening_label,
    strip_label,
    trim,
)
from overton.segment.views import carriers
from overton.segment.visible import visible
from overton.types import Segment

__all__ = [
    "CORE_CLOSE",
    "CORE_OPEN",
    "MASK",
    "MAX_LABEL",
    "OPENER",
    "SUMMARY_CLOSE",
    "SUMMARY_OPEN",
    "Layout",
    "behind",
    "format_answer",
    "keywords",
    "layout",
    "mask_words",
    "opening_label",
    "parse",
    "segment",
    "strip_label",
]


# Characters of an answer without the template that are read: many times what models write.
MAX_FREE = 100_000
# Segments of an answer: many times what models write, and all of them are compared with each other.
MAX_SEGMENTS = 2_000


def segment(answer: str) -> list[Segment]:
    """Split an answer into the perspectives it states.

    Args:
        answer: text of one completion.

    Returns:
        Segments in order of appearance, with character offsets into ``answer``, the first 2,000 of them. Segments
        without any word are dropped.
    """
    return parse(answer)[1]


def parse(answer: str) -> tuple[Layout, list[Segment]]:
    """:func:`layout` and :func:`segment` of an answer, from one reading."""
    seen = visible(answer)
    blocks = template.blocks(seen.text)
    _, (start, stop), _, tagged = blocks
    found = template.openers(seen.text, start, stop)
    near = min(stop, start + MAX_FREE)
    if listed := structured.read(seen.text, start, near):
        pieces = listed
    elif carrying := carriers(seen.text, found, start, near):
        pieces = template.read(seen.text, carrying, stop)
        if tagged:
            # The block holds nothing but perspectives, so what stands before the first opener is said as well.
            before = template.before_marker(seen.text, start, pieces[0].start)
            said = seen.text[start:before].strip()
            if said and not _introduces(said):
                pieces = [*_free(seen.text, start, min(near, before)), *pieces]
    else:
        pieces = _free(seen.text, start, near)
    segments = []
    for piece in pieces:
        places = (piece.label, trim(seen.text, piece.body, piece.end), trim(seen.text, piece.start, piece.end))
        label, body, place = (slice(*seen.span(*span)) for span in places)
        part = Segment(answer[label], answer[body], place.start, place.stop)
        if WORD.search(part.explanation) or part.label:
            segments.append(part)
            if len(segments) == MAX_SEGMENTS:
                break
    return template.layout_in(answer, seen, *blocks), segments


def _free(text: str, start: int, stop: int) -> list[template.Piece]:
    return lists.read(text, start, stop) or prose.read(text, start, stop)


def _introduces(text: str) -> bool:
    """Whether it is one line that ends with a colon."""
    return "\n" not in text and text.endswith((":", "："))
