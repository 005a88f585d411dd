"""A text as a reader sees it: without invisible characters, with plain spaces and line breaks, its HTML as Markdown.

A zero-width space within "In the perspective of", a no-break space after a bullet or Windows' line ends must not
hide what the text says. Patterns are looked for in the visible text; what is found is given back in the positions,
and with the characters, of the text itself.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from overton.segment.html import markdown

# Soft hyphen, joiners, direction marks, variation selectors, fillers, byte order mark: they are not seen.
_HIDDEN = "\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b\u180c\u180d\u180e\u180f\u3164\ufeff\uffa0" + "".join(
    map(chr, [*range(0x200B, 0x2010), *range(0x202A, 0x202F), *range(0x2060, 0x2070), *range(0xFE00, 0xFE10)])
)
_SPACES = "\u00a0\u1680\u202f\u205f\u3000" + "".join(map(chr, range(0x2000, 0x200B)))
_BREAKS = "\r\x0b\x0c\x85\u2028\u2029"
_TABLE = {**{ord(c): None for c in _HIDDEN}, **{ord(c): " " for c in _SPACES}, **{ord(c): "\n" for c in _BREAKS}}
_ODD = re.compile(f"[{_HIDDEN}{_SPACES}{_BREAKS}]")
_UNSEEN = frozenset(_HIDDEN)


@dataclass(frozen=True, slots=True)
class Visible:
    """The visible text of an answer.

    Attributes:
        text: what a reader sees.
        offsets: for each character its place in the answer; ``None`` when the two are the same text.
    """

    text: str
    offsets: list[int] | None = None

    def span(self, start: int, end: int) -> tuple[int, int]:
        """(start, end) in the answer of a part of the visible text; nothing stays nothing."""
        if self.offsets is None:
            return start, end
        if end <= start:
            place = self.offsets[start] if start < len(self.offsets) else self.offsets[-1] + 1 if self.offsets else 0
            return place, place
        return self.offsets[start], self.offsets[end - 1] + 1


def visible(answer: str) -> Visible:
    """See an answer as its reader does. Most answers hold nothing odd and come back as they are."""
    seen = Visible(answer)
    if _ODD.search(answer):
        # A Windows line end is one line break, not two, which would be an empty line.
        answer = answer.replace("\r\n", "\u200b\n")
        seen = Visible(answer.translate(_TABLE), [i for i, c in enumerate(answer) if c not in _UNSEEN])
    shown = markdown(seen.text)
    if shown is None:
        return seen
    text, places = shown
    return Visible(text, places if seen.offsets is None else [seen.offsets[i] for i in places])
