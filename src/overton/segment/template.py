"""The template of OP-GRPO (arXiv 2602.20759): its two blocks, its opener and its labels, read and written.

::

    <core perspectives>
    In the perspective of LABEL, explanation.
    ...
    </core perspectives>

    <summary>
    one paragraph
    </summary>
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

from overton.segment.stops import within_label
from overton.segment.visible import Visible, visible
from overton.thoughts import THOUGHT_CLOSE, THOUGHT_OPEN
from overton.types import Perspective

Span = tuple[int, int]  # start and end of a part of a text
CORE_OPEN, CORE_CLOSE = "<core perspectives>", "</core perspectives>"
SUMMARY_OPEN, SUMMARY_CLOSE = "<summary>", "</summary>"
OPENER = "In the perspective of"
MAX_LABEL = 120  # characters; the longest of the 5,400 labels of OP-GRPO's published test files has 90

_THINK_OPEN = re.compile(rf"\s*+{THOUGHT_OPEN}", re.IGNORECASE)
_THINK_LAST = re.compile(rf"{THOUGHT_OPEN}\s*\Z", re.IGNORECASE)
_LAST = 50  # characters: white space beyond them is none that a template writes
_THINK_CLOSE = re.compile(THOUGHT_CLOSE, re.IGNORECASE)
_MORE = re.compile(rf"\s*+(?:{THOUGHT_OPEN}|(?P<close>{THOUGHT_CLOSE}))", re.IGNORECASE)
_OPENER = re.compile(r"\b(?:in|from) the perspective of\b", re.IGNORECASE)
# Possessive quantifiers (*+) never backtrack: a page of spaces must not cost a minute.
_LABEL = re.compile(rf"\s*+([^,\n:]{{0,{MAX_LABEL}}}+)\s*+[,:]\s*")
_STOP = re.compile(r"\.")
_MARKER = re.compile(r"[ \t]*(?:[-*•]|\d{1,3}[.)])?[ \t]*[*_]{0,3}")
_TAG = re.compile(r"</?(?:core\s++perspectives|summary)>", re.IGNORECASE)


class Piece(NamedTuple):
    """A segment before its text is taken: places in the visible text.

    Attributes:
        start: where it begins, its marker and label included.
        label: (start, end) of the label; empty without one.
        body: where the explanation begins.
        end: where the segment ends.
    """

    start: int
    label: Span
    body: int
    end: int


@dataclass(frozen=True, slots=True)
class Layout:
    """Where the two blocks of an answer are.

    Attributes:
        valid: each tag occurs exactly once, in order, with nothing but space outside the blocks (a model's
            ``<think>`` part aside, which is never read).
        core: (start, end) of the text between the core tags; the whole answer when there are none.
        summary: text of the summary, ``""`` when there is none.
        tagged: whether any of the tags is there.
    """

    valid: bool
    core: Span
    summary: str
    tagged: bool = False


def layout(answer: str) -> Layout:
    """Find the core and summary blocks of an answer."""
    seen = visible(answer)
    return layout_in(answer, seen, *blocks(seen.text))


def layout_in(answer: str, seen: Visible, valid: bool, core: Span, summary: Span, tagged: bool) -> Layout:
    """The layout of an answer from :func:`blocks` of what is seen of it."""
    if seen.offsets is not None:
        # Tags with invisible characters in them are found, but they are not the template's.
        valid = valid and blocks(answer)[0]
    start, end = seen.span(*summary)
    return Layout(valid, seen.span(*core), answer[start:end].strip(), tagged)


def blocks(text: str) -> tuple[bool, Span, Span, bool]:
    """Whether the layout is valid, the core, the summary, and whether there is any tag."""
    begin = _after_thinking(text)
    tags = [(" ".join(m.group().lower().split()), m.start(), m.end()) for m in _TAG.finditer(text, begin)]
    if [t[0] for t in tags] == [CORE_OPEN, CORE_CLOSE, SUMMARY_OPEN, SUMMARY_CLOSE]:
        outside = text[begin : tags[0][1]] + text[tags[1][2] : tags[2][1]] + text[tags[3][2] :]
        core, summary = (tags[0][2], tags[1][1]), (tags[2][2], tags[3][1])
        said = text[core[0] : core[1]].strip() and text[summary[0] : summary[1]].strip()
        return bool(said) and not outside.strip(), core, summary, True
    start = next((end for name, _, end in tags if name == CORE_OPEN), begin)
    stop = next((s for name, s, _ in tags if name in (CORE_CLOSE, SUMMARY_OPEN) and s >= start), len(text))
    opened = next((end for name, _, end in tags if name == SUMMARY_OPEN), len(text))
    closed = next((s for _, s, _ in tags if s >= opened), len(text))
    return False, (start, stop), (opened, closed), bool(tags)


def behind(prompt: str, answer: str) -> str:
    """The answer as it reads behind its prompt.

    Prompts of some thinking models end where a thought begins. An answer that never ends it gets the mark of a thought
    in front, so that nothing of it is read.
    """
    if _THINK_LAST.search(prompt[-_LAST:]) and not _THINK_CLOSE.search(answer):
        return f"<think>{answer}"
    return answer


def _after_thinking(answer: str) -> int:
    """Where the answer proper starts; its end, when the model was cut off while it thought."""
    close = _THINK_CLOSE.search(answer)
    if not close:
        return len(answer) if _THINK_OPEN.match(answer) else 0
    begin = close.end()
    while more := _MORE.match(answer, begin):
        # Another thought right after the first, or another end of it.
        close = more if more.group("close") else _THINK_CLOSE.search(answer, more.end())
        if not close:
            return len(answer)
        begin = close.end()
    return begin


def openers(text: str, start: int, stop: int) -> list[re.Match[str]]:
    """Each "In/From the perspective of"."""
    return list(_OPENER.finditer(text, start, stop))


def read(text: str, found: list[re.Match[str]], stop: int) -> list[Piece]:
    """Pieces of a text in which each perspective begins with the opener; ``found`` are the openers."""
    pieces = []
    ends = [*(m.start() for m in found[1:]), stop]
    for opener, end in zip(found, ends, strict=True):
        label = _label_at(text, opener.end(), end)
        name, body = (bare(text, *label.span(1)), label.end()) if label else ((body := opener.end(), body), body)
        pieces.append(Piece(opener.start(), name, body, before_marker(text, body, end)))
    return pieces


def _label_at(text: str, start: int, end: int) -> re.Match[str] | None:
    """The label behind an opener with the comma or colon that ends it; none where a sentence ends before."""
    label = _LABEL.match(text, start, end)
    if label and "." in label[1]:
        first, last = label.span(1)
        if not all(within_label(text, first, m.start(), last) for m in _STOP.finditer(text, first, last)):
            return None
    return label


def trim(text: str, start: int, end: int) -> Span:
    """``(start, end)`` without the white space at either end."""
    end = rstrip(text, start, end)
    while start < end and text[start].isspace():
        start += 1
    return start, end


def bare(text: str, start: int, end: int) -> Span:
    """``(start, end)`` without white space and the marks of bold or italic text ("**In the perspective of A**,")."""
    while start < end and (text[start].isspace() or text[start] in "*_"):
        start += 1
    while end > start and (text[end - 1].isspace() or text[end - 1] in "*_"):
        end -= 1
    return start, end


def rstrip(text: str, start: int, end: int) -> int:
    """``end`` without the white space before it."""
    while end > start and text[end - 1].isspace():
        end -= 1
    return end


def before_marker(text: str, start: int, end: int) -> int:
    """``end`` without the bullet, number or bold mark of the opener that follows (".\n2. **In the perspective of")."""
    line = text.rfind("\n", start, end) + 1
    if line and _MARKER.fullmatch(text, line, rstrip(text, line, end)):
        return line
    while end > start and text[end - 1] in "*_":
        end -= 1
    return end


def strip_label(text: str) -> str:
    """Text without a leading ``In the perspective of LABEL,``; other text comes back as it is."""
    opener = _OPENER.match(text, len(text) - len(text.lstrip()))
    label = _label_at(text, opener.end(), len(text)) if opener else None
    return text[label.end() :] if label else text


def opening_label(text: str) -> str:
    """LABEL of a leading ``In the perspective of LABEL,``; ``""`` without one."""
    opener = _OPENER.match(text, len(text) - len(text.lstrip()))
    label = _label_at(text, opener.end(), len(text)) if opener else None
    return label.group(1).strip() if label else ""


def format_answer(perspectives: Iterable[Perspective], summary: str) -> str:
    """Write perspectives and a summary in the template; :func:`overton.segment.segment` reads them back."""
    lines = [f"{OPENER} {p.label}, {p.explanation.rstrip('.')}." for p in perspectives]
    return "\n".join([CORE_OPEN, *lines, CORE_CLOSE, "", SUMMARY_OPEN, summary.strip(), SUMMARY_CLOSE])
