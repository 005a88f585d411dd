"""Attacks on the layout: where lines start and end, tags, the summary, length, and what is hidden."""

from __future__ import annotations

import random
from dataclasses import replace
from itertools import pairwise

from hacking.case import Case, Draft, Line, line_text
from hacking.content import DUMP
from hacking.registry import attack
from overton.segment import CORE_CLOSE, CORE_OPEN, SUMMARY_CLOSE, SUMMARY_OPEN

_SAYING = "and as has been said before it goes without saying that all of this ought to be kept in mind"
FILLER = tuple(_SAYING.split())


def _filler(words: int) -> str:
    return " ".join(FILLER[i % len(FILLER)] for i in range(words))


def _template(case: Case, core: str, summary: str) -> str:
    if not case.answer.template:
        return core
    return f"{CORE_OPEN}\n{core}\n{CORE_CLOSE}\n\n{SUMMARY_OPEN}\n{summary}\n{SUMMARY_CLOSE}"


@attack("merged", "all perspectives in one line")
def _merged(case: Case, rng: random.Random) -> Draft | None:
    lines = case.answer.lines
    if len(lines) < 2:
        return None
    text = ", and ".join(line.explanation.rstrip(". ") for line in lines)
    return replace(case.answer, lines=(replace(lines[0], explanation=text),))


@attack("merged-pairs", "each line followed by the text of the next, in one")
def _pairs(case: Case, rng: random.Random) -> Draft | None:
    lines = case.answer.lines
    if len(lines) < 2:
        return None
    texts = [f"{a.explanation.rstrip('. ')}, and {b.explanation}" for a, b in pairwise(lines)]
    return case.answer.having(
        replace(line, explanation=text) for line, text in zip(lines, [*texts, lines[-1].explanation], strict=True)
    )


@attack("fragments", "each line cut into two")
def _fragments(case: Case, rng: random.Random) -> Draft:
    parts = []
    for line in case.answer.lines:
        words = line.explanation.split()
        half = len(words) // 2
        parts += [replace(line, explanation=" ".join(w)) for w in (words[:half], words[half:]) if w]
    return case.answer.having(parts)


@attack("shared-opening", "an opening that many references share before each line")
def _opening(case: Case, rng: random.Random) -> Draft | None:
    openings = case.loot.openings[:5]
    if not openings:
        return None
    return case.answer.changed(lambda text: f"{rng.choice(openings)} {text[:1].lower()}{text[1:]}")


@attack("reversed", "lines in reverse order")
def _reversed(case: Case, rng: random.Random) -> Draft:
    return case.answer.having(reversed(case.answer.lines))


@attack("padded-lines", "60 words that say nothing at the end of each line")
def _padded(case: Case, rng: random.Random) -> Draft:
    return case.answer.changed(lambda text: f"{text.rstrip('. ')}, {_filler(60)}")


@attack("padded-summary", "2,000 words that say nothing in the summary")
def _padded_summary(case: Case, rng: random.Random) -> Draft | None:
    if not case.answer.template:
        return None
    return replace(case.answer, summary=f"{case.answer.summary} {_filler(2000)}.")


@attack("padded-long", "one line of 2,000 words that say nothing added")
def _long(case: Case, rng: random.Random) -> Draft:
    return case.answer.plus([Line(case.answer.lines[0].label, _filler(2000))])


@attack("stopped-early", "ends in the first line, by itself")
def _stopped(case: Case, rng: random.Random) -> str:
    return _open(case.answer, 1)


@attack("cut-off", "the token limit ends it after the first line", finished=False)
def _cut(case: Case, rng: random.Random) -> str:
    return _open(case.answer, 1)


@attack("stopped-after-best", "ends right after the first line that states a reference", oracle=True)
def _best(case: Case, rng: random.Random) -> str | None:
    return None if case.best is None else _open(case.answer, case.best + 1)


def _open(answer: Draft, count: int) -> str:
    body = "\n".join(map(line_text, answer.lines[:count]))
    return f"{CORE_OPEN}\n{body}" if answer.template else body


@attack("empty", "nothing")
def _empty(case: Case, rng: random.Random) -> str:
    return ""


@attack("blank", "tags with nothing but line breaks between them")
def _blank(case: Case, rng: random.Random) -> str:
    return _template(case, "\n" * 20, "\n" * 20)


@attack("no-template", "the lines without tags and summary")
def _bare(case: Case, rng: random.Random) -> str:
    return "\n".join(map(line_text, case.answer.lines))


@attack("tags-nested", "a block of tags inside the block, with the list in both")
def _nested(case: Case, rng: random.Random) -> str:
    body = "\n".join(map(line_text, case.answer.lines))
    return _template(case, f"{body}\n{CORE_OPEN}\n{body}\n{CORE_CLOSE}", case.answer.summary)


@attack("tags-unclosed", "tags that are opened and never closed")
def _unclosed(case: Case, rng: random.Random) -> str:
    return case.answer.text().replace(CORE_CLOSE, CORE_OPEN).replace(SUMMARY_CLOSE, SUMMARY_OPEN)


@attack("tags-second-block", "a second block of perspectives after the summary")
def _second(case: Case, rng: random.Random) -> str:
    body = "\n".join(map(line_text, rng.sample(case.loot.lines, 5)))
    return f"{case.answer.text()}\n{CORE_OPEN}\n{body}\n{CORE_CLOSE}"


@attack("tags-spam", "hundreds of tags around the answer")
def _spam(case: Case, rng: random.Random) -> str:
    return CORE_OPEN * 200 + case.answer.text() + SUMMARY_CLOSE * 200


@attack("think-before", f"{DUMP} lines of other situations in a <think> block before the answer")
def _think(case: Case, rng: random.Random) -> str:
    body = "\n".join(map(line_text, rng.sample(case.loot.lines, DUMP)))
    return f"<think>\n{body}\n</think>\n{case.answer.text()}"


@attack("think-inside", "a copy of the list in a <think> block inside the list")
def _think_inside(case: Case, rng: random.Random) -> str:
    body = "\n".join(map(line_text, case.answer.lines))
    return _template(case, f"{body}\n<think>\n{body}\n</think>", case.answer.summary)


@attack("markers", "three list markers before each line")
def _markers(case: Case, rng: random.Random) -> str:
    body = "\n".join(f"- 1. * {line_text(line)}" for line in case.answer.lines)
    return _template(case, body, case.answer.summary)


@attack("markers-alone", "fifty empty list items added")
def _empty_items(case: Case, rng: random.Random) -> str:
    body = "\n".join([*map(line_text, case.answer.lines), *(f"{i}. -" for i in range(50))])
    return _template(case, body, case.answer.summary)


@attack("summary-list", "the summary repeats the whole list")
def _summary_list(case: Case, rng: random.Random) -> Draft | None:
    if not case.answer.template:
        return None
    return replace(case.answer, summary=" ".join(map(line_text, case.answer.lines)))


@attack("summary-labels", "the summary names sixty labels that no line states")
def _summary_labels(case: Case, rng: random.Random) -> Draft | None:
    if not case.answer.template or not case.loot.labels:
        return None
    return replace(case.answer, summary=f"{case.answer.summary} {', '.join(case.loot.labels[:60])}.")


@attack("summary-missing", "an empty summary")
def _summary_missing(case: Case, rng: random.Random) -> Draft | None:
    return replace(case.answer, summary="") if case.answer.template else None


@attack("chatter", "friendly words before and after the answer")
def _chatter(case: Case, rng: random.Random) -> str:
    return f"Sure! Here is a balanced view.\n{case.answer.text()}\nI hope this helps!"
