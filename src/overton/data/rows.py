"""What every source written by people gives: situations with all wordings of their perspectives, checked."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from overton.data.cells import cluster_value, optional_text, worded_text
from overton.data.io import spectrum_of
from overton.errors import DataError
from overton.segment import MAX_LABEL, OPENER, segment
from overton.spelling import one_spelling
from overton.types import Perspective, Situation

TEMPLATE = re.compile(r"</?(?:core perspectives|summary)>|\b(?:in|from) the perspective of\b", re.IGNORECASE)
# What ends a label in the answer's template, wherever it stands: a comma, a colon, any sign that is a line break.
_ENDS = r",:\n\r\v\f\x1c-\x1e\x85\u2028\u2029"
# White space is tried from its beginning only: a page of it would take forever.
_LABEL_ENDS = re.compile(rf"(?<!\s)(?:[^\S{_ENDS}]*+[{_ENDS}])++\s*")
_ENDS_AND_STOPS = re.compile(rf"(?<!\s)(?:[^\S{_ENDS}]*+[{_ENDS}.])++\s*")

# Labels of perspectives that name no value: who holds them.
SUPPORTERS, OPPONENTS = "Supporters", "Opponents"


@dataclass(frozen=True, slots=True)
class LabelledPair:
    """Two sentences, and whether people hold them to state the same perspective.

    Attributes:
        sentence1: one of them.
        sentence2: the other.
        same: the label.
        stances: ``"+"``, ``"-"`` or ``None`` of each.
        paraphrase: whether one of them was written to say what another text of the situation says.
    """

    sentence1: str
    sentence2: str
    same: bool
    stances: tuple[str | None, str | None] = (None, None)
    paraphrase: bool = False


@dataclass(frozen=True, slots=True)
class TableRow:
    """One situation of a table, or of another source written by people.

    Attributes:
        situation: with one reference a cluster.
        views: all perspectives, paraphrases included.
        completion: the answer as the table has it, when it is in the template; ``""`` otherwise.
        pairs: pairs that people labelled; without any, the clusters of ``views`` decide.
        split: the source's own split (``train``, ``dev``, ``test``), ``""`` when it has none.
        part: name of the source among several, ``""`` when there is only one.
    """

    situation: Situation
    views: tuple[Perspective, ...]
    completion: str = ""
    pairs: tuple[LabelledPair, ...] = ()
    split: str = ""
    part: str = ""


def view_of(
    label: Any,
    explanation: Any,
    stance: str | None,
    cluster: Any,
    where: str,
    provenance: str = "human",
    *,
    labels: bool = True,
    changed: list[str] | None = None,
) -> Perspective:
    """One checked perspective.

    Args:
        label: what stands in the table.
        explanation: the same.
        stance: ``"+"``, ``"-"`` or ``None``.
        cluster: as :func:`overton.data.cells.cluster_value` takes it.
        where: "FILE, row N" for messages.
        provenance: who wrote it.
        labels: whether it needs a label, which an answer to learn from names.
        changed: a label that the answer's template cannot hold as it is, and what it became, are appended.

    Raises:
        DataError: empty, overlong or not text, or the explanation has no word or holds a part of the answer's template.
    """
    given = optional_text(label, "label", where)
    if given is None and labels:
        raise DataError(f"{where}: `label` is empty; each perspective of data to train on needs one")
    name = _label(given or "")
    if (labels and not name) or len(name) > MAX_LABEL:
        shown = f"{name[:40]}..." if len(name) > 40 else label
        raise DataError(f"{where}: `label` must have 1 to {MAX_LABEL} characters beside punctuation, found {shown!r}")
    text = " ".join(worded_text(explanation, "explanation", where).split())
    if clash := TEMPLATE.search(text):
        raise DataError(
            f"{where}: `explanation` contains {clash.group()!r}, which is part of the answer's template. Give what "
            "follows it alone, and the name of the view as `label`"
        )
    if changed is not None and given and name != given.strip():
        changed.append(f"{where}: {given.strip()!r} is {name!r}")
    return Perspective(name, text, stance, cluster_value(cluster, where), provenance)


def _label(given: str) -> str:
    """A label as an answer can name it: full stops stay where segmentation reads them as part of the label."""
    name = _LABEL_ENDS.sub(" ", given).strip()
    if "." not in name:
        return name
    tried = (name, name.rstrip(". "))
    return next(filter(_reads_back, tried), _ENDS_AND_STOPS.sub(" ", given).strip())


def _reads_back(name: str) -> bool:
    """Whether segmentation finds the label in an answer of one line, and in one of two."""
    line = f"{OPENER} {name}, x."
    return all([part.label for part in segment("\n".join([line] * n))] == [name] * n for n in (1, 2))


def distinct(views: Sequence[Perspective], where: str, twice: list[str]) -> list[Perspective]:
    """Views of one situation; those with the same explanation, in any spelling, are one.

    It has the first one's label, the cluster of any of them, and their stance where they agree.

    Args:
        views: all perspectives of the situation.
        where: "FILE, row N" for messages.
        twice: what was joined is appended.

    Raises:
        DataError: one explanation is in two clusters.
    """
    found: dict[str, Perspective] = {}
    for view in views:
        text = one_spelling(view.explanation)
        if text not in found:
            found[text] = view
            continue
        first = found[text]
        shown = f"{view.explanation[:80]!r}"
        if first.cluster and view.cluster and first.cluster != view.cluster:
            raise DataError(
                f"{where}: the explanation {shown} is in cluster {first.cluster!r} and in {view.cluster!r}; "
                "give it one cluster, or change its words"
            )
        stance = first.stance if first.stance == view.stance else None
        found[text] = replace(first, cluster=first.cluster or view.cluster, stance=stance)
        twice.append(f"{where}: {shown}")
    return list(found.values())


def joined_note(twice: Sequence[str]) -> list[str]:
    """What the card should tell about explanations that :func:`distinct` joined."""
    many = f"{len(twice)} perspectives had the explanation of an earlier one of their situation and were joined with it"
    return [f"{many}, the first: {twice[0]}"] if twice else []


def changed_note(changed: Sequence[str]) -> list[str]:
    """What the card should tell about labels that :func:`view_of` changed."""
    many = f"{len(changed)} labels had punctuation or line breaks that would end them in an answer; it was left out"
    return [f"{many}, the first: {changed[0]}"] if changed else []


def row_of(
    name: str,
    text: str,
    views: Sequence[Perspective],
    where: str,
    completion: str = "",
    metadata: Mapping[str, Any] | None = None,
) -> TableRow:
    """One situation with one reference a cluster: a view counts once, in however many words the table has it.

    Raises:
        DataError: fewer than two references.
    """
    return TableRow(Situation(name, text, spectrum_of(views, where), dict(metadata or {})), tuple(views), completion)
