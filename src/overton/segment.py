"""From an answer's text to its perspectives: layout, segments, labels, masking. No model, no numpy.

The template (OP-GRPO, arXiv 2602.20759) is::

    <core perspectives>
    In the perspective of LABEL, explanation.
    ...
    </core perspectives>

    <summary>
    one paragraph
    </summary>

Text without the template is read as a list (one item a segment) or, failing that, sentence by sentence.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from functools import lru_cache

from overton.types import Perspective, Segment

CORE_OPEN, CORE_CLOSE = "<core perspectives>", "</core perspectives>"
SUMMARY_OPEN, SUMMARY_CLOSE = "<summary>", "</summary>"
OPENER = "In the perspective of"
MASK = "[MASK]"

_THINK_OPEN, _THINK_CLOSE = re.compile(r"\s*<think>", re.IGNORECASE), re.compile(r"</think>", re.IGNORECASE)
_OPENER = re.compile(r"\b(?:in|from) the perspective of\b", re.IGNORECASE)
# Possessive quantifiers (*+) never backtrack: a page of spaces must not cost a minute.
MAX_LABEL = 120  # characters; the longest of the 5,400 labels of OP-GRPO's published test files has 90
_LABEL = re.compile(rf"\s*+((?:[^,.\n:]|(?<=\bvs)\.){{0,{MAX_LABEL}}}+)\s*+[,:]\s*")
_ITEM = re.compile(r"^[ \t]*(?:[-*•]|\d{1,3}[.)])[ \t]+", re.MULTILINE)
_MARKER = re.compile(r"[ \t]*(?:[-*•]|\d{1,3}[.)])")
_SENTENCE_END = re.compile(r"(?<=[.!?])\s+|(?<=[。！？])\s*|\n+")
_TAG = re.compile(r"</?(?:core perspectives|summary)>", re.IGNORECASE)
_WORD = re.compile(r"[^\W_]+(?:['’-][^\W_]+)*")


@dataclass(frozen=True, slots=True)
class Layout:
    """Where the two blocks of an answer are.

    Attributes:
        valid: each tag occurs exactly once, in order, with nothing but space outside the blocks (a model's
            ``<think>`` part aside, which is never read).
        core: (start, end) of the text between the core tags; the whole answer when there are none.
        summary: text of the summary, ``""`` when there is none.
    """

    valid: bool
    core: tuple[int, int]
    summary: str


def layout(answer: str) -> Layout:
    """Find the core and summary blocks of an answer."""
    begin = _after_thinking(answer)
    tags = [(m.group().lower(), m.start(), m.end()) for m in _TAG.finditer(answer, begin)]
    order = [CORE_OPEN, CORE_CLOSE, SUMMARY_OPEN, SUMMARY_CLOSE]
    valid = [t[0] for t in tags] == order
    if valid:
        outside = answer[begin : tags[0][1]] + answer[tags[1][2] : tags[2][1]] + answer[tags[3][2] :]
        core, summary = (tags[0][2], tags[1][1]), answer[tags[2][2] : tags[3][1]].strip()
        valid = not outside.strip() and bool(answer[core[0] : core[1]].strip()) and bool(summary)
        return Layout(valid, core, summary)
    start = next((end for name, _, end in tags if name == CORE_OPEN), begin)
    stop = next((s for name, s, _ in tags if name in (CORE_CLOSE, SUMMARY_OPEN) and s >= start), len(answer))
    summary_start = next((end for name, _, end in tags if name == SUMMARY_OPEN), None)
    summary = "" if summary_start is None else _TAG.split(answer[summary_start:])[0].strip()
    return Layout(False, (start, stop), summary)


def _after_thinking(answer: str) -> int:
    """Where the answer proper starts; its end, when the model was cut off while it thought."""
    close = _THINK_CLOSE.search(answer)
    if close:
        return close.end()
    return len(answer) if _THINK_OPEN.match(answer) else 0


def segment(answer: str) -> list[Segment]:
    """Split an answer into the perspectives it states.

    Args:
        answer: text of one completion.

    Returns:
        Segments in order of appearance, with character offsets into ``answer``. Segments without any word
        are dropped.
    """
    start, stop = layout(answer).core
    openers = list(_OPENER.finditer(answer, start, stop))
    if openers:
        starts = [m.start() for m in openers]
        found = []
        for match, end in zip(openers, [*starts[1:], stop], strict=True):
            label = _LABEL.match(answer, match.end(), end)
            name, body = (label.group(1).strip(), label.end()) if label else ("", match.end())
            found.append(_trim(answer, name, match.start(), body, _before_marker(answer, body, end)))
        return [s for s in found if _WORD.search(s.explanation) or s.label]
    items = list(_ITEM.finditer(answer, start, stop))
    if len(items) >= 2:
        ends = [m.start() for m in items[1:]] + [stop]
        found = [_trim(answer, "", m.start(), m.end(), end) for m, end in zip(items, ends, strict=True)]
    else:
        found = [_trim(answer, "", s, s, e) for s, e in _sentences(answer, start, stop)]
    return [s for s in found if _WORD.search(s.explanation)]


def _sentences(text: str, start: int, stop: int) -> Iterable[tuple[int, int]]:
    position = start
    for match in _SENTENCE_END.finditer(text, start, stop):
        yield position, match.start()
        position = match.end()
    yield position, stop


def _before_marker(text: str, start: int, end: int) -> int:
    """``end`` without the bullet or number of the line that follows ("... .\\n2. In the perspective of")."""
    line = text.rfind("\n", start, end) + 1
    return line if line and _MARKER.fullmatch(text, line, _rstrip(text, line, end)) else end


def _rstrip(text: str, start: int, end: int) -> int:
    while end > start and text[end - 1].isspace():
        end -= 1
    return end


def _trim(text: str, label: str, start: int, body: int, end: int) -> Segment:
    end = _rstrip(text, start, end)
    while start < end and text[start].isspace():
        start += 1
    return Segment(label=label, explanation=text[body:end].strip(), start=start, end=end)


def strip_label(text: str) -> str:
    """Text without a leading ``In the perspective of LABEL,``; other text comes back as it is."""
    opener = _OPENER.match(text, len(text) - len(text.lstrip()))
    label = _LABEL.match(text, opener.end()) if opener else None
    return text[label.end() :] if label else text


def opening_label(text: str) -> str:
    """LABEL of a leading ``In the perspective of LABEL,``; ``""`` without one."""
    opener = _OPENER.match(text, len(text) - len(text.lstrip()))
    label = _LABEL.match(text, opener.end()) if opener else None
    return label.group(1).strip() if label else ""


def format_answer(perspectives: Iterable[Perspective], summary: str) -> str:
    """Write perspectives and a summary in the template; :func:`segment` reads them back."""
    lines = [f"{OPENER} {p.label}, {p.explanation.rstrip('.')}." for p in perspectives]
    return "\n".join([CORE_OPEN, *lines, CORE_CLOSE, "", SUMMARY_OPEN, summary.strip(), SUMMARY_CLOSE])


@lru_cache(maxsize=4096)
def keywords(prompt: str) -> frozenset[str]:
    """The words of a prompt that masking hides: all but stop words, lower case, without a possessive 's."""
    return frozenset(_base(m.group()) for m in _WORD.finditer(prompt)) - _STOP_WORDS


def _base(word: str) -> str:
    word = word.lower()
    return word[:-2] if word.endswith(("'s", "’s")) else word


def mask_words(text: str, words: Collection[str], mask: str = MASK) -> str:
    """Replace each run of the given words (case-insensitive, whole words) by one mask.

    Args:
        text: any text.
        words: lower-case words, as :func:`keywords` gives them.
        mask: what to write instead.
    """
    if not words:
        return text
    out: list[str] = []
    position = 0
    for match in _WORD.finditer(text):
        if match.group().lower() not in words and _base(match.group()) not in words:
            continue
        gap = text[position : match.start()]
        if not out or gap.strip():
            out += [gap, mask]
        position = match.end()
    out.append(text[position:])
    return "".join(out)


# English function words: the ones that carry no topic of a situation.
_STOP_WORDS = frozenset(
    [
        "a",
        "about",
        "above",
        "after",
        "again",
        "against",
        "all",
        "also",
        "although",
        "always",
        "am",
        "an",
        "and",
        "any",
        "are",
        "as",
        "at",
        "away",
        "be",
        "because",
        "been",
        "before",
        "being",
        "below",
        "between",
        "both",
        "but",
        "by",
        "can",
        "cannot",
        "could",
        "did",
        "do",
        "does",
        "doing",
        "done",
        "down",
        "during",
        "each",
        "either",
        "else",
        "even",
        "ever",
        "every",
        "everybody",
        "everyone",
        "few",
        "first",
        "for",
        "from",
        "further",
        "get",
        "gets",
        "give",
        "gives",
        "go",
        "goes",
        "going",
        "had",
        "has",
        "have",
        "having",
        "he",
        "her",
        "here",
        "hers",
        "herself",
        "him",
        "himself",
        "his",
        "how",
        "i",
        "if",
        "in",
        "into",
        "is",
        "it",
        "its",
        "itself",
        "just",
        "keep",
        "keeps",
        "let",
        "like",
        "made",
        "make",
        "makes",
        "may",
        "me",
        "might",
        "mine",
        "more",
        "most",
        "much",
        "must",
        "my",
        "myself",
        "neither",
        "never",
        "no",
        "nobody",
        "nor",
        "not",
        "nothing",
        "now",
        "of",
        "off",
        "often",
        "on",
        "once",
        "one",
        "only",
        "or",
        "other",
        "others",
        "ought",
        "our",
        "ours",
        "ourselves",
        "out",
        "over",
        "own",
        "people",
        "person",
        "put",
        "rather",
        "same",
        "say",
        "says",
        "see",
        "shall",
        "she",
        "should",
        "since",
        "so",
        "some",
        "somebody",
        "someone",
        "something",
        "still",
        "such",
        "take",
        "takes",
        "than",
        "that",
        "the",
        "their",
        "theirs",
        "them",
        "themselves",
        "then",
        "there",
        "these",
        "they",
        "thing",
        "things",
        "this",
        "those",
        "though",
        "through",
        "to",
        "too",
        "toward",
        "towards",
        "under",
        "until",
        "up",
        "upon",
        "us",
        "use",
        "very",
        "was",
        "way",
        "we",
        "well",
        "were",
        "what",
        "when",
        "where",
        "whether",
        "which",
        "while",
        "who",
        "whole",
        "whom",
        "whose",
        "why",
        "will",
        "with",
        "within",
        "without",
        "would",
        "yet",
        "you",
        "your",
        "yours",
        "yourself",
        "yourselves",
    ]
)
