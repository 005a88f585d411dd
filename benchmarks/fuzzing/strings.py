"""Random and adversarial answers, the same for the same seed."""

from __future__ import annotations

import random
import string
from collections.abc import Callable, Sequence

from overton.segment import format_answer
from overton.types import Perspective, Situation

LONGEST = 50_000  # characters, what the server takes
_PIECES = (
    *("<core perspectives>", "</core perspectives>", "<summary>", "</summary>", "<core", "perspectives>", "<", ">"),
    *("In the perspective of ", "From the perspective of ", "in the  perspective  of", ", ", ",", "[KW]", "[MASK]"),
    *("\n", "\n\n", "\r\n", "\r", "\x0b", "\x0c", "\x85", "\u2028", "\t", " ", "\xa0", "\u3000", "\x00", "\x1b[0m"),
    *("- ", "* ", "• ", "1. ", "1) ", "(a) ", "iv. ", "1.1.1 ", "# ", "###### ", "> ", "| a | b |", "|---|---|", "---"),
    *("**", "__", "`", "```", "[x](y)", "<b>", "</think>", "<|im_end|>", "</s>", "[CLS]", "&nbsp;", '{"a": 1}', "\\n"),
    *(
        "[",
        "]",
        "{",
        "}",
        '"',
        '", "',
        '": "',
        '"label": "',
        "<tr>",
        "<td>",
        "</td>",
        "<table>",
        "<br>",
        "View 1: ",
        "🔒 ",
    ),
    *("e.g. ", "Dr. ", "... ", "?! ", "。", "؟ ", ": ", "; ", "on the other hand, ", "First, ", "Conclusion: "),
    *(
        "privacy",
        "Right to life",
        "a diary",
        "nobody",
        "字",
        "é",
        "e\u0301",
        "🙂",
        "👩‍👩‍👧",
        "ﬁ",
        "İ",
        "ß",
        "\u0130",
        "а",
    ),
    *("\u200b", "\u200d", "\u202e", "\u2066", "\ufeff", "\ufffd", "\ud800", "\udfff", "\U000e0041", "\U0010ffff"),
)
_REPEATED = (*_PIECES, "a", "A", "1", "1.", ".", "(", ")", "[", '"', "'", "ab ", "a, b; ", "- a\n", "1. a\n", "| a ")


def _characters(chance: random.Random, size: int) -> str:
    """Any code points at all, half characters too."""
    return "".join(chr(chance.randrange(0x110000)) for _ in range(size))


def _plane(chance: random.Random, size: int) -> str:
    """Code points close to each other, as a script has them."""
    start = chance.choice((0x20, 0x300, 0x400, 0x590, 0x900, 0xE00, 0x1100, 0x2000, 0x3040, 0xD7F0, 0xFE00, 0x1F600))
    return "".join(chr(start + chance.randrange(200)) for _ in range(size))


def _ascii(chance: random.Random, size: int) -> str:
    return "".join(chance.choices(string.printable, k=size))


def _pieces(chance: random.Random, size: int) -> str:
    """Marks that the readers of answers look for, in any order."""
    return "".join(chance.choices(_PIECES, k=max(1, size // 5)))


def _repeated(chance: random.Random, size: int) -> str:
    """The same again and again, and something else at the end: what makes a pattern try everything."""
    piece = chance.choice(_REPEATED) + chance.choice(("", "", chance.choice(_REPEATED)))
    return piece * max(1, size // len(piece)) + chance.choice(("", "x", "\n", "</summary>", chance.choice(_PIECES)))


def _words(chance: random.Random, size: int) -> str:
    words = ["".join(chance.choices(string.ascii_lowercase, k=chance.randint(1, 9))) for _ in range(max(1, size // 6))]
    marks = [" ", " ", " ", " ", ", ", ". ", "\n", "\n- ", "! "]
    return "".join(word + chance.choice(marks) for word in words)


RANDOM: dict[str, Callable[[random.Random, int], str]] = {
    "characters": _characters,
    "script": _plane,
    "ascii": _ascii,
    "pieces": _pieces,
    "repeated": _repeated,
    "words": _words,
}
KINDS = (*RANDOM, "damaged", "empty")


def draw(number: int, seed: int, situation: Situation) -> tuple[str, str]:
    """String number so-and-so: its kind and its text.

    Nine of ten are at most 400 characters long, one of a thousand up to :data:`LONGEST`.
    """
    chance = random.Random(f"{seed} {number}")
    luck = chance.random()
    size = chance.randint(1, LONGEST if luck < 0.001 else 5000 if luck < 0.01 else 1500 if luck < 0.1 else 400)
    kind = KINDS[number % len(KINDS)]
    if kind == "damaged":
        return kind, _damaged(chance, situation.perspectives)[:LONGEST]
    if kind == "empty":
        return kind, chance.choice(("", " ", "\n", "\x00", "\u200b", "\ufeff", "\xa0\xa0", ".", "<summary></summary>"))
    return kind, RANDOM[kind](chance, size)[:LONGEST]


def _damaged(chance: random.Random, perspectives: Sequence[Perspective]) -> str:
    """A good answer with some damage: cut, doubled, mixed up, marks put in between."""
    chosen = chance.choices(perspectives, k=chance.randint(1, 8))
    text = format_answer(chosen, ", ".join(p.label for p in chosen))
    for _ in range(chance.randint(1, 6)):
        a, b = sorted(chance.choices(range(len(text) + 1), k=2))
        text = chance.choice(
            (
                text[:a] + text[b:],
                text[:b] + text[a:],
                text[b:] + text[:a],
                text[:a] + chance.choice(_PIECES) + text[a:],
                text[:a] + text[a:b].upper() + text[b:],
                text[:a] + text[a:b][::-1] + text[b:],
                text.replace(chance.choice(("\n", ",", " ", "<", "In the", "of ")), chance.choice(_PIECES)),
            )
        )[:LONGEST]
    return text
