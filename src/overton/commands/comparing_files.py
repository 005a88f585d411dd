"""Saved answers of any number of systems and their references, read and joined."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

from overton.data.answer_files import TABLES, answer_rows
from overton.data.cells import raw_text
from overton.data.io import answers_from_rows
from overton.errors import DataError
from overton.evaluation.join import join
from overton.notes import short
from overton.spelling import one_spelling
from overton.types import Answer, Situation

K = TypeVar("K", bound=Hashable)
_REFERENCES = (".jsonl", *TABLES)


@dataclass(frozen=True, slots=True)
class Saved:
    """One saved answer.

    Attributes:
        answer: with the name of its system.
        split: of the file's column ``split``, ``""`` when it has none.
        sentences: where the file holds sentences instead of the text, else ``None``.
        own: the system's name in the file, which may be another, or ``""``.
    """

    answer: Answer
    split: str = ""
    sentences: tuple[str, ...] | None = None
    own: str = ""


def read_saved(paths: Sequence[Path]) -> list[Saved]:
    """Read answers of one or more systems.

    Rows are those of :func:`overton.data.io.read_answers` and may have ``split``; or the log of a published
    evaluation: ``system``, ``prompt``, ``response_sentences`` and whatever else. JSONL may be gzipped. A system
    without a name is called as its file; a name that two files use gets the file's in front, with as many of its
    folders as it takes to tell the files apart.

    Raises:
        DataError: a file is missing or broken, or a system answers one situation twice.
    """
    files = {path: _read_file(path) for path in distinct(paths)}
    systems = dict.fromkeys((path, row.answer.system) for path, rows in files.items() for row in rows)
    names = tell_apart({(path, name): (*_place(path), *([name] if name else [])) for path, name in systems})
    found = [
        replace(row, answer=replace(row.answer, system=names[path, row.answer.system]), own=row.answer.system)
        for path, rows in files.items()
        for row in rows
    ]
    seen: set[tuple[str, str, str]] = set()
    for row in found:
        key = (row.answer.system, row.split, row.answer.id)
        if key in seen:
            raise DataError(f"system {key[0]!r} answers {key[2][:60]!r} twice; keep one")
        seen.add(key)
    return found


def distinct(paths: Iterable[Path]) -> list[Path]:
    """Each file once, however it is written (``a.jsonl``, ``b/../a.jsonl``)."""
    found: dict[str, Path] = {}
    for path in paths:
        found.setdefault(os.path.abspath(path), path)
    return list(found.values())


def tell_apart(names: Mapping[K, Sequence[str]]) -> dict[K, str]:
    """Of each name as many of its last parts, joined by ``/``, as set it apart from the others; one at least."""
    length = dict.fromkeys(names, 1)
    while True:
        shown = {key: "/".join(parts[-length[key] :]) for key, parts in names.items()}
        used = Counter(shown.values())
        short = [key for key, parts in names.items() if used[shown[key]] > 1 and length[key] < len(parts)]
        if not short:
            return shown
        for key in short:
            length[key] += 1


def read_references(path: Path) -> dict[str, dict[str, Situation]]:
    """References by split.

    Args:
        path: a table (:func:`overton.data.table.read_table`), or a folder of tables, with or without labels.

    Returns:
        Split -> its situations with their own ids, by the id that they are compared under: ``TABLE/ID`` for those of a
        folder, since two tables may use one id. ``""`` holds all. ``SPLIT.csv`` or ``test_SPLIT.csv`` in the folder is
        a split's file.

    Raises:
        DataError: nothing is there, a table is broken, or two tables are one split's.
    """
    from overton.data.table import read_table

    if not path.is_dir():
        return {"": {row.situation.id: row.situation for row in read_table(path, {}, labels=False)}}
    tables = tables_in(path)
    if not tables:
        raise DataError(f"{path}: the folder holds no table; wanted: {', '.join(_REFERENCES)}")
    found: dict[str, dict[str, Situation]] = {"": {}}
    first: dict[str, Path] = {}
    for table in tables:
        split = table.stem.removeprefix("test_")
        if (other := first.setdefault(split, table)) != table:
            raise DataError(f"{path}: {other.name} and {table.name} are both the table of split {split!r}; keep one")
        rows = read_table(table, {}, labels=False)
        own = {f"{table.stem}/{r.situation.id}": r.situation for r in rows}
        found[split] = own
        found[""] |= own
    return found


def tables_in(folder: Path) -> list[Path]:
    """The tables of a folder of references."""
    return sorted(p for p in folder.iterdir() if p.suffix.lower() in _REFERENCES)


def join_saved(
    saved: Sequence[Saved], references: Mapping[str, Mapping[str, Situation]] | None
) -> tuple[list[tuple[int, Situation]], list[int], int]:
    """Find the situation of each answer, among those of its split when there are any.

    Args:
        saved: the answers.
        references: of :func:`read_references`; ``None`` takes the questions from the answers, without references.

    Returns:
        (index, situation under the id it is compared under) pairs in the order of the answers; indices without one;
        how many were joined by ``id`` to a situation whose text is not their prompt.

    Raises:
        DataError: two answers of one system belong to the same situation.
    """
    pairs, unmatched, other_text = _among_themselves(saved) if references is None else _by_split(saved, references)
    taken: dict[tuple[str, str], int] = {}
    for index, situation in pairs:
        system = saved[index].answer.system
        if (first := taken.setdefault((system, situation.id), index)) != index:
            ids = " and ".join(repr(short(saved[i].answer.id)) for i in (first, index))
            raise DataError(f"system {system!r}: answers {ids} both belong to {short(situation.id)!r}; keep one")
    return pairs, unmatched, other_text


def keep_shared(
    saved: Sequence[Saved], pairs: Sequence[tuple[int, Situation]]
) -> tuple[list[Saved], list[tuple[int, Situation]]]:
    """Answers to the questions that every system answered, and their pairs as of :func:`join_saved`.

    Raises:
        DataError: there is no such question.
    """
    asked: dict[str, set[str]] = {row.answer.system: set() for row in saved}
    for index, situation in pairs:
        asked[saved[index].answer.system].add(situation.id)
    shared = set.intersection(*asked.values())
    if not shared:
        counts = ", ".join(f"{name or 'answers'} {len(ids)}" for name, ids in asked.items())
        without = {
            name: len(set.intersection(*(ids for other, ids in asked.items() if other != name)))
            for name in (asked if len(asked) > 1 else ())
        }
        best = max(without, key=without.__getitem__, default="")
        hint = f"; without {best} {without[best]} would be" if without.get(best) else ""
        raise DataError(
            f"no question was answered by all of {counts}{hint}. Choose with --system, or leave --shared out"
        )
    kept = [(index, situation) for index, situation in pairs if situation.id in shared]
    return [saved[index] for index, _ in kept], [(place, situation) for place, (_, situation) in enumerate(kept)]


def _by_split(
    saved: Sequence[Saved], references: Mapping[str, Mapping[str, Situation]]
) -> tuple[list[tuple[int, Situation]], list[int], int]:
    groups: dict[str, list[int]] = {}
    for index, row in enumerate(saved):
        groups.setdefault(row.split if row.split in references else "", []).append(index)
    pairs: list[tuple[int, Situation]] = []
    unmatched: list[int] = []
    other_text = 0
    for split, indices in groups.items():
        # An answer has a situation's own id; only where tables share one does it take the table's name as well.
        uses = Counter(s.id for s in references[split].values())
        name_of = {key: s.id if uses[s.id] == 1 else key for key, s in references[split].items()}
        key_of = {name: key for key, name in name_of.items()}
        answers = [saved[i].answer for i in indices]
        joined = join(
            [replace(a, id=name_of.get(a.id, a.id)) for a in answers],
            [replace(s, id=name_of[key]) for key, s in references[split].items()],
        )
        pairs += [(indices[i], replace(s, id=key_of[s.id])) for i, s in joined.pairs]
        unmatched += [indices[i] for i in joined.unmatched]
        other_text += joined.other_text
    return sorted(pairs, key=lambda pair: pair[0]), sorted(unmatched), other_text


def _among_themselves(saved: Sequence[Saved]) -> tuple[list[tuple[int, Situation]], list[int], int]:
    """Answers to one question: those with one prompt, and those with one id where files word its prompt otherwise."""
    ids: dict[str, set[str]] = {}
    for row in saved:
        if row.answer.prompt and row.answer.id != row.answer.prompt:
            ids.setdefault(row.answer.prompt, set()).add(row.answer.id)
    # Where one prompt has two ids, each file has numbered questions of its own, and only prompts tell.
    one_numbering = all(len(names) == 1 for names in ids.values())
    by_text: dict[str, Situation] = {}
    by_id: dict[str, Situation] = {}
    pairs: list[tuple[int, Situation]] = []
    other_text = 0
    # Prompts first: a question has a text where any file gives one.
    for index in sorted(range(len(saved)), key=lambda i: not saved[i].answer.prompt):
        answer = saved[index].answer
        text = answer.prompt or answer.id
        name = answer.id if one_numbering else text
        found = by_text.get(text) or by_id.get(name) or Situation(name, text, ())
        by_text.setdefault(text, found)
        by_id.setdefault(name, found)
        other_text += bool(answer.prompt) and one_spelling(text) != one_spelling(found.text)
        pairs.append((index, found))
    return sorted(pairs, key=lambda pair: pair[0]), [], other_text


def _read_file(path: Path) -> list[Saved]:
    rows = answer_rows(path)
    if "response_sentences" in rows[0][1]:
        return [_logged(row, where) for where, row in rows]
    splits = [_text(row, "split", where) for where, row in rows]
    answers = answers_from_rows([(w, {k: v for k, v in row.items() if k != "split"}) for w, row in rows], path)
    return [Saved(answer, split) for answer, split in zip(answers, splits, strict=True)]


def _logged(row: Mapping[str, Any], where: str) -> Saved:
    sentences, prompt = row.get("response_sentences"), _text(row, "prompt", where)
    if not isinstance(sentences, list) or not all(isinstance(s, str) for s in sentences):
        raise DataError(f"{where}: `response_sentences` must be a list of texts")
    if not prompt:
        raise DataError(f"{where}: `prompt` is missing; it says which question is answered")
    answer = Answer(prompt, prompt, "\n".join(sentences), _text(row, "system", where))
    return Saved(answer, _text(row, "split", where), tuple(sentences))


def _text(row: Mapping[str, Any], name: str, where: str) -> str:
    return raw_text(row.get(name), name, where) or ""


def _place(path: Path) -> tuple[str, ...]:
    """Folders and name of a file, without what its name ends in."""
    parts = Path(os.path.abspath(path)).parts
    name = parts[-1].removesuffix(".gz").removesuffix(".jsonl")
    return (*parts[:-1], Path(name).stem if Path(name).suffix.lower() in TABLES else name)
