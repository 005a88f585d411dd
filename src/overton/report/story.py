"""What a reader must know before trusting the figures: the warnings. Written from the numbers alone."""

from __future__ import annotations

from collections.abc import Sequence

from overton.notes import few_note, other_text_note
from overton.report.files import Row, RunFiles, mapping, number
from overton.report.metrics import FORM, INDEPENDENT, METRICS, OTHER, TRUTH, label_inside, metric
from overton.report.tables import Headline, change, comparisons, mean

_RATIO_LIMIT = 1.15
_CUT_LIMIT = 0.02


def alarms(files: RunFiles) -> list[str]:
    """Models that judge and were trained, or trained against: shown in red."""
    found = files.summary.get("warnings")
    return [str(line) for line in found] if isinstance(found, list) else []


def warnings(files: RunFiles, table: Headline) -> list[str]:
    """What a reader must know before trusting the figures, gravest first."""
    return [
        *_other_text(files),
        *_divergence(files, table),
        *_losses(files, table),
        *_fewer(files),
        *_few(files),
        *_length(files, table),
        *_unscored(files, table),
        *_cut_off(files, table),
        *_stages(files),
    ]


def _other_text(files: RunFiles) -> list[str]:
    counts = mapping(files.summary.get("other_text"))
    return [
        f"{system}: {note}."
        for system, value in counts.items()
        if (count := number(value))
        for note in other_text_note(int(count))
    ]


def _fewer(files: RunFiles) -> list[str]:
    found = files.summary.get("notes")
    return [f"{str(note)[:1].upper()}{str(note)[1:]}." for note in found] if isinstance(found, list) else []


def _few(files: RunFiles) -> list[str]:
    """The warning of ``overton compare`` where means or comparisons are over few situations."""
    summary = files.summary
    scores = [score for own in mapping(summary.get("systems")).values() for score in mapping(own).values()]
    return _few_notes([*scores, *comparisons(summary)])


def count_notes(summary: Row, systems: Sequence[str]) -> list[str]:
    """The same warning for coverage by number of references; it stands at that table, whose groups are often small."""
    by_count = mapping(summary.get("by_count"))
    return _few_notes([score for s in systems for score in mapping(by_count.get(s)).values()])


def _few_notes(scores: Sequence[object]) -> list[str]:
    known = [
        {**row, "n": int(n), "low": number(row.get("low"))}
        for row in map(mapping, scores)
        if (n := number(row.get("n"))) is not None
    ]
    return [f"{note[0].upper()}{note[1:]}." for note in few_note(known)]


def _divergence(files: RunFiles, table: Headline) -> list[str]:
    """The reward rose in training while evaluators that it never saw fell: the sign of a gamed reward."""
    rewards = series(files.curves.get("grpo", []), ("reward",))
    if len(rewards) < 2:
        return []
    part = max(1, len(rewards) // 10)
    early = sum(y for _, y in rewards[:part]) / part
    late = sum(y for _, y in rewards[-part:]) / part
    if late <= early:
        return [f"The reward did not rise in training ({early:.3f} at the start, {late:.3f} at the end)."]
    found = []
    for name in ("oracle_f1", "f1", "nli_mean"):
        result = change(files.summary, METRICS[name], table.baseline, table.treated)
        if result.verdict == "worse":
            found.append(
                f"The reward rose in training ({early:.3f} to {late:.3f}), but {label(name)} fell by "
                f"{result.difference.lstrip('−')} points: the policy may have learnt to please the reward."
            )
    return found


def _losses(files: RunFiles, table: Headline) -> list[str]:
    names = ("oracle_precision", "oracle_uniqueness", "precision", "uniqueness", "valid_tags")
    found = []
    for name in names:
        result = change(files.summary, METRICS[name], table.baseline, table.treated)
        if result.verdict == "worse":
            name_of = label(name)
            found.append(
                f"{name_of[0].upper()}{name_of[1:]} fell from {table.baseline} to {table.treated}: "
                f"{result.difference} points (95% interval {result.interval})."
            )
    return found


def _length(files: RunFiles, table: Headline) -> list[str]:
    ratio = mean(files.summary, table.treated, "perspective_ratio")
    if ratio is None or ratio <= _RATIO_LIMIT:
        return []
    return [
        f"{table.treated} names {ratio:.2f} perspectives for each true one (above {_RATIO_LIMIT}): part of "
        "its coverage may be bought with length."
    ]


def _unscored(files: RunFiles, table: Headline) -> list[str]:
    """One line for each reason of a system, with the metrics it concerns."""
    scores, reasons = mapping(files.summary.get("systems")), mapping(files.summary.get("unscored"))
    found = []
    for system in table.systems:
        given = {name: mapping(of) for name, of in mapping(reasons.get(system)).items()}
        names: dict[tuple[str, int], list[str]] = {}
        for name, score in mapping(scores.get(system)).items():
            counts = given.get(name) or {"": mapping(score).get("unscored")}
            for reason, value in counts.items():
                if count := number(value):
                    names.setdefault((reason, int(count)), []).append(label(name))
        for (reason, count), listed in names.items():
            what = ", ".join(dict.fromkeys(listed))
            found.append(
                f"{system}: {count} answer{'s' if count > 1 else ''} could not be scored for {what}"
                f"{f': {reason}' if reason else ''}; the means are without {'them' if count > 1 else 'it'}."
            )
    return found


def _cut_off(files: RunFiles, table: Headline) -> list[str]:
    found = []
    for system in (*table.systems, *sorted(set(files.answers) - set(table.systems))):
        rows = files.answers.get(system, {})
        cut = sum(row.get("finished") is False for row in rows.values())
        if cut > _CUT_LIMIT * len(rows):
            found.append(f"{system}: the token limit cut off {cut} of {len(rows)} answers.")
    return found


def _stages(files: RunFiles) -> list[str]:
    unfinished = [s for s, m in files.manifests.items() if m.get("status") != "complete" and s != "report"]
    return [f"Stage {s} has not finished; its files may be incomplete." for s in unfinished]


def label(name: str) -> str:
    """A metric's name inside a sentence, with its source: ``precision (independent evaluator)``."""
    m = metric(name)
    if m.group in (FORM, OTHER):
        return label_inside(m)
    source = {TRUTH: "known truth", INDEPENDENT: "independent evaluator"}
    return f"{label_inside(m)} ({source.get(m.group, 'NLI')})"


def series(rows: Sequence[Row], keys: Sequence[str]) -> list[tuple[float, float]]:
    """(step, value) of the first of ``keys`` that any row has."""
    for key in keys:
        found = [(float(row["step"]), y) for row in rows if (y := number(row.get(key))) is not None]
        if found:
            return found
    return []


def points_note(baseline: str, treated: str) -> str:
    """The line under tables of differences."""
    return (
        f"Difference and relative change: {treated} against {baseline}; shares differ in percentage points. "
        "Small figures are 95% intervals; n, where it stands there, is how many situations both have a value for, when "
        "a mean is over more. p is of Wilcoxon's signed-rank test, after Holm's correction for all comparisons of the "
        "run."
    )
