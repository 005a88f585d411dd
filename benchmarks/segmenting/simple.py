"""A simple reader to compare with: openers, else lines with a bullet or number, else every sentence."""

from __future__ import annotations

import re

from overton.segment import layout
from overton.types import Segment

_OPENER = re.compile(r"\b(?:in|from) the perspective of\b", re.IGNORECASE)
_LABEL = re.compile(r"\s*+((?:[^,.\n:]|(?<=\bvs)\.){0,120}+)\s*+[,:]\s*")
_ITEM = re.compile(r"^[ \t]*(?:[-*•]|\d{1,3}[.)])[ \t]+", re.MULTILINE)
_MARKER = re.compile(r"[ \t]*(?:[-*•]|\d{1,3}[.)])")
_SENTENCE_END = re.compile(r"(?<=[.!?])\s+|(?<=[。！？])\s*|\n+")
_WORD = re.compile(r"[^\W_]")


def read(answer: str) -> list[Segment]:
    """Segments of an answer."""
    start, stop = layout(answer).core
    found = []
    openers = list(_OPENER.finditer(answer, start, stop))
    for opener, end in zip(openers, [*(m.start() for m in openers[1:]), stop], strict=False):
        label = _LABEL.match(answer, opener.end(), end)
        body = label.end() if label else opener.end()
        line = answer.rfind("\n", body, end) + 1
        if line and _MARKER.fullmatch(answer[line:end].rstrip()):
            end = line
        found.append(_segment(answer, label.group(1).strip() if label else "", opener.start(), body, end))
    if openers:
        return [s for s in found if s.label or _WORD.search(s.explanation)]
    items = list(_ITEM.finditer(answer, start, stop))
    if len(items) >= 2:
        for item, end in zip(items, [*(m.start() for m in items[1:]), stop], strict=True):
            found.append(_segment(answer, "", item.start(), item.end(), end))
    else:
        position = start
        for end, following in [*(m.span() for m in _SENTENCE_END.finditer(answer, start, stop)), (stop, stop)]:
            found.append(_segment(answer, "", position, position, end))
            position = following
    return [s for s in found if _WORD.search(s.explanation)]


def _segment(answer: str, label: str, start: int, body: int, end: int) -> Segment:
    end = start + len(answer[start:end].rstrip())
    start += len(answer[start:end]) - len(answer[start:end].lstrip())
    return Segment(label, answer[body:end].strip(), start, end)
