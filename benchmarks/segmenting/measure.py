"""Counts: perspectives found again, new perspectives in prose, and what answers are cut into."""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from overton.types import Segment
from segmenting.forms import FORMS
from segmenting.logs import Logged, View, restored

_FIRST = re.compile(r"(?<=[.!?])\s|\n")
Reader = Callable[[str], list[Segment]]
MOST = 8  # perspectives of one answer
# What the first sentence of an answer says when it only announces the rest; the words are the most frequent ones of
# prompted models.
_INTRODUCTION = re.compile(
    r":$|\b(?:complex|multi-?faceted|nuanced|controversial|careful(?:ly)? consider\w*|debated)\b"
    r"|\b(?:rais|involv|invit)(?:es|ing) [\w ,'-]{0,60}(?:questions|concerns|considerations|implications|dimensions)\b"
)
_CLOSING = re.compile(
    r"(?:^|[.!?]\s|\n)\W*(?:In conclusion|In summary|To sum up|To summarize|Overall|Ultimately|"
    r"(?:Each|All) of these \w+s\b|These perspectives)\b"
)


def recovery(found: Sequence[Sequence[View]], readers: Mapping[str, Reader], seed: int) -> dict[str, Any]:
    """Perspectives written in each form and read again.

    Args:
        found: the perspectives of each answer.
        readers: by name.
        seed: of the phrases that the forms choose from.

    Returns:
        For each form and reader: precision, recall and F1 of segments with the right beginning and end, the share of
        answers in which all are right and nothing is beside them, and the share of right labels (``None`` where the
        form has none).
    """
    report: dict[str, Any] = {}
    for name, (group, form) in FORMS.items():
        row: dict[str, Any] = {"group": group}
        choice = random.Random(f"{seed} {name}")
        texts = [form(list(views)[:MOST], choice) for views in found]
        for reader, read in readers.items():
            hits = given = wanted = right = named = labels = 0
            for text in texts:
                segments = read(text.text)
                spans = {(s.start, s.end): s for s in segments}
                same = [place for place in text.places if (place.start, place.end) in spans]
                hits, given, wanted = hits + len(same), given + len(segments), wanted + len(text.places)
                right += len(same) == len(segments) == len(text.places)
                labels += sum(bool(place.label) for place in text.places)
                named += sum(spans[p.start, p.end].label == p.label for p in same if p.label)
            row[reader] = {**rates(hits, given, wanted), "all_right": round(right / len(texts), 4)}
            row[reader]["labels"] = round(named / labels, 4) if labels else None
        report[name] = row
    return report


def rates(hits: int, given: int, wanted: int) -> dict[str, float]:
    """Precision, recall and F1 of counts."""
    precision, recall = hits / given if given else 0.0, hits / wanted if wanted else 0.0
    f1 = 2 * precision * recall / (precision + recall) if hits else 0.0
    return {"precision": round(precision, 4), "recall": round(recall, 4), "f1": round(f1, 4)}


def boundaries(sentences: Sequence[str], read: Reader) -> set[int]:
    """Indices of the sentences at which something new begins: a segment, or what belongs to none."""
    text, starts = restored(sentences)
    cuts: list[int] = []
    end = 0
    for segment in read(text):
        cuts += [end, segment.start] if text[end : segment.start].strip() else [segment.start]
        end = segment.end
    if text[end:].strip(" ."):
        cuts.append(end)
    return {max(i for i, start in enumerate(starts) if start <= cut + 1) for cut in cuts} - {0}


def prose(labeled: Iterable[tuple[Logged, Sequence[int]]], readers: Mapping[str, Reader]) -> dict[str, Any]:
    """Where a new perspective begins, against labels.

    Args:
        labeled: answers, each with the indices of the sentences at which something new begins.
        readers: by name.

    Returns:
        The number of answers and sentences, and precision, recall and F1 of the boundaries by reader: over all
        answers, and by system.
    """
    counts: dict[str, dict[str, list[int]]] = {}
    answers = sentences = 0
    for answer, marks in labeled:
        answers, sentences = answers + 1, sentences + len(answer.sentences)
        for name, read in readers.items():
            found = boundaries(answer.sentences, read)
            for part in ("all", answer.system):
                row = counts.setdefault(part, {}).setdefault(name, [0, 0, 0])
                for place, value in enumerate((len(found & set(marks)), len(found), len(marks))):
                    row[place] += value
    by_part = {part: {name: rates(*row) for name, row in rows.items()} for part, rows in counts.items()}
    return {"answers": answers, "sentences": sentences, **by_part}


def same(texts: Iterable[tuple[str, str]], readers: Sequence[Reader]) -> dict[str, dict[str, int]]:
    """How many texts two readers cut alike, to the last character and label.

    Args:
        texts: (system, text) of each.
        readers: the two.
    """
    counts: dict[str, dict[str, int]] = {}
    for system, text in texts:
        row = counts.setdefault(system, {"answers": 0, "same": 0})
        row["answers"] += 1
        row["same"] += readers[0](text) == readers[1](text)
    return dict(sorted(counts.items()))


def systems(answers: Iterable[Logged], readers: Mapping[str, Reader]) -> dict[str, Any]:
    """Segments an answer, and shares of answers with an introduction or closing among the segments, by system."""
    counts: dict[str, dict[str, list[int]]] = {}
    for answer in answers:
        text, _ = restored(answer.sentences)
        for name, read in readers.items():
            segments = read(text)
            row = counts.setdefault(answer.system, {}).setdefault(name, [0, 0, 0, 0, 0])
            first = text[segments[0].start :] if segments and not text[: segments[0].start].strip() else ""
            row[0] += 1
            row[1] += len(segments)
            row[2] += len(segments) == 1
            row[3] += bool(first and _INTRODUCTION.search(_FIRST.split(first, maxsplit=1)[0]))
            row[4] += any(_CLOSING.search(s.explanation) for s in segments[-3:])
    return {
        system: {
            name: {
                "answers": n,
                "segments": round(total / n, 2),
                "one_segment": round(one / n, 4),
                "introduction": round(introduced / n, 4),
                "closing": round(closed / n, 4),
            }
            for name, (n, total, one, introduced, closed) in rows.items()
        }
        for system, rows in sorted(counts.items())
    }
