"""Source `argkp`: Key Point Analysis 2021 (Friedman et al. 2021; Bar-Haim et al. 2020, ACL).

The folder holds `arguments_*.csv`, `key_points_*.csv` and `labels_*.csv` of
https://github.com/IBM/KPA_2021_shared_task. A topic is a situation, its key points are the references, and the
arguments that annotators matched with exactly one key point are that key point in other words. Every labelled pair
of an argument and a key point is kept as a labelled pair; pairs that annotators did not agree on have no label.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from overton.data.cells import check_columns, worded_text
from overton.data.files import read_rows
from overton.data.rows import OPPONENTS, SUPPORTERS, LabelledPair, TableRow
from overton.errors import DataError
from overton.types import Perspective, Situation

_COLUMNS = {
    "arguments": ("arg_id", "argument", "topic", "stance"),
    "key_points": ("key_point_id", "key_point", "topic", "stance"),
    "labels": ("arg_id", "key_point_id", "label"),
}
_STANCES = {"1": ("+", SUPPORTERS), "-1": ("-", OPPONENTS)}


@dataclass(frozen=True, slots=True)
class KeyPointGroup:
    """Arguments and key points of one topic and stance, the unit of the shared task's metric.

    Attributes:
        topic: the topic.
        stance: ``"+"`` or ``"-"``.
        arguments: n texts.
        key_points: m texts.
        labels: (argument, key point) -> whether it expresses it; pairs without agreement are missing.
    """

    topic: str
    stance: str
    arguments: tuple[str, ...]
    key_points: tuple[str, ...]
    labels: Mapping[tuple[int, int], bool]


def key_point_groups(folder: Path, split: str) -> list[KeyPointGroup]:
    """The matching task of one split: every argument, labelled or not, against the key points of its side.

    Args:
        folder: as for :func:`read_argkp`.
        split: ``train``, ``dev`` or ``test``, as in the files' names.

    Raises:
        DataError: as :func:`read_argkp`.
    """
    arguments, points, labels = _read_files(folder, split)
    sides = dict.fromkeys((p["topic"], p["stance"]) for p in points.values())
    found = []
    for topic, stance in sides:
        own = [name for name, a in arguments.items() if (a["topic"], a["stance"]) == (topic, stance)]
        side = [name for name, p in points.items() if (p["topic"], p["stance"]) == (topic, stance)]
        marks = {
            (i, side.index(point)): label
            for i, name in enumerate(own)
            for point, label in labels.get(name, {}).items()
            if point in side
        }
        if own:
            texts = tuple(arguments[name]["argument"] for name in own)
            shown = tuple(points[name]["key_point"] for name in side)
            found.append(KeyPointGroup(topic, _STANCES[stance][0], texts, shown, marks))
    return found


def read_argkp(folder: Path, warnings: list[str]) -> list[TableRow]:
    """Topics with their key points, arguments and labelled pairs, each with its official split.

    Args:
        folder: with the CSV files of one split or more.
        warnings: what was left out is appended.

    Raises:
        DataError: no or incomplete files, an unknown stance or label, a label for what is not there or of
            another topic, or one pair labelled both ways.
    """
    splits = sorted(p.stem.removeprefix("arguments_") for p in folder.glob("arguments_*.csv"))
    if not splits:
        raise DataError(f"{folder}: no arguments_*.csv; the folder of the shared task's files is wanted")
    return [row for split in splits for row in _read_split(folder, split, warnings)]


def _read_files(
    folder: Path, split: str
) -> tuple[dict[str, dict[str, Any]], dict[str, dict[str, Any]], dict[str, dict[str, bool]]]:
    """Arguments and key points by id, and the labels by argument and key point."""
    arguments = _table(folder / f"arguments_{split}.csv", "arguments", "arg_id")
    points = _table(folder / f"key_points_{split}.csv", "key_points", "key_point_id")
    labels: dict[str, dict[str, bool]] = {}
    path = folder / f"labels_{split}.csv"
    for where, row in _read(path, "labels"):
        if row["label"] not in ("0", "1"):
            raise DataError(f"{where}: `label` must be 0 or 1, found {row['label']!r}")
        for name, table in (("arg_id", arguments), ("key_point_id", points)):
            if row[name] not in table:
                raise DataError(f"{where}: {name} {row[name]!r} is in no row of the other files")
        argument, point, label = row["arg_id"], row["key_point_id"], row["label"] == "1"
        topics = arguments[argument]["topic"], points[point]["topic"]
        if topics[0] != topics[1]:
            raise DataError(
                f"{where}: arg_id {argument!r} is of topic {topics[0]!r} and key_point_id {point!r} of {topics[1]!r}; "
                "an argument is compared with key points of its own topic"
            )
        if labels.setdefault(argument, {}).setdefault(point, label) != label:
            raise DataError(
                f"{where}: arg_id {argument!r} and key_point_id {point!r} have another label in a row before; keep one"
            )
    return arguments, points, labels


def _read_split(folder: Path, split: str, warnings: list[str]) -> list[TableRow]:
    arguments, points, labels = _read_files(folder, split)
    rows = []
    numbers = _numbers(points)
    for topic in numbers:
        own = {name: p for name, p in points.items() if p["topic"] == topic}
        if len(own) < 2:
            warnings.append(f"{split}: {topic!r} has one key point and was left out")
            continue
        said = {name: a for name, a in arguments.items() if a["topic"] == topic}
        rows.append(_topic(topic, f"argkp-{split}-{numbers[topic]}", own, said, labels, split))
    return rows


def _numbers(points: dict[str, dict[str, Any]]) -> dict[str, str]:
    """Of each topic the number in its published ids (`kp_NUMBER_0`); where ids have another form, its first id."""
    first: dict[str, str] = {}
    for name, point in points.items():
        first.setdefault(point["topic"], name)
    numbers = {topic: name.split("_")[1] for topic, name in first.items() if name.count("_") > 1}
    return numbers if len(set(numbers.values())) == len(first) else first


def _topic(
    topic: str,
    name: str,
    points: dict[str, dict[str, Any]],
    arguments: dict[str, dict[str, Any]],
    labels: dict[str, dict[str, bool]],
    split: str,
) -> TableRow:
    references = {point: _view(p["key_point"], p["stance"], point, "key point") for point, p in points.items()}
    views = list(references.values())
    pairs = []
    for said, argument in arguments.items():
        marks = labels.get(said, {})
        expressed = [point for point, label in marks.items() if label]
        if len(expressed) == 1:
            views.append(_view(argument["argument"], argument["stance"], expressed[0], "argument"))
        for point, label in marks.items():
            stances = (_STANCES[argument["stance"]][0], _STANCES[points[point]["stance"]][0])
            pairs.append(LabelledPair(argument["argument"], points[point]["key_point"], label, stances))
    situation = Situation(name, topic, tuple(references.values()), {"split": split})
    return TableRow(situation, tuple(views), pairs=tuple(pairs), split=split)


def _view(text: str, stance: str, cluster: str, provenance: str) -> Perspective:
    sign, label = _STANCES[stance]
    return Perspective(label, text, sign, cluster, provenance)


def _table(path: Path, kind: str, key: str) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = {}
    for where, row in _read(path, kind):
        if row[key] in found:
            raise DataError(f"{where}: {key} {row[key]!r} was used before")
        if row["stance"] not in _STANCES:
            raise DataError(f"{where}: `stance` must be 1 or -1, found {row['stance']!r}")
        row = {name: " ".join(worded_text(value, name, where).split()) for name, value in row.items()}
        found[row[key]] = row
    return found


def _read(path: Path, kind: str) -> list[tuple[str, dict[str, Any]]]:
    rows = list(read_rows(path))
    for where, row in rows:
        check_columns(row, required=_COLUMNS[kind], known=_COLUMNS[kind], where=where)
    return rows
