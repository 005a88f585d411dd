"""The data of OvertonBench: from the hub, or from a copy."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from overton.data.cells import id_value, text_value
from overton.data.files import read_rows
from overton.data.hub import hub_rows
from overton.errors import DataError
from overton.progress import say

DATASET, SPLITS = "elinorpd/overtonbench", ("prism", "modelslant")
_COLUMNS = (
    *("user", "question_id", "question", "freeresponse"),
    *("cluster_kmeans", "model", "llm_response", "representation_rating"),
)
_POINT_ZERO = re.compile(r"-?\d+\.0")


@dataclass(frozen=True, slots=True)
class Rated:
    """One answer that a participant rated.

    Attributes:
        model: who wrote it.
        response: its text.
        rating: 1 to 5; ``None`` where the data have none.
    """

    model: str
    response: str
    rating: float | None


@dataclass(frozen=True, slots=True)
class Opinion:
    """One participant on one question.

    Attributes:
        question: its id; ``SPLIT-ID`` for all when two splits share ids.
        text: the question.
        split: ``prism`` or ``modelslant``, or the name of a file of yours.
        user: the participant.
        freeresponse: what they wrote about it; may be empty.
        cluster: their group of opinion on this question.
        ratings: the answers they rated.
    """

    question: str
    text: str
    split: str
    user: str
    freeresponse: str
    cluster: str
    ratings: tuple[Rated, ...] = ()


def read_overtonbench(sources: Sequence[str] = (DATASET,)) -> list[Opinion]:
    """The participants' views and ratings.

    Args:
        sources: names of data sets of the hub or folders of their kind, of which the splits ``prism`` and
            ``modelslant`` are read; or Parquet, CSV or JSONL files, whose split is their column ``source``, or else
            their name. Columns: ``user``, ``question_id``, ``question``, ``freeresponse``, ``cluster_kmeans``,
            ``model``, ``llm_response``, ``representation_rating``; others are left aside.

    Raises:
        DataError: a source cannot be read, a column is missing, a rating is none of 1 to 5, one id of a split has two
            questions, or rows of one participant and question contradict each other.
    """
    found: dict[tuple[str, str, str], tuple[Opinion, list[Rated]]] = {}
    texts: dict[tuple[str, str], str] = {}
    unclustered = 0
    for split, where, row in _rows(sources):
        missing = [name for name in _COLUMNS if name not in row]
        if missing:
            raise DataError(f"{where}: column {missing[0]!r} is missing; found: {', '.join(map(str, row))}")
        if _absent(row["cluster_kmeans"]):
            unclustered += 1
            continue
        given = _opinion(split, where, row)
        if texts.setdefault((split, given.question), given.text) != given.text:
            raise DataError(f"{where}: question_id {given.question} is another question in an earlier row")
        opinion, ratings = found.setdefault((split, given.question, given.user), (given, []))
        if opinion != given:
            raise DataError(
                f"{where}: participant {given.user} has another cluster or freeresponse on question {given.question} "
                "in an earlier row"
            )
        rated = _rated(row, where)
        if any(rated.model == other.model for other in ratings):
            raise DataError(f"{where}: participant {given.user} rates {rated.model} twice on question {given.question}")
        ratings.append(rated)
    if unclustered:
        say(f"OvertonBench: {unclustered} rows without a cluster are left out")
    if not found:
        raise DataError(f"{', '.join(sources)}: no row has a cluster in `cluster_kmeans`")
    shared = len({question for _, question in texts}) < len(texts)
    return [
        replace(
            opinion, question=f"{opinion.split}-{opinion.question}" if shared else opinion.question, ratings=tuple(r)
        )
        for opinion, r in found.values()
    ]


def _rows(sources: Sequence[str]) -> Iterable[tuple[str, str, dict[str, Any]]]:
    for source in sources:
        path = Path(source).expanduser()
        if path.is_file() or path.suffix.lower() in (".parquet", ".csv", ".tsv", ".jsonl"):
            for where, row in read_rows(path):
                yield str(row.get("source") or path.stem), where, row
            continue
        for split in SPLITS:
            for where, row in hub_rows(source, "", split, key="--data"):
                yield split, where, row


def _opinion(split: str, where: str, row: dict[str, Any]) -> Opinion:
    question, user, cluster = (id_value(_whole(row[n]), where) for n in ("question_id", "user", "cluster_kmeans"))
    free = "" if _absent(row["freeresponse"]) else str(row["freeresponse"]).strip()
    return Opinion(question, text_value(row["question"], "question", where), split, user, free, cluster)


def _rated(row: dict[str, Any], where: str) -> Rated:
    model, response = (text_value(row[n], n, where) for n in ("model", "llm_response"))
    return Rated(model, response, _rating(row["representation_rating"], where))


def _absent(value: Any) -> bool:
    return (
        value is None
        or (isinstance(value, float) and math.isnan(value))
        or (isinstance(value, str) and not value.strip())
    )


def _whole(value: Any) -> Any:
    """A whole number that a table stored as 3.0, as 3."""
    if isinstance(value, str) and _POINT_ZERO.fullmatch(value):
        return value.removesuffix(".0")
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _rating(value: Any, where: str) -> float | None:
    if _absent(value):
        return None
    try:
        rating = math.nan if isinstance(value, bool) else float(value)
    except (TypeError, ValueError):
        rating = math.nan
    if not 1 <= rating <= 5:
        raise DataError(f"{where}: `representation_rating` must be a number from 1 to 5, found {value!r}")
    return rating
