"""Faults of answers that no score names: cut texts, left-over reasoning and template, list numbers on their own.

The rules are plain and err on the side of silence: a count is a lower bound, and each comes with an example.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from overton.evaluation.coverage import cut
from overton.evaluation.form import valid_tags
from overton.thoughts import THOUGHT_CLOSE, THOUGHT_OPEN
from overton.types import Answer

FAULTS: dict[str, str] = {
    "empty": "the answer has no word",
    "cut_head": "it begins in the middle of a sentence: with a small letter or a mark that begins nothing",
    "cut_end": "it does not end: cut off by the token limit, or its last sentence cannot end so",
    "think": "<think>, </think> or another mark of a thought is left in it",
    "label_prefix": 'it opens perspectives with "In the perspective of", as the references do',
    "fragment": "a later sentence of it, as the file has it, begins with a small letter",
    "number_only": "a line or sentence of it is nothing but a number",
    "debris": "a special token, a speaker's name or a placeholder is left in it, or its tags do not pair",
    "repeated": "a sentence of it occurs twice, word for word",
}
_WORD = re.compile(r"[^\W\d_]")
_THINK = re.compile(rf"{THOUGHT_OPEN}|{THOUGHT_CLOSE}", re.I)
_THOUGHT = re.compile(rf"\A.*{THOUGHT_CLOSE}\s*|{THOUGHT_OPEN}.*", re.I | re.DOTALL)
_TAG = re.compile(r"</?(?:core perspectives|summary)>", re.I)
_OPENER = re.compile(r"\b(?:in|from) the perspective of\b", re.I)
_NUMBER = re.compile(r"[ \t]*\(?\d{1,3}[.):]?[ \t]*")
_DEBRIS = re.compile(
    r"<\|[^|<>\n]{1,40}\|>|</?s>|\[/?INST\]|<</?SYS>>|\{(?:situation|question|prompt|answer)\}"
    r"|^[ \t]*(?:user|assistant|system|human|ai)[ \t]*(?::|$)",
    re.I | re.MULTILINE,
)
# "iPhones" is a name, and "a) ..." or "ii. ..." the first entry of a list.
_NO_HEAD = re.compile(r"[ \t]*(?:[a-z](?![A-Z]|[ivx]{0,3}[.)]\s)|[,;:.!?)\]}%])")
_SMALL = re.compile(r"[a-z]")
# Emoji, other closing quotes and the full stops of other scripts are among what is not ASCII.
_ENDED = re.compile(r"[.!?:\"')\]}*_`~$>|]\Z|[^\x00-\x7f]\Z")
# Entries of lists, headings, rows of tables and what is indented under them: they seldom have a full stop.
_ENTRY = re.compile(
    r"[*_]*(?:[-+*•◦▪‣·●○–—→✓✔]|\(?(?:\d{1,3}|[a-z]|[ivx]{1,4})[.):][*_]*)\s|#{1,6}\s|\||[^|]+\s\|\s|\t| {2,}\S", re.I
)
_RULE = re.compile(r"[-=~|:+ \t]{3,}")  # a line across the page or below a heading
# Words that no sentence ends with. Prepositions and auxiliaries may ("who they are"), so they are left out.
_NO_END = re.compile(
    r"(?:[,;(–-]|\b(?:a|an|the|and|or|but|nor|than|because|whether|which|whose|their|its|our|your|my|into|such as|"
    r"very))\Z",
    re.I,
)
_NAME_END = re.compile(r"\b(?:A|OR)\Z")  # "Vitamin A", "Portland, OR"


def find_faults(answer: Answer, sentences: Sequence[str] | None = None) -> dict[str, str]:
    """Faults of one answer, each with the place that shows it.

    Args:
        answer: what a model wrote.
        sentences: of the answer, where the file holds nothing else. They have lost their final punctuation, so only
            an ending that no sentence has counts as cut.

    Returns:
        Fault (a key of :data:`FAULTS`) -> at most 80 characters of the text.
    """
    text = answer.answer
    said = _DEBRIS.sub(" ", _TAG.sub(" ", _THOUGHT.sub("", text))).strip()
    if not _WORD.search(said):
        return {"empty": _shown(text)}
    lines = [line.strip() for line in (sentences if sentences is not None else text.splitlines()) if line.strip()]
    found: dict[str, str] = {}
    if _NO_HEAD.match(said):
        found["cut_head"] = _shown(said)
    if sentences is not None and (part := next((line for line in lines[1:] if _SMALL.match(line)), None)):
        found["fragment"] = _shown(part)
    last = said.splitlines()[-1].rstrip()
    if not answer.finished or (_NO_END.search(last) if sentences is not None else _is_cut(last)):
        found["cut_end"] = _shown(last, end=True)
    for name, pattern in (("think", _THINK), ("label_prefix", _OPENER), ("debris", _DEBRIS)):
        if match := pattern.search(text):
            found[name] = _shown(text[match.start() :])
    tag = _TAG.search(text)
    if "debris" not in found and tag and not valid_tags(_THOUGHT.sub("", text)):
        found["debris"] = _shown(text[tag.start() :])
    if number := next((line for line in lines if _NUMBER.fullmatch(line)), None):
        found["number_only"] = _shown(number)
    within = [line[s.start : s.end] for line in lines for s in cut(line)] if sentences is None else []
    if again := _repeated(lines) or _repeated(within):
        found["repeated"] = _shown(again)
    return found


def _repeated(texts: Sequence[str]) -> str:
    """The first text of three words or more that stood before; ``""`` without one."""
    seen: set[str] = set()
    for text in texts:
        if text.casefold() in seen and len(text.split()) > 2:
            return text
        seen.add(text.casefold())
    return ""


def _is_cut(last: str) -> bool:
    """Whether an answer whose last line this is was cut. Prose ends with a mark; an entry only must not end amiss."""
    if _ENTRY.match(last):
        return bool(_NO_END.search(last)) and not _NAME_END.search(last) and not _RULE.fullmatch(last)
    return not _ENDED.search(last) and not _RULE.fullmatch(last)


def count_faults(rows: Sequence[tuple[str, Mapping[str, str]]]) -> dict[str, dict[str, Any]]:
    """Faults of one system.

    Args:
        rows: id and faults of each of its answers.

    Returns:
        Fault -> ``answers`` (how many have it), ``of`` (answers), ``id`` and ``example`` of the first; faults that no
        answer has are left out.
    """
    found: dict[str, dict[str, Any]] = {}
    for name in FAULTS:
        own = [(key, faults[name]) for key, faults in rows if name in faults]
        if own:
            found[name] = {"answers": len(own), "of": len(rows), "id": own[0][0], "example": own[0][1]}
    return found


def _shown(text: str, end: bool = False) -> str:
    plain = " ".join(text.split())
    if len(plain) <= 80:
        return plain
    return f"...{plain[-77:]}" if end else f"{plain[:77]}..."
