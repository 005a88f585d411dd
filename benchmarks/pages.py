"""Pages whose tables come from results files."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from overton.jsonio import write_text


def filled(text: str, name: str, lines: Sequence[str]) -> str:
    """The text with other lines between the markers of that name."""
    begin, end = f"<!-- {name}:begin -->", f"<!-- {name}:end -->"
    return text[: text.index(begin) + len(begin)] + "\n" + "\n".join(lines) + "\n" + text[text.index(end) :]


def fill(page: Path, name: str, lines: Sequence[str]) -> None:
    """Put lines between a page's markers of that name."""
    write_text(page, filled(page.read_text(encoding="utf-8"), name, lines))
