"""Strict readers for situations and answers. Every error names the file and the row."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from overton.data.answer_files import answer_rows
from overton.data.cells import (
    check_columns,
    check_count,
    check_new_id,
    cluster_value,
    flag_value,
    id_value,
    kind_of,
    metadata_value,
    number_value,
    optional_text,
    raw_text,
    stance_value,
    text_value,
    worded_text,
)
from overton.errors import DataError
from overton.jsonio import read_jsonl
from overton.types import Answer, Perspective, Situation

MAX_ANSWER_CHARACTERS = 200_000
_SITUATION_KEYS = ("id", "text", "perspectives", "metadata")
_PERSPECTIVE_KEYS = ("label", "explanation", "stance", "cluster", "provenance")
_ANSWER_KEYS = tuple(field.name for field in dataclasses.fields(Answer))


def read_situations(path: str | Path) -> list[Situation]:
    """Read situations with their references from JSONL.

    Of perspectives with the same ``cluster``, which say the same in other words, the first is the reference.

    Args:
        path: rows as :meth:`overton.types.Situation.to_json` writes them.

    Raises:
        DataError: missing or empty file, broken line, wrong encoding, unknown or missing column, empty or
            overlong text, an explanation without a word, metadata that JSON cannot hold, fewer than two references,
            duplicate id.
    """
    path = Path(path)
    situations: list[Situation] = []
    seen: dict[str, int] = {}
    for number, row in enumerate(read_jsonl(path), 1):
        where = f"{path}, row {number}"
        situation = situation_from_row(row, where)
        check_new_id(situation.id, number, seen, path)
        situations.append(dataclasses.replace(situation, perspectives=spectrum_of(situation.perspectives, where)))
    return situations


def train_situations(path: Path) -> list[Situation]:
    """The situations of a run's ``data/train.jsonl``; as the data stage wrote them they are not checked again.

    Raises:
        DataError: as of :func:`read_situations`, where somebody changed the file.
    """
    try:
        return [Situation.from_json(row) for row in read_jsonl(path)]
    except (KeyError, TypeError, AttributeError, ValueError):
        return read_situations(path)


def situation_from_row(row: Mapping[str, Any], where: str) -> Situation:
    """One checked situation.

    Args:
        row: a JSON object.
        where: "FILE, row N" for messages.

    Raises:
        DataError: see :func:`read_situations`.
    """
    check_columns(row, required=("id", "text", "perspectives"), known=_SITUATION_KEYS, where=where)
    if not isinstance(row["perspectives"], list):
        raise DataError(f"{where}: `perspectives` must be a list, found {type(row['perspectives']).__name__}")
    metadata = metadata_value(row.get("metadata"), where)
    perspectives = []
    for position, item in enumerate(row["perspectives"], 1):
        place = f"{where}, perspective {position}"
        if not isinstance(item, Mapping):
            raise DataError(
                f"{place}: an object is wanted, with `explanation` and perhaps `label`, found {type(item).__name__}"
            )
        check_columns(item, required=("explanation",), known=_PERSPECTIVE_KEYS, where=place)
        perspectives.append(
            Perspective(
                label=optional_text(item.get("label"), "label", place) or "",
                explanation=worded_text(item["explanation"], "explanation", place),
                stance=stance_value(item.get("stance"), place),
                cluster=cluster_value(item.get("cluster"), place),
                provenance=optional_text(item.get("provenance"), "provenance", place),
            )
        )
    check_count(len(perspectives), where)
    text = text_value(row["text"], "text", where)
    return Situation(id_value(row["id"], where), text, tuple(perspectives), metadata)


def references_of(views: Sequence[Perspective]) -> tuple[Perspective, ...]:
    """The first view of each cluster, and every view that is in none."""
    seen: set[str] = set()
    found = []
    for view in views:
        if view.cluster is None or view.cluster not in seen:
            found.append(view)
        if view.cluster is not None:
            seen.add(view.cluster)
    return tuple(found)


def spectrum_of(views: Sequence[Perspective], where: str) -> tuple[Perspective, ...]:
    """:func:`references_of` of one situation, two at least.

    Args:
        views: its perspectives, in however many words each.
        where: "FILE, row N" for messages.

    Raises:
        DataError: fewer than two references.
    """
    references = references_of(views)
    if len(references) < 2 <= len(views):
        cluster = next(p.cluster for p in views if p.cluster)
        raise DataError(f"{where}: all perspectives are in cluster {cluster!r}; a spectrum needs at least two")
    check_count(len(references), where)
    return references


def read_answers(path: Path) -> list[Answer]:
    """Read answers from rows with ``answer`` and at least one of ``id`` and ``prompt``.

    An answer may be empty: that is a model's failure, to be scored as such. It may be long, up to 200,000
    characters. Rows without ``id`` get their prompt as id.

    Args:
        path: JSONL, CSV, TSV or Parquet, see :func:`~overton.data.answer_files.answer_rows`; the other columns of
            :class:`overton.types.Answer` are read when present.

    Raises:
        DataError: missing or empty file, broken line, wrong encoding, unknown or missing column, wrong type,
            overlong answer, duplicate id within one system.
    """
    return answers_from_rows(answer_rows(path), path)


def answers_from_rows(rows: Iterable[tuple[str, Mapping[str, Any]]], path: Path) -> list[Answer]:
    """Checked answers from rows of a file.

    Args:
        rows: ("FILE, row N", row) each.
        path: the file.

    Raises:
        DataError: as of :func:`read_answers`.
    """
    answers: list[Answer] = []
    seen: dict[str, int] = {}
    for number, (where, row) in enumerate(rows, 1):
        check_columns(row, required=("answer",), known=_ANSWER_KEYS, where=where)
        prompt = optional_text(row.get("prompt"), "prompt", where) or ""
        if row.get("id") is None and not prompt:
            raise DataError(f"{where}: neither `id` nor `prompt`; one of them must say which situation is answered")
        answer = row["answer"]
        if answer is None or answer != answer:  # NaN, of a data frame
            raise DataError(
                f"{where}: `answer` is missing; write an empty text if nothing was said, or leave the row out"
            )
        if not isinstance(answer, str):
            raise DataError(f"{where}: `answer` must be text, found {kind_of(answer)}")
        if len(answer) > MAX_ANSWER_CHARACTERS:
            raise DataError(
                f"{where}: the answer has {len(answer):,} characters, at most {MAX_ANSWER_CHARACTERS:,} "
                "are read; shorten it or leave the row out"
            )
        name = id_value(row["id"], where) if row.get("id") is not None else prompt
        system = optional_text(row.get("system"), "system", where) or ""
        check_new_id(f"{name}\0{system}" if system else name, number, seen, path, shown=name)
        answers.append(
            Answer(
                id=name,
                prompt=prompt,
                answer=answer,
                system=system,
                tokens=number_value(row.get("tokens"), "tokens", where, int),
                seconds=number_value(row.get("seconds"), "seconds", where, float),
                finished=flag_value(row.get("finished"), "finished", where),
                strategy=optional_text(row.get("strategy"), "strategy", where) or "",
                model=optional_text(row.get("model"), "model", where) or "",
                prompt_version=optional_text(row.get("prompt_version"), "prompt_version", where) or "",
                calls=number_value(row.get("calls"), "calls", where, int),
                prompt_tokens=number_value(row.get("prompt_tokens"), "prompt_tokens", where, int),
                completion_tokens=number_value(row.get("completion_tokens"), "completion_tokens", where, int),
                cost=number_value(row.get("cost"), "cost", where, float),
                retries=number_value(row.get("retries"), "retries", where, int),
                raw=raw_text(row.get("raw"), "raw", where),
                reason=optional_text(row.get("reason"), "reason", where) or "",
            )
        )
    return answers
