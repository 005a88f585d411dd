"""Prose to pieces: sentences that go on with one view are one piece.

A paragraph begins a piece. Within it a sentence begins another one when it turns ("However"), names a view or who holds
it ("Legally,", "Critics", "Secondly"), or shares no word with the sentence before. It goes on with the piece when it
begins as such ("This", "For example") or takes up a word of the sentence before that is not a word of the whole text.
What only announces ("is a complex issue") or sums up ("In conclusion") is no perspective and left out.
"""

from __future__ import annotations

import re
from collections import Counter
from typing import NamedTuple

from overton.segment.announcing import announces
from overton.segment.cues import Beginning, Cue, beginning
from overton.segment.marks import marked_line
from overton.segment.masking import STOP_WORDS, WORD
from overton.segment.phrases import ASIDE
from overton.segment.sentences import paragraphs, sentences
from overton.segment.template import Piece, Span
from overton.spelling import composed

_COMMON = 0.34  # a word in this share of the sentences is what the text is about: it ties no two sentences
_OUTLINE = 3  # so many named views, or paragraphs, are an outline
_INTRODUCTION = 3  # sentences at most
_LATE = 0.25  # of the sentences, or the last three: there "Ultimately" sums up
_STEM, _SHORTEST = 5, 4  # letters that two words share when they are forms of one; shorter words tie nothing
# Runs of Chinese signs but for those that carry no topic, of katakana, of Korean syllables; hiragana is mostly grammar.
_NO_TOPIC = (
    "的了是不也都很会這这那有在就和与而但或所可能要应该对把被让使为"
    "以从到个们他她它我你您自己人吗呢吧啊更最还又再已将则且若如彼私者"
)
_UNSPACED = re.compile(
    rf"(?:(?![{_NO_TOPIC}])[\u3400-\u9fff]){{2,}}+|[\u30a1-\u30fa\u30fc]{{2,}}+|[\uac00-\ud7a3]{{2,}}+"
)

_PRONOUNS = frozenset(("it", "they", "this", "these", "es", "il", "elle", "ils", "elles", "он", "она", "они", "это"))


class Sentence(NamedTuple):
    """One sentence and what its beginning says.

    Attributes:
        start: where it begins, a list mark before it included.
        end: where it ends.
        first: whether it is the first of its paragraph.
        begins: how it begins: cue, label and where the text after the label begins.
        word: its first word.
        stems: its words, shortened, without the function words.
    """

    start: int
    end: int
    first: bool
    begins: Beginning
    word: str
    stems: frozenset[str]


def read(text: str, start: int, stop: int) -> list[Piece]:
    """Pieces of a prose text."""
    found = _sentences(text, start, stop)
    if not found:
        return []
    last = _closing(found)
    begin = _after_introduction(text, found, last)
    said = found[begin:last]
    counts = Counter(stem for sentence in found for stem in sentence.stems)
    common = {stem for stem, n in counts.items() if n > max(2, _COMMON * len(found))}
    outline = _has_outline(said)
    pieces: list[Piece] = []
    head = ""
    for before, sentence in zip([None, *said], said, strict=False):
        if before is None or _opens(sentence, before, head, outline, common):
            pieces.append(Piece(sentence.start, sentence.begins.label, sentence.begins.body, sentence.end))
            head = sentence.word
        else:
            pieces[-1] = pieces[-1]._replace(end=sentence.end)
    return pieces


def _sentences(text: str, start: int, stop: int) -> list[Sentence]:
    """Sentences with a word in them; a title is one only where there is nothing else."""
    found: list[Sentence] = []
    titles: list[Sentence] = []
    for begin, end in paragraphs(text, start, stop):
        line = text.find("\n", begin, end)
        row = marked_line(text, begin, end if line < 0 else line)
        if row is None:
            continue
        if row.alone and found and row.label[0] < row.label[1] and ASIDE.fullmatch(composed(text[slice(*row.label)])):
            break  # "Conclusion", "References"
        title = row.alone or (line < 0 and text[end - 1] in ":：")
        # Alone, a letter may be an initial and "3.5" an amount.
        marked = not title and (row.key == "**" or (row.listed and row.key[0] != "a" and "." not in row.key))
        for number, span in enumerate(sentences(text, row.body if marked else begin, end)):
            words = [m.group().lower() for m in WORD.finditer(text, *span)]
            if not words:
                continue
            begins = beginning(text, *span)
            if not number and marked and row.label[0] < row.label[1]:
                begins = Beginning(Cue.NAMES, row.label, span[0])
            elif not number and marked:
                begins = begins._replace(body=max(begins.body, row.body))
            stems = frozenset(w[:_STEM] for w in words if w not in STOP_WORDS and len(w) >= _SHORTEST) | _pairs(
                text, span
            )
            place = span[0] if number else begin
            (titles if title else found).append(Sentence(place, span[1], not number, begins, words[0], stems))
    return found or titles


def _pairs(text: str, span: Span) -> set[str]:
    """Pairs of neighbouring signs, in place of words, where no space divides these."""
    runs = (run.group() for run in _UNSPACED.finditer(text, *span))
    return {run[i : i + 2] for run in runs for i in range(len(run) - 1)}


def _after_introduction(text: str, found: list[Sentence], last: int) -> int:
    """Index of the first sentence that says something; never all are passed over."""
    index = 0
    while index < min(_INTRODUCTION, last - 1) and (
        announces(text, found[index].start, found[index].end)
        or (index and not found[index].first and found[index].begins.cue is Cue.CONTINUES)
    ):
        index += 1
    return index


def _has_outline(said: list[Sentence]) -> bool:
    """Whether named views, or paragraphs, show where the perspectives are: other sentences belong to them."""
    views = sum(s.begins.cue in (Cue.OPENS, Cue.NAMES) for s in said)
    heads = [s.begins.cue for s in said if s.first]
    if views >= _OUTLINE or _OUTLINE <= len(heads) < len(said):
        return True
    # "Supporters say ..." and "Opponents say ...", a paragraph each.
    return 2 <= len(heads) < len(said) and all(cue in (Cue.OPENS, Cue.NAMES, Cue.TURNS) for cue in heads)


def _closing(found: list[Sentence]) -> int:
    """Index of the first sentence of the closing, which is not all of the text; without one the number of sentences."""
    n = len(found)
    for index in range(1, n):
        cue = found[index].begins.cue
        if cue is Cue.CLOSES and index >= n / 2:
            return index
        if cue is Cue.MAY_CLOSE and n - index <= max(3, _LATE * n):
            return index
    return n


def _opens(sentence: Sentence, before: Sentence, head: str, outline: bool, common: set[str]) -> bool:
    """Whether a sentence begins a piece; ``head`` is the first word of the piece before."""
    cue = sentence.begins.cue
    if sentence.first or cue in (Cue.OPENS, Cue.NAMES, Cue.TURNS):
        return True
    if cue is Cue.CONTINUES and sentence.word == head and head in _PRONOUNS:
        # "It hurts her. It helps him": what the second speaks of is what the first does.
        return not sentence.stems & before.stems
    if cue in (Cue.CONTINUES, Cue.CLOSES, Cue.MAY_CLOSE) or (outline and cue is Cue.NONE):
        return False
    return not (sentence.stems & before.stems) - common
