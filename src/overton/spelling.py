"""When two texts are the same but for how they are written, and which characters a word is made of."""

from __future__ import annotations

import re
import unicodedata

# Vowel signs (of Hindi, Thai ...) and accents that are characters of their own: to \w they are the end of a word.
MARKS = "".join(c for c in map(chr, range(0x300, 0xABFF)) if unicodedata.category(c) in ("Mn", "Mc"))

HALF = re.compile("[\ud800-\udfff]")  # half a character: JSON can name one, and no tokenizer takes it


def run(letter: str) -> str:
    """Pattern of a run of characters of one class, ``\\w`` for example, with the marks between and behind them."""
    return rf"{letter}+(?:[{MARKS}]+{letter}*+)*+"


def one_spelling(text: str) -> str:
    """Case and white space do not count when texts are compared, nor whether an accent is a character of its own."""
    return unicodedata.normalize("NFC", " ".join(text.casefold().split()))


def composed(text: str) -> str:
    """The text with each letter and its accents as one character, where there is one."""
    return text if text.isascii() else unicodedata.normalize("NFC", text)


def whole(text: str) -> str:
    """The text with U+FFFD in place of each half character; as long as before, so offsets stay."""
    return text if text.isascii() else HALF.sub("\ufffd", text)
