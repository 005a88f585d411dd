"""When two texts are the same but for how they are written."""

from __future__ import annotations

import unicodedata


def one_spelling(text: str) -> str:
    """Case and white space do not count when texts are compared, nor whether an accent is a character of its own."""
    return unicodedata.normalize("NFC", " ".join(text.casefold().split()))
