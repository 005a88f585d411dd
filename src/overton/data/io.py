"""Strict readers for situations and answers. Every error names the file and the row."""

from __future__ import annotations

import csv
import dataclasses
import io
import math
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from overton.errors import DataError
from overton.rundir import read_jsonl
from overton.segment.masking import WORD
from overton.types import Answer, Perspective, Situation

MAX_WORDS = 10_000
MAX_CHARACTERS = 100_000
MAX_ANSWER_CHARACTERS = 200_000
_SITUATION_KEYS = ("id", "text", "perspectives", "metadata")
_PERSPECTIVE_KEYS = ("label", "explanation", "stance", "cluster", "provenance")
# Beside "nan", how data frames spell a missing cell once their columns are text.
_NO_CLUSTER = ("none", "<na>", "null", "nat")
_ANSWER_KEYS = tuple(field.name for field in dataclasses.fields(Answer))


def read_situations(path: Path) -> list[Situation]:
    """Read situations with their references from JSONL.

    Of perspectives with the same ``cluster``, which say the same in other words, the first is the reference.

    Args:
        path: rows as :meth:`overton.types.Situation.to_json` writes them.

    Raises:
        DataError: missing or empty file, broken line, wrong encoding, unknown or missing column, empty or
            overlong text, an explanation without a word, metadata that JSON cannot hold, fewer than two references,
            duplicate id.
    """
    situations: list[Situation] = []
    seen: dict[str, int] = {}
    for number, row in enumerate(read_jsonl(path), 1):
        where = f"{path}, row {number}"
        situation = situation_from_row(row, where)
        check_new_id(situation.id, number, seen, path)
        situations.append(dataclasses.replace(situation, perspectives=spectrum_of(situation.perspectives, where)))
    return situations


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
    metadata = _metadata(row.get("metadata"), where)
    perspectives = []
    for position, item in enumerate(row["perspectives"], 1):
        place = f"{where}, perspective {position}"
        if not isinstance(item, Mapping):
            raise DataError(f"{place}: an object is wanted, found {type(item).__name__}")
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


def _metadata(value: Any, where: str) -> dict[str, Any]:
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise DataError(f"{where}: `metadata` must be an object, found {_kind(value)}")
    try:
        found: dict[str, Any] = _json_value(value, "metadata", where)
    except RecursionError:
        raise DataError(f"{where}: `metadata` is nested too deeply") from None
    return found


def _json_value(value: Any, name: str, where: str) -> Any:
    """A value as JSON has it, NaN as null. Parquet also holds dates, bytes and more."""
    if isinstance(value, Mapping):
        if other := [key for key in value if not isinstance(key, str)]:
            raise DataError(f"{where}: `{name}` must have texts as keys, found {_kind(other[0])}")
        return {key: _json_value(item, f"{name}.{key}", where) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_json_value(item, name, where) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        if math.isnan(value):
            return None
        raise DataError(f"{where}: `{name}` is infinite, which JSON cannot hold; save it as text or leave it out")
    if value is not None and not isinstance(value, (str, int, float)):
        raise DataError(f"{where}: `{name}` is {_kind(value)}, which JSON cannot hold; save it as text or leave it out")
    return value


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
    """Read answers from JSONL rows with ``answer`` and at least one of ``id`` and ``prompt``.

    An answer may be empty: that is a model's failure, to be scored as such. It may be long, up to 200,000
    characters. Rows without ``id`` get their prompt as id.

    Args:
        path: JSONL file; the other columns of :class:`overton.types.Answer` are read when present.

    Raises:
        DataError: missing or empty file, broken line, wrong encoding, unknown or missing column, wrong type,
            overlong answer, duplicate id within one system.
    """
    return answers_from_rows(read_jsonl(path), path)


def answers_from_rows(rows: Iterable[Mapping[str, Any]], path: Path) -> list[Answer]:
    """Checked answers from rows of a file; arguments and errors as for :func:`read_answers`."""
    answers: list[Answer] = []
    seen: dict[str, int] = {}
    for number, row in enumerate(rows, 1):
        where = f"{path}, row {number}"
        check_columns(row, required=("answer",), known=_ANSWER_KEYS, where=where)
        prompt = optional_text(row.get("prompt"), "prompt", where) or ""
        if row.get("id") is None and not prompt:
            raise DataError(f"{where}: neither `id` nor `prompt`; one of them must say which situation is answered")
        answer = row["answer"]
        if not isinstance(answer, str):
            raise DataError(f"{where}: `answer` must be text, found {_kind(answer)}")
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
                tokens=_number(row.get("tokens"), "tokens", where, int),
                seconds=_number(row.get("seconds"), "seconds", where, float),
                finished=_flag(row.get("finished"), where),
                strategy=optional_text(row.get("strategy"), "strategy", where) or "",
                model=optional_text(row.get("model"), "model", where) or "",
                prompt_version=optional_text(row.get("prompt_version"), "prompt_version", where) or "",
                calls=_number(row.get("calls"), "calls", where, int),
                prompt_tokens=_number(row.get("prompt_tokens"), "prompt_tokens", where, int),
                completion_tokens=_number(row.get("completion_tokens"), "completion_tokens", where, int),
                cost=_number(row.get("cost"), "cost", where, float),
                retries=_number(row.get("retries"), "retries", where, int),
                raw=_raw(row.get("raw"), where),
                reason=optional_text(row.get("reason"), "reason", where) or "",
            )
        )
    return answers


def read_rows(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """Rows of a JSONL, Parquet, CSV or TSV file with their place ("FILE, row N" or "FILE, line N").

    ``NaN`` in JSONL is a missing cell, as it is in Parquet.

    Raises:
        DataError: missing, empty, of another kind, broken or not UTF-8.
    """
    kind = path.suffix.lower()
    if kind == ".jsonl":
        for number, row in enumerate(read_jsonl(path, nan=True), 1):
            yield f"{path}, row {number}", row
        return
    if kind == ".parquet":
        for number, row in enumerate(_parquet(path), 1):
            yield f"{path}, row {number}", row
        return
    if kind not in (".csv", ".tsv"):
        raise DataError(f"{path}: a .jsonl, .parquet, .csv or .tsv file is wanted")
    reader = csv.reader(io.StringIO(_decode(path), newline=""), delimiter="\t" if kind == ".tsv" else ",", strict=True)
    try:
        header = [name.strip() for name in next(reader, [])]
        if len(set(header)) != len(header):
            raise DataError(f"{path}: a column name occurs twice in the header: {', '.join(header)}")
        empty = True
        for cells in reader:
            if not cells:
                continue
            where = f"{path}, line {reader.line_num}"
            if len(cells) != len(header):
                raise DataError(f"{where}: {len(cells)} cells, the header has {len(header)} columns")
            empty = False
            yield where, dict(zip(header, cells, strict=True))
    except csv.Error as error:
        long = "field larger" in str(error)
        what = f"a cell of more than {MAX_CHARACTERS:,} characters" if long else f"broken CSV: {error}"
        raise DataError(f"{path}, line {reader.line_num}: {what}") from None
    if empty:
        raise DataError(f"{path}: the file holds no rows")


def _parquet(path: Path) -> list[dict[str, Any]]:
    try:
        import pyarrow
        from pyarrow import parquet
    except ImportError:
        raise DataError(f"{path}: Parquet needs pyarrow: pip install pyarrow, or save the table as JSONL") from None
    try:
        table = parquet.read_table(path)
        rows: list[dict[str, Any]] = table.to_pylist()
    except UnicodeDecodeError:
        raise DataError(f"{path}, row {_first_undecodable(table)}: not UTF-8; save the text as UTF-8") from None
    except FileNotFoundError:
        raise DataError(f"{path}: no such file") from None
    except (pyarrow.ArrowException, OSError) as error:
        raise DataError(f"{path}: not a Parquet file that can be read: {str(error).splitlines()[0]}") from None
    if not rows:
        raise DataError(f"{path}: the file holds no rows")
    return rows


def _first_undecodable(table: Any) -> int:
    for number in range(table.num_rows):
        try:
            table.slice(number, 1).to_pylist()
        except UnicodeDecodeError:
            return number + 1
    return 0


def _decode(path: Path) -> str:
    try:
        raw = path.read_bytes()
    except FileNotFoundError:
        raise DataError(f"{path}: no such file") from None
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror}") from None
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise DataError(f"{path}, line {line}: not UTF-8 ({error.reason}); save the file as UTF-8") from None


def check_columns(row: Mapping[str, Any], *, required: tuple[str, ...], known: tuple[str, ...], where: str) -> None:
    """Refuse missing and unknown columns.

    Raises:
        DataError: names the column and what is there.
    """
    missing = [name for name in required if name not in row]
    if missing:
        raise DataError(f"{where}: column {missing[0]!r} is missing; found: {', '.join(map(str, row)) or 'nothing'}")
    unknown = [str(name) for name in row if name not in known]
    if unknown:
        raise DataError(f"{where}: unknown column {unknown[0]!r}; known columns: {', '.join(known)}")


def check_new_id(name: str, number: int, seen: dict[str, int], source: Path | str, shown: str | None = None) -> None:
    """Refuse an id that an earlier row has.

    Raises:
        DataError: names both rows.
    """
    if name in seen:
        raise DataError(f"{source}, row {number}: id {shown or name!r} was used in row {seen[name]} already")
    seen[name] = number


def check_count(count: int, where: str) -> None:
    """Refuse a situation without at least two perspectives.

    Raises:
        DataError: a spectrum needs two.
    """
    if count < 2:
        raise DataError(
            f"{where}: {count} perspective{'' if count == 1 else 's'}; a spectrum needs at least two. "
            "Add one or leave the situation out"
        )


def text_value(value: Any, name: str, where: str) -> str:
    """A text of 1 to 10,000 words, and at most 100,000 characters.

    Raises:
        DataError: empty, not text, NaN or overlong.
    """
    if isinstance(value, float) and math.isnan(value):
        raise DataError(f"{where}: `{name}` is NaN; fill it in or leave the row out")
    if value is None or (isinstance(value, str) and not value.strip()):
        raise DataError(f"{where}: `{name}` is empty")
    if not isinstance(value, str):
        raise DataError(f"{where}: `{name}` must be text, found {_kind(value)}")
    if len(value) > MAX_CHARACTERS:
        raise DataError(f"{where}: `{name}` has {len(value):,} characters, at most {MAX_CHARACTERS:,} are read")
    words = len(value.split())
    if words > MAX_WORDS:
        raise DataError(f"{where}: `{name}` has {words:,} words, at most {MAX_WORDS:,} are read")
    return value.strip()


def worded_text(value: Any, name: str, where: str) -> str:
    """A text as in :func:`text_value` with one word at least, of any script; a number is one.

    Raises:
        DataError: as :func:`text_value`, or nothing but punctuation and signs.
    """
    text = text_value(value, name, where)
    if not WORD.search(text):
        raise DataError(f"{where}: `{name}` has no word, found {text[:40]!r}; fill it in or leave the row out")
    return text


def optional_text(value: Any, name: str, where: str) -> str | None:
    """Text as in :func:`text_value`, or ``None`` where there is none."""
    if value is None or (isinstance(value, str) and not value.strip()):
        return None
    return text_value(value, name, where)


def id_value(value: Any, where: str) -> str:
    """An id as text; whole numbers are allowed.

    Raises:
        DataError: empty, NaN or of another type.
    """
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    return text_value(value, "id", where)


def cluster_value(value: Any, where: str) -> str | None:
    """The name of a cluster as text, or ``None`` where there is none: nothing, ``""``, or NaN.

    The words for a missing cell, ``nan``, ``None``, ``<NA>``, ``null`` and ``NaT`` in any case, are none either.

    Args:
        value: text or a whole number, also as 3.0: data frames make that of numbers with gaps.
        where: "FILE, row N" for messages.

    Raises:
        DataError: anything else.
    """
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    missing = is_nan(value) or (isinstance(value, str) and value.strip().lower() in _NO_CLUSTER)
    return None if missing else optional_text(value, "cluster", where)


def is_nan(value: Any) -> bool:
    """Whether a cell is missing: NaN, or the word, as tables written by data frames spell it."""
    return value.strip().lower() == "nan" if isinstance(value, str) else isinstance(value, float) and math.isnan(value)


def stance_value(value: Any, where: str) -> str | None:
    """``"+"``, ``"-"``, or ``None`` where there is none: nothing, ``""``, or NaN.

    Raises:
        DataError: anything else.
    """
    if value in (None, "") or is_nan(value):
        return None
    if value not in ("+", "-"):
        raise DataError(f"{where}: `stance` must be '+', '-' or empty, found {value!r}")
    return str(value)


def _number(value: Any, name: str, where: str, kind: type) -> Any:
    if value is None:
        return None
    usable = isinstance(value, (int, float)) and not isinstance(value, bool) and abs(value) <= sys.float_info.max
    if not usable or (kind is int and value != int(value)):
        raise DataError(f"{where}: `{name}` must be a number, found {value!r:.40}")
    return kind(value)


def _raw(value: Any, where: str) -> str | None:
    if value is not None and not isinstance(value, str):
        raise DataError(f"{where}: `raw` must be text, found {_kind(value)}")
    return value


def _flag(value: Any, where: str) -> bool:
    if value is None:
        return True
    if not isinstance(value, bool):
        raise DataError(f"{where}: `finished` must be true or false, found {value!r}")
    return value


def _kind(value: Any) -> str:
    return type(value).__name__
