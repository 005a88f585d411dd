"""From an answer's text to the perspectives it states. No model, no numpy.

An answer in the template of OP-GRPO is read by its openers ("In the perspective of LABEL,"), another one as a list,
and what is no list as prose. How each is read stands in template.py, lists.py and prose.py.
"""

from __future__ import annotations

from overton.segment import lists, prose, template
from overton.segment.masking import MASK, WORD, keywords, mask_words
from overton.segment.template import (
    CORE_CLOSE,
    CORE_OPEN,
    MAX_LABEL,
    OPENER,
    SUMMARY_CLOSE,
    SUMMARY_OPEN,
    Layout,
    format_answer,
    layout,
    opening_label,
    strip_label,
    trim,
)
from overton.segment.views import carried
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
    "format_answer",
    "keywords",
    "layout",
    "mask_words",
    "opening_label",
    "segment",
    "strip_label",
]


# Characters of an answer without the template that are read: many times what models write.
MAX_FREE = 100_000


def segment(answer: str) -> list[Segment]:
    """Split an answer into the perspectives it states.

    Args:
        answer: text of one completion.

    Returns:
        Segments in order of appearance, with character offsets into ``answer``. Segments without any word
        are dropped.
    """
    seen = visible(answer)
    _, (start, stop), _, tagged = template.blocks(seen.text)
    found = template.openers(seen.text, start, stop)
    near = min(stop, start + MAX_FREE)
    if found and (tagged or carried(seen.text, found, start, near)):
        pieces = template.read(seen.text, found, stop)
    else:
        pieces = lists.read(seen.text, start, near) or prose.read(seen.text, start, near)
    segments = []
    for piece in pieces:
        places = (piece.label, trim(seen.text, piece.body, piece.end), trim(seen.text, piece.start, piece.end))
        label, body, place = (slice(*seen.span(*span)) for span in places)
        part = Segment(answer[label], answer[body], place.start, place.stop)
        if WORD.search(part.explanation) or part.label:
            segments.append(part)
    return segments
