"""The page of ``overton compare`` from its ``comparison.json``: one file, no scripts, everything escaped."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from overton.report.compare_figures import curve_figure, scored_by, scores_figure
from overton.report.compare_metrics import COMPARED, GROUPS, MAIN
from overton.report.files import Row, mapping, number
from overton.report.html import environment
from overton.report.metrics import (
    Metric,
    difference_text,
    interval_text,
    label_inside,
    p_text,
    percent_change,
    value_text,
)
from overton.report.svg import css_variables
from overton.report.tables import Cell, cell
from overton.report.verdict import against_ranks, verdict


@dataclass(frozen=True, slots=True)
class Block:
    """One table: systems x the metrics of one group.

    Attributes:
        title: the group.
        metrics: columns; those that no system has are left out.
        rows: system and one cell a metric.
    """

    title: str
    metrics: tuple[Metric, ...]
    rows: tuple[tuple[str, tuple[Cell, ...]], ...]


@dataclass(frozen=True, slots=True)
class Pair:
    """One paired comparison; texts. ``verdict`` is that of :func:`~overton.report.verdict.verdict`, ``opposed`` of
    :func:`~overton.report.verdict.against_ranks`."""

    a: str
    b: str
    metric: Metric
    difference: Cell
    relative: str
    effect: str
    delta: str
    p: str
    n: str
    verdict: str
    opposed: str


def blocks(comparison: Row) -> list[Block]:
    """The tables of means, one a group of metrics."""
    scores = mapping(comparison.get("systems"))
    names = {m for own in scores.values() for m in mapping(own)}
    found = []
    for group in GROUPS:
        metrics = tuple(m for m in COMPARED.values() if m.group == group and m.name in names)
        if metrics:
            rows = tuple(
                (s, tuple(cell(m, mapping(mapping(own).get(m.name))) for m in metrics)) for s, own in scores.items()
            )
            found.append(Block(group, metrics, rows))
    return found


def pairs(comparison: Row, metrics: Sequence[str] = MAIN) -> list[Pair]:
    """Comparisons of every two systems in the metrics named."""
    return [
        _pair(COMPARED[row["metric"]], row)
        for row in comparison.get("comparisons", ())
        if row["metric"] in metrics and row["difference"] is not None
    ]


def split_blocks(comparison: Row) -> list[tuple[str, Metric, list[tuple[str, str]], list[tuple[str, list[Cell]]]]]:
    """The tables by group of questions: kind of group, metric, (group, questions) and (system, one cell a group).

    Questions are ``20``, or ``14 to 20`` where systems answered different ones.
    """
    ranked = comparison["ranked_by"]
    found = []
    for kind, groups in mapping(comparison.get("splits")).items():
        for name in dict.fromkeys((ranked.removesuffix("f1") + "coverage", ranked)):
            if (m := COMPARED.get(name)) and any(
                mapping(mapping(g).get(s)).get(name) for g in groups.values() for s in g
            ):
                rows = [
                    (s, [cell(m, mapping(mapping(mapping(g).get(s)).get(name))) for g in groups.values()])
                    for s in comparison["systems"]
                ]
                sizes = []
                for group, g in groups.items():
                    known = sorted({int(number(mapping(own.get(m.name)).get("n")) or 0) for own in g.values()} or {0})
                    sizes.append((group, str(known[0]) if len(known) == 1 else f"{known[0]} to {known[-1]}"))
                found.append((kind, m, sizes, rows))
    return found


def opening(comparison: Row) -> str:
    """Who ranks first and by how much, in one sentence or two."""
    systems = list(comparison["systems"])
    m = COMPARED[comparison["ranked_by"]]
    first = mapping(comparison["systems"][systems[0]]).get(m.name)
    if not first or first["mean"] is None:
        return f"{len(systems)} systems. None of them has a score."
    text = f"Ranked by {label_inside(m)}, {systems[0]} is first of {len(systems)} with {value_text(m, first['mean'])}"
    text += "." if first["low"] is None else f" (95% interval {interval_text(m, first['low'], first['high'])})."
    if len(systems) < 2:
        return text.replace("Ranked by", "By").replace(f"is first of {len(systems)} with", "has")
    for pair in pairs(comparison, (m.name,)):
        if {pair.a, pair.b} == set(systems[:2]):
            sure = "" if pair.verdict else ", which may be chance"
            text += f" Against {systems[1]}, on {pair.n} common questions, the difference is {pair.difference.text}"
            text += " points" if m.unit == "share" else ""
            text += f" (95% interval {pair.difference.interval}; p after Holm's correction {pair.p}){sure}."
            text += f" {pair.opposed}" if pair.opposed else ""
    return text


def build_comparison(comparison: Row, title: str = "Comparison") -> str:
    """The whole page.

    Args:
        comparison: what :func:`overton.commands.comparing.compare_files` returns.
        title: heading.

    Returns:
        HTML without scripts and without references to anything outside itself.

    Raises:
        MissingDependencyError: jinja2 or matplotlib is not installed.
    """
    systems = list(comparison["systems"])
    m = COMPARED[comparison["ranked_by"]]
    tables = blocks(comparison)
    context: dict[str, Any] = {
        "title": title,
        "opening": opening(comparison),
        "alarms": comparison["warnings"],
        "notes": comparison["notes"],
        "palette": {"light": css_variables("light"), "dark": css_variables("dark")},
        "systems": systems,
        "answers": comparison["answers"],
        "scores": scores_figure(comparison["systems"], systems),
        "scored_by": "".join(COMPARED[name].group for name in scored_by(comparison["systems"], systems)[:1]),
        "own_questions": any(own["with_references"] != own["shared_by_all"] for own in comparison["answers"].values()),
        "curve": curve_figure(comparison["coverage_at_k"], systems),
        "blocks": tables,
        "ranked": m,
        "matrix": _matrix(pairs(comparison, (m.name,)), systems),
        "pairs": pairs(comparison),
        "family": len([row for row in comparison["comparisons"] if row["p_holm"] is not None]),
        "splits": split_blocks(comparison),
        "faults": comparison["faults"],
        "fault_words": {
            name: words
            for name, words in comparison["fault_definitions"].items()
            if any(name in own for own in comparison["faults"].values())
        },
        "unscored": comparison["unscored"],
        "details": _details(comparison),
        "terms": [(f"{x.label} · {b.title.lower()}", x.definition) for b in tables for x in b.metrics if x.definition],
    }
    return str(environment().get_template("compare.html.j2").render(context))


def _matrix(found: Sequence[Pair], systems: Sequence[str]) -> list[tuple[str, list[Pair | None]]]:
    """Row system against column system."""
    known = {(p.a, p.b): p for p in found}
    return [(a, [known.get((a, b)) for b in systems]) for a in systems]


def _pair(m: Metric, row: Row) -> Pair:
    low, high, p = number(row["low"]), number(row["high"]), number(row["p_holm"])
    interval = None if low is None or high is None else (low, high)
    relative, d_z, delta = (number(row[k]) for k in ("relative", "cohens_dz", "cliffs_delta"))
    return Pair(
        a=row["a"],
        b=row["b"],
        metric=m,
        difference=Cell(
            difference_text(m, row["difference"]), " to ".join(difference_text(m, x) for x in interval or ())
        ),
        relative="" if relative is None else percent_change(relative),
        effect="" if d_z is None else f"{d_z:+.2f}".replace("-", "−"),
        delta="" if delta is None else f"{delta:+.2f}".replace("-", "−"),
        p="" if p is None else p_text(p),
        n=str(row["n"]),
        verdict=verdict(m, interval, p),
        opposed=against_ranks(row["difference"], delta),
    )


def _details(comparison: Row) -> list[tuple[str, str]]:
    settings, used = comparison["settings"], comparison["threshold"]
    rows = [(f"answers: {name}", digest[:16]) for name, digest in settings["files"].items()]
    rows += [(f"references: {name}", digest[:16]) for name, digest in settings["references"].items()]
    if used:
        measured = "calibrated" if used["calibrated"] else "not calibrated"
        rows += [("encoder", used["estimator"]), ("cosine of a match", f"{used['value']:.3f}, {measured}")]
        rows.append(("label prefix", settings["labels"]))
    if settings["nli_model"]:
        rows.append(("entailment by", settings["nli_model"]))
    if settings["left_out"]:
        rows.append(("systems left out", ", ".join(settings["left_out"])))
    rows += [(f"called {own} in its file", name) for name, own in settings["renamed"].items()]
    rows += [("bootstrap resamples", str(settings["bootstrap"])), ("seed", str(settings["seed"]))]
    return rows + list(settings["versions"].items())
