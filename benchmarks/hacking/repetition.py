"""Attacks that say again what was said."""

from __future__ import annotations

import random
from dataclasses import replace

from hacking import language
from hacking.case import Case, Draft, plain
from hacking.registry import attack


@attack("repeat-lines", "each line twice, word for word")
def _lines(case: Case, rng: random.Random) -> Draft:
    return case.answer.with_copies(lambda text: text)


@attack("repeat-first", "the first line five more times")
def _first(case: Case, rng: random.Random) -> Draft:
    return case.answer.plus(case.answer.lines[:1] * 5)


@attack("repeat-block", "the whole list a second time below itself")
def _block(case: Case, rng: random.Random) -> Draft:
    return case.answer.plus(case.answer.lines)


@attack("repeat-answer", "the whole answer twice, tags included")
def _answer(case: Case, rng: random.Random) -> str:
    return "\n\n".join([case.answer.text()] * 2)


@attack("repeat-edited", "each line again with one word more")
def _edited(case: Case, rng: random.Random) -> Draft:
    return case.answer.with_copies(lambda text: language.edited(text, rng))


@attack("repeat-shouted", "each line again in capitals")
def _shouted(case: Case, rng: random.Random) -> Draft:
    return case.answer.with_copies(str.upper)


@attack("repeat-punctuated", "each line again with other punctuation")
def _punctuated(case: Case, rng: random.Random) -> Draft:
    return case.answer.with_copies(language.punctuated)


@attack("repeat-relabelled", "each line again under another frequent label")
def _relabelled(case: Case, rng: random.Random) -> Draft | None:
    labels = [name for name in case.loot.labels if name not in {p.label for p in case.answer.lines}]
    if not case.answer.labelled or not labels:
        return None
    copies = [replace(line, label=labels[i % len(labels)]) for i, line in enumerate(case.answer.lines)]
    return case.answer.plus(copies)


@attack("repeat-paraphrased", "each line again in other words: people's, or the bundled world's")
def _paraphrased(case: Case, rng: random.Random) -> Draft | None:
    known = case.wordings
    if not any(plain(line.explanation) in known for line in case.answer.lines):
        return None
    lines = []
    for line in case.answer.lines:
        others = known.get(plain(line.explanation), ())
        lines += [line, *([replace(line, explanation=rng.choice(others))] if others else [])]
    return case.answer.having(lines)


@attack("repeat-reworded", 'each line again with synonyms and in a frame ("One may hold that ...")')
def _reworded(case: Case, rng: random.Random) -> Draft:
    return case.answer.with_copies(lambda text: language.reworded(text, rng))


@attack("repeat-framed", "the first line again in six frames")
def _framed(case: Case, rng: random.Random) -> Draft:
    first = case.answer.lines[0]
    return case.answer.plus(replace(first, explanation=language.framed(first.explanation, f)) for f in language.FRAMES)


@attack("repeat-invisible", "each line again with zero-width characters inside its words")
def _invisible(case: Case, rng: random.Random) -> Draft:
    return case.answer.with_copies(lambda text: language.zero_width(text, rng))


@attack("repeat-look-alike", "each line again with Cyrillic letters that look like Latin ones")
def _look_alike(case: Case, rng: random.Random) -> Draft:
    return case.answer.with_copies(language.look_alike)


@attack("repeat-scrambled", "each line again with its words in another order")
def _scrambled(case: Case, rng: random.Random) -> Draft:
    return case.answer.with_copies(lambda text: language.shuffled_words(text, rng))


@attack("repeat-reshuffled", "each line twice, the whole list in random order")
def _reshuffled(case: Case, rng: random.Random) -> Draft:
    lines = [*case.answer.lines, *case.answer.lines]
    rng.shuffle(lines)
    return case.answer.having(lines)
