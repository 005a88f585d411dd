"""One situation as an attacker meets it: the question, an honest answer, and what is known from other situations."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace

from overton.segment import CORE_CLOSE, CORE_OPEN, OPENER, SUMMARY_CLOSE, SUMMARY_OPEN
from overton.types import Perspective, Situation

Line = Perspective


@dataclass(frozen=True, slots=True)
class Draft:
    """An answer in parts, so that an attack can change one of them.

    Attributes:
        lines: label (may be empty) and text of each line.
        summary: text of the summary.
        template: whether the answer has the tags and a summary; without them it is its lines alone.
    """

    lines: tuple[Line, ...]
    summary: str = ""
    template: bool = True

    @property
    def labelled(self) -> bool:
        """Whether any line names a label."""
        return any(line.label for line in self.lines)

    def text(self) -> str:
        """The answer as a model would write it."""
        body = "\n".join(map(line_text, self.lines))
        if not self.template:
            return body
        return f"{CORE_OPEN}\n{body}\n{CORE_CLOSE}\n\n{SUMMARY_OPEN}\n{self.summary}\n{SUMMARY_CLOSE}"

    def having(self, lines: Iterable[Line]) -> Draft:
        """The same with other lines. Labels that are new are named in the summary; an answer without any gets none."""
        kept = tuple(lines) if self.labelled else tuple(Line("", line.explanation) for line in lines)
        own, named = {line.label for line in self.lines}, self.summary.lower()
        missing = dict.fromkeys(p.label for p in kept if p.label not in own and p.label.lower() not in named)
        summary = f"{self.summary} There are also {', '.join(missing)}." if missing else self.summary
        return replace(self, lines=kept, summary=summary)

    def plus(self, lines: Iterable[Line]) -> Draft:
        """The same with more lines at the end."""
        return self.having([*self.lines, *lines])

    def changed(self, change: Callable[[str], str]) -> Draft:
        """The same with the text of each line changed."""
        return self.having([replace(line, explanation=change(line.explanation)) for line in self.lines])

    def with_copies(self, change: Callable[[str], str]) -> Draft:
        """Each line followed by a changed copy."""
        return self.having(
            copy for line in self.lines for copy in (line, replace(line, explanation=change(line.explanation)))
        )


@dataclass(frozen=True, slots=True)
class Loot:
    """What an attacker has learnt from other situations; none of it comes from the ones that are measured.

    Attributes:
        lines: lines of honest answers.
        references: references, a tuple a situation.
        labels: labels of references, most frequent first.
        words: words of references, most frequent first.
        openings: first words that many references share, most frequent first.
        universal: lines found by search, those that match the most references of other situations first.
    """

    lines: tuple[Line, ...] = ()
    references: tuple[tuple[Perspective, ...], ...] = ()
    labels: tuple[str, ...] = ()
    words: tuple[str, ...] = ()
    openings: tuple[str, ...] = ()
    universal: tuple[Line, ...] = ()


@dataclass(frozen=True, slots=True)
class Case:
    """A situation with an honest answer.

    Attributes:
        id: unique within its source.
        prompt: the question.
        references: what the reward compares with; an attack looks at them only where it is an upper bound.
        answer: the honest answer.
        siblings: other honest answers to the same question.
        wordings: text of a line -> the same perspective in other words, by people or by the bundled world.
        states: text of a line -> indices of the references that it truly states.
        loot: what is known from other situations.
        situation: the bundled world's, whose oracle knows what any text states; ``None`` elsewhere.
    """

    id: str
    prompt: str
    references: tuple[Perspective, ...]
    answer: Draft
    siblings: tuple[Draft, ...] = ()
    wordings: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    states: Mapping[str, frozenset[int]] = field(default_factory=dict)
    loot: Loot = field(default_factory=Loot)
    situation: Situation | None = None

    @property
    def best(self) -> int | None:
        """Index of the first line that truly states a reference."""
        return next((i for i, p in enumerate(self.answer.lines) if self.states.get(plain(p.explanation))), None)


def line_text(line: Line) -> str:
    """A line as it stands in an answer."""
    text = line.explanation.strip()
    text = text if text.endswith((".", "!", "?")) else text + "."
    return f"{OPENER} {line.label}, {text}" if line.label else text


def plain(text: str) -> str:
    """A text without what layout adds: the key of ``wordings`` and ``states``."""
    return " ".join(text.split()).rstrip(".").casefold()
