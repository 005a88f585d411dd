"""What the reader of figures should know, in the words that commands and report share."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any

FEW = 30  # values; with fewer, bootstrap intervals are clearly too narrow (benchmarks/small_samples.py)


def few_note(scores: Iterable[Mapping[str, Any]]) -> list[str]:
    """What the reader of intervals should know: a line when one is over fewer than :data:`FEW` values, else none.

    Args:
        scores: what ``interval`` or ``compare`` of the evaluation returns: ``n`` and ``low``, of a comparison
            ``p_value`` too.
    """
    few = [score for score in scores if score["low"] is not None and score["n"] < FEW]
    if not few:
        return []
    least = min(score["n"] for score in few)
    line = f"some intervals are over {least} questions only: below about {FEW}, 95% bootstrap intervals are too narrow"
    if any("p_value" in score for score in few):
        line += " and one that leaves out 0 proves no difference; go by the p-values"
    return [line]


def intervals_in(figures: Any) -> Iterator[Mapping[str, Any]]:
    """Every interval (``low`` and ``n``) among figures, however deep it lies."""
    if isinstance(figures, Mapping):
        if "low" in figures and "n" in figures:
            yield figures
            return
        figures = list(figures.values())
    if isinstance(figures, list):
        for value in figures:
            yield from intervals_in(value)


def threshold_interval(low: float, high: float) -> str:
    """A calibrated threshold's interval: ``0.461 to 0.529``.

    An upper end of 1 stands for resamples in which no threshold has the precision that it is chosen by.
    """
    beyond = ", which is no cosine: often no threshold has the wanted precision" if high == 1 else ""
    return f"{low:.3f} to {high:.3f}{beyond}"


def fewer_note(asked: Mapping[str, Collection[str]]) -> list[str]:
    """A line where systems answered different questions, so that their means are no fair comparison; else none.

    Args:
        asked: ids of the questions that each system answered.
    """
    every = {question for ids in asked.values() for question in ids}
    fewer = [f"{name or 'answers'} {len(ids)}" for name, ids in asked.items() if len(ids) < len(every)]
    if not fewer:
        return []
    return [
        f"not every system answered all {len(every)} questions ({', '.join(fewer)}): means are over each system's own"
    ]


def other_text_note(count: int) -> list[str]:
    """A line on answers that were joined by ``id`` to a text that is not their prompt; none when there are none."""
    if not count:
        return []
    return [
        f"{count} answers were joined by `id` to a reference whose text is not their `prompt`; right when the prompt "
        "has a template around the situation, wrong when the ids are another file's"
    ]


def unmatched_note(ids: Sequence[str], answers: int) -> list[str]:
    """A line on answers without a reference, the first five by id; none when there are none.

    Args:
        ids: theirs.
        answers: how many there are in all.
    """
    if not ids:
        return []
    shown = ", ".join(short(name) for name in ids[:5]) + (", ..." if len(ids) > 5 else "")
    return [f"{len(ids)} of {answers} answers have no reference and no score: {shown}"]


def short(text: str) -> str:
    """At most 60 characters of it, for a message."""
    return text if len(text) <= 60 else text[:57] + "..."


def reasons(rows: Iterable[Mapping[str, Any]]) -> dict[str, int]:
    """Why rows have no value, or some value of theirs is missing, with how many; the most frequent first."""
    return dict(Counter(row["reason"] for row in rows if row["reason"]).most_common())
