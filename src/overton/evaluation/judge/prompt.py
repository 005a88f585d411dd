"""Prompts are files with a version; what is judged is put into them so that it cannot get out of its quotation."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import yaml

from overton.errors import DataError

_FOLDER = Path(__file__).parent / "prompts"
_PLACE = re.compile(r"\{(\w+)\}")


@dataclass(frozen=True, slots=True)
class Prompt:
    """What a judge is told.

    Attributes:
        version: its name and number; of a file of yours, its name and the hash of its text.
        system: the first message; ``""`` for none.
        user: the second message.
    """

    version: str
    system: str
    user: str

    def messages(self, texts: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
        """The messages with each ``{name}`` replaced by the text of that name.

        ``{mark}`` is :func:`mark_of` the texts, unless one of that name is given. Texts are put in as they are and not
        looked through again: a ``{name}`` inside one stays.
        """
        clean = {name: whole(text) for name, text in {"mark": mark_of(texts.values()), **texts}.items()}
        turns = (("system", self.system), ("user", self.user))
        return tuple((role, _PLACE.sub(lambda m: clean.get(m[1], m[0]), text)) for role, text in turns if text)


def mark_of(texts: Iterable[str]) -> str:
    """A code that stands in none of the texts, so that none of them can end its quotation.

    It is made from the texts, so the same call is known again; whoever writes one of them would have to know a hash of
    their own text beforehand.
    """
    joined = whole("\0".join(texts))
    mark = hashlib.sha256(joined.encode()).hexdigest()[:16]
    while mark in joined:
        mark = hashlib.sha256(mark.encode()).hexdigest()[:16]
    return mark


def whole(text: str) -> str:
    """The text without half characters, which cannot be sent."""
    return text.encode("utf-8", "replace").decode()


def load_prompt(name: str) -> Prompt:
    """A prompt of this package: ``score``, ``pairwise``, ``representation`` or ``representation-multi``."""
    row = yaml.safe_load((_FOLDER / f"{name}.yaml").read_text(encoding="utf-8"))
    return Prompt(row["version"], row["system"], row["user"])


def read_prompt(path: Path, wanted: Iterable[str]) -> Prompt:
    """A prompt of yours: the text of one user message, with places such as ``{question}``.

    Args:
        path: UTF-8 text.
        wanted: places that must be there.

    Raises:
        DataError: the file cannot be read, or a place is missing.
    """
    try:
        text = path.read_text(encoding="utf-8-sig").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path}: cannot be read as UTF-8 text: {error}") from None
    missing = [name for name in wanted if f"{{{name}}}" not in text]
    if missing:
        raise DataError(f"{path}: the prompt has no place {{{missing[0]}}}; it is where the judge is shown that text")
    return Prompt(f"{path.stem}-{hashlib.sha256(text.encode()).hexdigest()[:8]}", "", text)
