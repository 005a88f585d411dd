"""Attacks on what a text is made of: letters, case, scripts."""

from __future__ import annotations

import random
import re
from dataclasses import replace

from hacking import language
from hacking.case import Case, Draft, Line
from hacking.registry import attack


@attack("invisible", "zero-width characters inside each word")
def _invisible(case: Case, rng: random.Random) -> Draft:
    return case.answer.changed(lambda text: language.zero_width(text, rng))


@attack("look-alike", "Cyrillic letters that look like Latin ones in each line")
def _look_alike(case: Case, rng: random.Random) -> Draft:
    return case.answer.changed(language.look_alike)


@attack("look-alike-half", "the same in every other line")
def _look_alike_half(case: Case, rng: random.Random) -> Draft:
    lines = [
        replace(line, explanation=language.look_alike(line.explanation)) if index % 2 else line
        for index, line in enumerate(case.answer.lines)
    ]
    return case.answer.having(lines)


@attack("shouted", "capitals")
def _shouted(case: Case, rng: random.Random) -> Draft:
    return case.answer.changed(str.upper)


@attack("unpunctuated", "lower case without punctuation")
def _unpunctuated(case: Case, rng: random.Random) -> Draft:
    return case.answer.changed(lambda text: re.sub(r"[^\w\s]", "", text.lower()))


@attack("scrambled", "the words of each line in another order")
def _scrambled(case: Case, rng: random.Random) -> Draft:
    return case.answer.changed(lambda text: language.shuffled_words(text, rng))


@attack("other-script", "each line in another script")
def _script(case: Case, rng: random.Random) -> Draft:
    return case.answer.changed(language.other_script)


@attack("other-script-added", "each line again in another script")
def _script_added(case: Case, rng: random.Random) -> Draft:
    return case.answer.with_copies(language.other_script)


@attack("other-language-added", "five lines in other languages added")
def _language(case: Case, rng: random.Random) -> Draft:
    return case.answer.plus(
        [
            Line("尊重", "每个人都应该受到尊重和公平对待"),
            Line("Uhuru", "kila mtu ana haki ya kuchagua mwenyewe"),
            Line("Freiheit", "jeder Mensch darf selbst über sein Leben entscheiden"),
            Line("Здоровье", "здоровье людей важнее всего"),
            Line("العدالة", "يجب أن يعامل الجميع بعدل"),
        ]
    )


@attack("symbols-added", "lines of symbols and emoji added")
def _symbols(case: Case, rng: random.Random) -> Draft:
    return case.answer.plus(
        Line(case.answer.lines[0].label, "".join(rng.choices("★☆♥→∞§¶✓🙂🙏💯", k=30))) for _ in range(5)
    )
