"""Logged answers of published systems: texts again, and perspectives with their places."""

from __future__ import annotations

import gzip
import json
import random
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from overton.errors import DataError

_OPENER = re.compile(r"^In the perspective of (?:\*\*)?(?P<label>[^,*\n]{2,80})(?:\*\*)?, (?P<text>.{20,})$")
_THOUGHT = re.compile(r"^.*</think>\s*", re.DOTALL)
_NUMBER = re.compile(r"\d{1,2}")


class Logged(NamedTuple):
    """One answer of the log."""

    system: str
    split: str
    prompt: str
    sentences: tuple[str, ...]


class View(NamedTuple):
    """A perspective: its label and its sentences, each with a full stop."""

    label: str
    sentences: tuple[str, ...]

    @property
    def text(self) -> str:
        """All that it says."""
        return " ".join(self.sentences)


def read_log(path: Path) -> list[Logged]:
    """Rows of a log in JSON lines, gzipped or not.

    Raises:
        DataError: it is missing or broken.
    """
    try:
        with (gzip.open if path.suffix == ".gz" else open)(path, "rt", encoding="utf-8") as file:
            rows = [json.loads(line) for line in file]
        return [Logged(r["system"], r["split"], r["prompt"], tuple(r["response_sentences"])) for r in rows]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(f"{path}: cannot be read as a log of answers: {error!r}") from None


def choose(rows: Iterable[Logged], systems: str, splits: Sequence[str], count: int, seed: int) -> list[Logged]:
    """A sample of the answers of the systems that a pattern names, the same for the same seed."""
    found = [r for r in rows if r.split in splits and re.fullmatch(systems, r.system)]
    return random.Random(seed).sample(found, min(count, len(found)))


def restored(sentences: Sequence[str]) -> tuple[str, list[int]]:
    """A text from logged sentences, and where each begins.

    The log lost full stops, and line breaks after them. Each sentence gets a full stop; a sentence that is nothing but
    a number is that of a list and begins a line.
    """
    text, starts = "", []
    for sentence in sentences:
        said = _THOUGHT.sub("", sentence).strip()
        if text:
            text += "\n\n" if _NUMBER.fullmatch(said) else " "
        starts.append(len(text))
        text += said if said[-1:] in (":", "!", "?", "") else f"{said}."
    return text, starts


def views(sentences: Sequence[str]) -> list[View]:
    """Perspectives of an answer in which each begins with "In the perspective of LABEL,"; empty for other answers."""
    found: list[View] = []
    for sentence in sentences:
        said = " ".join(_THOUGHT.sub("", sentence).split())
        match = _OPENER.match(said)
        if match:
            text = match["text"]
            found.append(View(_capital(match["label"].strip()), (f"{_capital(text)}.",)))
        elif not found or "perspective of" in said or len(said) < 20:
            return []
        else:
            found[-1] = found[-1]._replace(sentences=(*found[-1].sentences, f"{said}."))
    return found if len(found) >= 2 else []


def _capital(text: str) -> str:
    return text[0].upper() + text[1:]
