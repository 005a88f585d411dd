"""``overton compare``: saved answers of any number of systems, scored and compared. Nothing is generated or trained."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from overton.commands.comparing_files import (
    Saved,
    distinct,
    join_saved,
    keep_shared,
    read_references,
    read_saved,
    tell_apart,
)
from overton.commands.scoring_pairs import (
    FORM,
    NLI,
    ORACLE,
    PUBLISHED,
    SPENT,
    Evaluators,
    score_pairs,
    shared_with_training,
)
from overton.commands.scoring_similarity import SIMILARITY, Row
from overton.errors import DataError
from overton.notes import few_note, fewer_note, intervals_in, other_text_note, reasons, short, unmatched_note
from overton.types import Situation

_JUDGED = (*SIMILARITY, *ORACLE, *NLI, *PUBLISHED)
METRICS = (*_JUDGED, "perspectives", "units", *FORM[1:], *SPENT)
# What a ranking goes by: the first that the systems have.
_RANKED_BY = ("oracle_set_f1", "nli_f1", "f1", "vendi", "words")
_MOST = 10  # references; questions with more are one group


def compare_files(
    paths: Sequence[Path],
    references: Path | None = None,
    evaluators: Evaluators | None = None,
    *,
    only: Sequence[str] = (),
    shared: bool = False,
    resamples: int = 2000,
    seed: int = 0,
) -> dict[str, Any]:
    """Score saved answers and compare their systems.

    Args:
        paths: files of answers, see :func:`overton.commands.comparing_files.read_saved`.
        references: table or folder of tables with the reference perspectives; without it, only form, wording and
            diversity have a value.
        evaluators: encoder, threshold and NLI model; by default those of ``overton score``.
        only: names of the systems that are looked at; all by default.
        shared: look at nothing but the questions that every system answered.
        resamples: bootstrap resamples.
        seed: of the resampling.

    Returns:
        ``systems`` (system -> metric -> mean, low, high, n, unscored), best first; ``ranked_by``; ``answers``, by
        system their numbers; ``comparisons`` of every two systems
        (:func:`overton.evaluation.statistics.compare_systems`); ``splits`` (``references`` and ``split`` -> group ->
        system -> metric -> interval); ``coverage_at_k``; ``faults`` and ``fault_definitions``; ``unscored`` (system ->
        reason -> answers); ``threshold``, ``settings``, ``notes`` and ``warnings``; ``rows``, one an answer:
        ``system``, ``id`` (of its question, where one is known), ``split``, its metrics and the ``reason`` of those
        without a value.
        JSON values only.

    Raises:
        DataError: a file is unusable, or no answer belongs to any reference.
        ModelError: a model that was asked for cannot be had.
    """
    from overton.evaluation.faults import FAULTS
    from overton.evaluation.independence import parts_around
    from overton.evaluation.statistics import compare_systems, intervals

    asked = evaluators or Evaluators()
    if asked.nli_model is not None and references is None:
        raise DataError("entailment is of references; give them with --references, or leave --nli-model out")
    read = read_saved(paths)
    saved = _chosen(read, only)
    known = None if references is None else read_references(references)
    pairs, unmatched, other_text = join_saved(saved, known)
    if known is not None and not pairs:
        first = next(iter(known[""]))
        raise DataError(
            f"{', '.join(map(str, paths))}: none of {len(saved)} answers belongs to a row of {references} by `id` or "
            f"`prompt` (first answer: {short(saved[0].answer.id)!r}; first reference: {short(first)!r})"
            + ("; an `id` that several tables use needs the answer's `split`" if len(known) > 2 else "")
        )
    trained, unread = parts_around(paths)
    notes = [*_joined_notes(saved, unmatched, other_text, known is not None), *unread]
    if shared:
        count = len(saved)
        saved, pairs = keep_shared(saved, pairs)
        notes.append(f"questions that every system answered alone: {len(saved)} of {count} answers")
    answers = [row.answer for row in saved]
    scored, threshold = score_pairs(answers, pairs, asked, notes, [row.sentences for row in saved])
    table = _Table(saved, pairs, scored)
    ranked_by = next(m for m in _RANKED_BY if m in table.metrics)
    systems = {name: intervals(table.columns(name), resamples, seed) for name in table.names}
    order = sorted(systems, key=lambda name: -(systems[name][ranked_by]["mean"] or 0.0))
    table.names = order
    values = {name: table.values(name) for name in order}
    comparisons = compare_systems({n: values[n] for n in reversed(order)}, resamples, seed)
    notes += table.notes()
    notes += [f"{name}: {partial}" for name in order if (partial := table.partial(name))]
    notes += few_note(intervals_in([systems, comparisons]))
    return {
        "ranked_by": ranked_by,
        "systems": {name: systems[name] for name in order},
        "answers": {name: table.counts(name) for name in order},
        "comparisons": comparisons,
        "splits": {
            kind: {
                group: {
                    name: intervals(columns, resamples, seed)
                    for name in order
                    if (columns := table.columns(name, kind, group))
                }
                for group in groups
            }
            for kind, groups in table.groups().items()
        },
        "coverage_at_k": {name: found for name in order if (found := table.curve(name, resamples, seed))},
        "faults": {name: table.faults(name) for name in order},
        "fault_definitions": FAULTS,
        "unscored": {name: table.unscored(name) for name in order},
        "threshold": threshold,
        "settings": _settings(paths, references, asked, resamples, seed)
        | {"shared": shared, "system": list(dict.fromkeys(only))}
        | _named(read, table.names),
        "notes": notes,
        "warnings": shared_with_training(trained, asked, threshold),
        "rows": table.listed(),
    }


class _Table:
    """Rows of all answers, looked at by system, by metric and by group of questions."""

    def __init__(self, saved: Sequence[Saved], pairs: Sequence[tuple[int, Situation]], rows: Sequence[Row]) -> None:
        self.saved = saved
        self.rows = rows
        self.situations = dict(pairs)
        self.names = list(dict.fromkeys(row.answer.system for row in saved))
        self.metrics = [m for m in METRICS if any(row.get(m) is not None for row in rows)]
        self.of = {name: [i for i, row in enumerate(saved) if row.answer.system == name] for name in self.names}

    def columns(self, name: str, kind: str = "", group: str = "") -> dict[str, list[float | None]]:
        """Values of one system's metrics; of one group of questions, when it has answers there."""
        own = [i for i in self.of[name] if not kind or self.group(i, kind) == group]
        if not own:
            return {}
        known = [m for m in self.metrics if m not in SPENT or any(self.rows[i].get(m) is not None for i in own)]
        return {m: [self.rows[i].get(m) for i in own] for m in known}

    def listed(self) -> list[Row]:
        """Every answer's scores, by system."""
        ids = {i: s.id for i, s in self.situations.items()}
        return [
            {
                "system": name,
                "id": ids.get(i, self.saved[i].answer.id),
                "split": self.saved[i].split,
                **{m: self.rows[i].get(m) for m in self.metrics},
                "reason": self.rows[i].get("reason", ""),
            }
            for name in self.names
            for i in self.of[name]
        ]

    def values(self, name: str) -> dict[str, dict[str, float | None]]:
        """Metric -> situation -> value."""
        keys = {i: self.situations[i].id for i in self.of[name] if i in self.situations}
        metrics = self.columns(name)
        return {m: {key: self.rows[i].get(m) for i, key in keys.items()} for m in metrics}

    def group(self, index: int, kind: str) -> str:
        if kind == "split":
            return self.saved[index].split
        count = len(self.situations[index].perspectives) if index in self.situations else 0
        return "" if not count else f"{count}p" if count <= _MOST else f">{_MOST}p"

    def groups(self) -> dict[str, list[str]]:
        """Groups of either kind, where there are at least two."""
        found = {}
        for kind in ("references", "split"):
            names = {g for i in range(len(self.saved)) if (g := self.group(i, kind))}
            if len(names) > 1:
                found[kind] = sorted(names, key=lambda g: (g.startswith(">"), len(g), g))
        # One split for each number of references would be the same table twice.
        if "references" in found and found.get("split") == found["references"]:
            del found["split"]
        return found

    def counts(self, name: str) -> dict[str, int]:
        ids = [{self.situations[i].id for i in self.of[n] if i in self.situations} for n in self.names]
        own = len([i for i in self.of[name] if i in self.situations])
        return {"answers": len(self.of[name]), "with_references": own, "shared_by_all": len(set.intersection(*ids))}

    def curve(self, name: str, resamples: int, seed: int) -> dict[str, Row]:
        from overton.evaluation.diversity import MAX_K
        from overton.evaluation.statistics import intervals

        curves = [c for i in self.of[name] if (c := self.rows[i].get("coverage_curve"))]
        columns = {str(k + 1): [curve[k] for curve in curves] for k in range(MAX_K)} if curves else {}
        return intervals(columns, resamples, seed)

    def faults(self, name: str) -> dict[str, Row]:
        from overton.evaluation.faults import count_faults, find_faults

        own = [self.saved[i] for i in self.of[name]]
        return count_faults([(row.answer.id, find_faults(row.answer, row.sentences)) for row in own])

    def unscored(self, name: str) -> dict[str, int]:
        return reasons(self.rows[i] for i in self.of[name])

    def partial(self, name: str) -> str:
        """Which of a system's scores are over fewer than its answers that have a question, and why."""
        own = [i for i in self.of[name] if i in self.situations]
        lacking: dict[tuple[int, ...], list[str]] = {}
        for metric in self.metrics:
            if metric in _JUDGED:
                lacking.setdefault(tuple(i for i in own if self.rows[i].get(metric) is None), []).append(metric)
        parts = []
        for without, metrics in lacking.items():
            if without:
                why = "; ".join(dict.fromkeys(r for i in without if (r := self.rows[i]["reason"])))
                parts.append(
                    f"{', '.join(metrics)} over {len(own) - len(without)} of {len(own)} answers"
                    + (f": {why}" * bool(why))
                )
        return " | ".join(parts)

    def notes(self) -> list[str]:
        """Questions that not all systems answered: their means are then no fair comparison."""
        asked = {name: {self.situations[i].id for i in self.of[name] if i in self.situations} for name in self.names}
        paired = "comparisons of two systems over those that both answered; --shared takes those that all did"
        return [f"{line}, {paired}" for line in fewer_note(asked)]


def _chosen(saved: Sequence[Saved], only: Sequence[str]) -> list[Saved]:
    known = dict.fromkeys(row.answer.system for row in saved)
    if missing := [name for name in only if name not in known]:
        raise DataError(f"no system {missing[0]!r} in these files; they have {', '.join(known)}")
    return [row for row in saved if not only or row.answer.system in only]


def _named(read: Sequence[Saved], kept: Sequence[str]) -> Row:
    """Systems of the files that ``--system`` left out, and those whose names are not the files' own."""
    names = {row.answer.system: row.own for row in read}
    return {
        "left_out": [name for name in names if name not in kept],
        "renamed": {name: own for name, own in names.items() if own and own != name and name in kept},
    }


def _joined_notes(saved: Sequence[Saved], unmatched: Sequence[int], other_text: int, referred: bool) -> list[str]:
    notes = other_text_note(other_text) if referred else []
    if other_text and not referred:
        notes.append(
            f"{other_text} answers were joined by `id` to a question that another file words otherwise; right when the "
            "prompts have different templates around it, wrong when the ids are another file's"
        )
    return notes + unmatched_note([saved[i].answer.id for i in unmatched], len(saved))


def _settings(
    paths: Sequence[Path], references: Path | None, asked: Evaluators, resamples: int, seed: int
) -> dict[str, Any]:
    from overton.jsonio import sha256
    from overton.rundir import versions

    shown = tell_apart({path: Path(os.path.abspath(path)).parts for path in distinct(paths)})
    return {
        "files": {name: sha256(path) for path, name in shown.items()},
        "references": {references.name: sha256(references)} if references else {},
        "labels": "kept" if asked.keep_labels else "stripped",
        "nli_model": asked.nli_model,
        "bootstrap": resamples,
        "confidence": 0.95,
        "seed": seed,
        "versions": versions(),
    }
