"""How OP-GRPO's public code reads an answer: layout, segments, masking, format score.

Kept with its corner cases, which differ from :mod:`overton.segment` on purpose. Source of every rule: the public
code of arXiv 2602.20759 (``vllm_rollout_spmd.py`` and ``op_reward_batch.py``). Its regular expressions
take time that is quadratic in the length of odd answers; the functions here give the same results in linear time.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection
from functools import lru_cache

from overton.types import Segment

MASK = "[KW]"
_OPEN = re.compile(r"<core\s+perspectives>", re.IGNORECASE)
_CLOSE = re.compile(r"</core\s+perspectives>", re.IGNORECASE)
_SUMMARY_OPEN = re.compile(r"<summary>", re.IGNORECASE)
_SUMMARY_CLOSE = re.compile(r"</summary>", re.IGNORECASE)
_SPACE = re.compile(r"\s*+")
_OPENER = re.compile(r"(?:^|\n)(?=(?:From|In) the perspective of )", re.IGNORECASE)
_LABEL = re.compile(r"(?:^|\s)(?:From|In) the perspective of ([^,.\n]+)", re.IGNORECASE)
_WORD = re.compile(r"\b\w+\b")


def strict_core(answer: str) -> tuple[int, int] | None:
    """(start, end) of the core's text when the tag layout is right, else ``None``.

    Right means: nothing but the core block, space, and the summary block, both with text. Tags *inside* a block pass,
    since the published expression only looks at the ends: the core reaches to the first closing tag that a
    summary follows.
    """
    opening = _OPEN.match(answer, _space(answer, 0))
    closings = list(_SUMMARY_CLOSE.finditer(answer))
    if opening is None or not closings or answer[closings[-1].end() :].strip():
        return None
    last = closings[-1].start()
    start = _space(answer, opening.end())
    for close in _CLOSE.finditer(answer, start + 1):
        summary = _SUMMARY_OPEN.match(answer, _space(answer, close.end()))
        if summary is not None and last > summary.end():
            text = answer[summary.end() : last].strip()
            return (start, close.start()) if answer[start : close.start()].strip() and text else None
    return None


def segments(answer: str, start: int, end: int) -> list[Segment]:
    """Pieces that begin with an opener at the start of a line; text before the first opener is a piece too.

    Labels stay in the text.
    """
    text = answer[start:end]
    shift = start + len(text) - len(text.lstrip())
    text = text.strip() + "\n"
    cuts = [0]
    for match in _OPENER.finditer(text):
        cuts += [match.start(), match.end()]
    cuts.append(len(text))
    found = []
    for left, right in zip(cuts[::2], cuts[1::2], strict=True):
        piece = text[left:right]
        if piece.strip():
            begin = shift + left + len(piece) - len(piece.lstrip())
            label = _LABEL.search(piece.strip())
            name = label.group(1).strip() if label else ""
            found.append(Segment(name, piece.strip(), begin, begin + len(piece.strip())))
    return found


@lru_cache(maxsize=4096)
def keywords(prompt: str) -> frozenset[str]:
    """The words of a prompt that masking hides: lower case, letters and digits only, no stop words.

    The stop words are scikit-learn's; the authors take NLTK's, which have to be downloaded.
    """
    from sklearn.feature_extraction.text import ENGLISH_STOP_WORDS

    return frozenset(t for t in _WORD.findall(prompt.lower()) if t not in ENGLISH_STOP_WORDS and t.isalnum())


def mask(text: str, words: Collection[str]) -> str:
    """The words of a text with one space between, those given replaced by ``[KW]``; punctuation is lost.

    Without words to hide the text comes back as it is.
    """
    if not words:
        return text
    return " ".join(MASK if t.lower() in words else t for t in _WORD.findall(text))


def format_score(answer: str) -> float:
    """0 to 2: share of labeled segments (from .7 2, from .3 1), less .5 for each repeated segment or label, less
    .5, .75 or 1 when fewer than 75, 50 or 25% of the labels stand in the summary; never below 0.

    Without a core block the whole answer counts as core, without a summary block as summary.
    """
    found = segments(answer, *_block(answer, _OPEN, _CLOSE))
    if not found:
        return 0.0
    first, last = _block(answer, _SUMMARY_OPEN, _SUMMARY_CLOSE)
    summary = answer[first:last].strip().lower()
    labels = [s.label.lower() for s in found if _LABEL.search(s.explanation)]
    share = len(labels) / len(found)
    score = 2.0 if share >= 0.7 else 1.0 if share >= 0.3 else 0.0
    texts = Counter(s.explanation.lower() for s in found)
    score -= 0.5 * (sum(c - 1 for c in texts.values()) + sum(c - 1 for c in Counter(labels).values()))
    if labels:
        named = sum(label in summary for label in labels) / len(labels)
        score -= 0.0 if named >= 0.75 else 0.5 if named >= 0.5 else 0.75 if named >= 0.25 else 1.0
    return max(score, 0.0)


def _block(answer: str, opening: re.Pattern[str], closing: re.Pattern[str]) -> tuple[int, int]:
    begin = opening.search(answer)
    end = closing.search(answer, begin.end()) if begin else None
    return (begin.end(), end.start()) if begin and end else (0, len(answer))


def _space(text: str, start: int) -> int:
    match = _SPACE.match(text, start)
    assert match is not None
    return match.end()
