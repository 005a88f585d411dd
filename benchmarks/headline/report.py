"""From measured columns to the results file, its tables and the figure."""

from __future__ import annotations

from calendar import timegm
from collections.abc import Mapping
from pathlib import Path
from time import strptime
from typing import Any

from headline.systems import OURS, SYSTEMS
from overton.evaluation.statistics import compare, holm, intervals
from overton.jsonio import read_json, sha256, write_text
from overton.report.svg import COLOURS, Theme, draw
from overton.rundir import RunDir
from pages import fill

Report = Mapping[str, Any]
Columns = dict[str, list[float | None]]
TESTED = ("coverage", "f1", "set_f1", "nli_mean", "nli_accuracy")
# Published in Accuracy@0.33, which is left out where it leaves no room for the gain.
PUBLISHED = ("nli_accuracy", "nli_mean", "coverage")
# system -> least relative gain of OP-GRPO, and in what.
GOALS: tuple[tuple[str, float, tuple[str, ...]], ...] = (
    ("big", 0.374, PUBLISHED),
    ("big-explicit", 0.374, PUBLISHED),
    ("modular", 0.191, PUBLISHED),
    ("parallel-2", 0.0, ("coverage", "f1")),  # more tokens than OP-GRPO writes
    ("parallel-equal", 0.0, ("coverage", "f1")),
    ("entropy", 0.0, ("f1", "set_f1")),
    ("determinant", 0.0, ("f1", "set_f1")),
    ("darling", 0.0, ("f1", "set_f1")),
)
# what the time is counted as -> folders of a seed
PARTS: dict[str, tuple[str, ...]] = {
    "data": ("data", "rows"),
    "estimators": ("estimator",),
    "NLI models": ("nli",),
    "policies": ("policies/*",),
    "answers and their evaluation": ("answers/*",),
}
PICTURE = [
    "<picture>",
    '  <source media="(prefers-color-scheme: dark)" srcset="figures/headline-dark.svg">',
    '  <img alt="F1, coverage and precision of every system, with 95% intervals" src="figures/headline-light.svg">',
    "</picture>",
]
NAMES = {
    "coverage": "true coverage",
    "precision": "precision",
    "f1": "F1",
    "set_f1": "F1 of sets",
    "uniqueness": "uniqueness",
    "nli_mean": "NLI mean",
    "nli_accuracy": "NLI Accuracy@0.33",
}


def collect(runs: Path) -> dict[str, Any]:
    """Whatever is finished under ``runs``: figures of each system, comparisons with OP-GRPO, goals.

    Means and intervals are over the situations of all seeds that a system has; comparisons are paired, on the seeds
    that both have. P-values are corrected by Holm's method for all comparisons together.
    """
    found: dict[str, dict[int, Columns]] = {name: {} for name in SYSTEMS}
    homes = {int(path.name.removeprefix("seed-")): path for path in sorted(runs.glob("seed-*"))}
    for seed, home in homes.items():
        answers = RunDir(home / "answers")
        for name in SYSTEMS:
            if _is_finished(home, name):
                found[name][seed] = read_json(answers.stage(name) / "values.json")
    found = {name: seeds for name, seeds in found.items() if seeds}
    systems = {name: _figures(name, seeds, homes) for name, seeds in found.items()}
    comparisons = [
        _compared(found[OURS], found[name], name, metric)
        for name in found
        if name != OURS and set(found.get(OURS, ())) & set(found[name])
        for metric in TESTED
    ]
    for row, corrected in zip(comparisons, holm([row["p_value"] for row in comparisons]), strict=True):
        row["p_holm"] = corrected
    return {
        "seeds": sorted({seed for seeds in found.values() for seed in seeds}),
        "took": _took(list(homes.values())),
        "systems": systems,
        "comparisons": comparisons,
        "goals": _goals(systems, comparisons),
    }


def _took(homes: list[Path]) -> dict[str, Any]:
    """CPU seconds of all finished parts by their kind, and minutes from the first start to the last end.

    Both for everything, and for what the systems of the headline need. Ablations begin when no part of the headline
    can begin. A part that was killed counts from when it went on; policy ``unmasked`` includes its estimator.
    """
    made = [(kind, file) for kind, folders in PARTS.items() for h in homes for file in _manifests(h, folders)]
    main = {name for s in SYSTEMS.values() if s.part == "main" for name in (s.name, *s.policies)}
    needed = [(k, f) for k, f in made if f.parents[1].name not in ("policies", "answers")]
    needed += [(k, f) for k, f in made if f.parents[1].name in ("policies", "answers") and f.parent.name in main]
    return {"main": _time(needed), "all": _time(made)}


def _manifests(home: Path, folders: tuple[str, ...]) -> list[Path]:
    return sorted(file for folder in folders for file in home.glob(f"{folder}/manifest.json"))


def _time(made: list[tuple[str, Path]]) -> dict[str, Any]:
    cpu: dict[str, float] = {}
    begun, ended = [], []
    for kind, file in made:
        record = RunDir(file.parents[1]).manifest(file.parent.name) or {}
        if record.get("status") == "complete":
            cpu[kind] = round(cpu.get(kind, 0) + record["cpu_seconds"], 1)
            begun.append(timegm(strptime(record["started"], "%Y-%m-%dT%H:%M:%SZ")))
            ended.append(begun[-1] + record["seconds"])
    return {"cpu_seconds": cpu, "minutes": round((max(ended) - min(begun)) / 60, 1) if begun else None}


def _is_finished(home: Path, name: str) -> bool:
    """Whether a system's answers are those of its policies as they are now; one of them may be in training anew."""
    record = RunDir(home / "answers").manifest(name) or {}
    policies = RunDir(home / "policies")
    return record.get("status") == "complete" and all(
        (policies.manifest(policy) or {}).get("status") == "complete"
        and sha256(policies.stage(policy) / "model") == made_from
        for policy, made_from in record["made_from"]["models"].items()
    )


def _figures(name: str, seeds: Mapping[int, Columns], homes: Mapping[int, Path]) -> dict[str, Any]:
    system, first = SYSTEMS[name], next(iter(seeds.values()))
    pooled = intervals({metric: [v for own in seeds.values() for v in own[metric]] for metric in first})
    for metric, figure in pooled.items():
        figure["by_seed"] = {seed: _mean(own[metric]) for seed, own in seeds.items()}
    policies = [RunDir(homes[seed] / "policies").manifest(p) or {} for seed in seeds for p in system.policies]
    return {
        "title": system.title,
        "part": system.part,
        "seeds": sorted(seeds),
        "parameters": sum(_parameters(homes[min(seeds)] / "policies" / p / "model") for p in system.policies),
        "training_cpu_seconds": round(sum(m.get("cpu_seconds", 0) for m in policies) / len(seeds), 1),
        "figures": pooled,
    }


def _parameters(model: Path) -> int:
    """All weights, embeddings too; tied ones count once."""
    from safetensors import safe_open

    with safe_open(model / "model.safetensors", framework="numpy") as weights:
        total = 0
        for key in weights.keys():  # noqa: SIM118  it is no dict
            size = 1
            for length in weights.get_slice(key).get_shape():
                size *= length
            total += size
    return total


def _compared(ours: Mapping[int, Columns], other: Mapping[int, Columns], name: str, metric: str) -> dict[str, Any]:
    common = sorted(set(ours) & set(other))
    keyed = [{f"{s}/{i}": v for s in common for i, v in enumerate(own[s][metric])} for own in (ours, other)]
    return {"a": OURS, "b": name, "metric": metric, "seeds": common, **compare(*keyed)}


def _goals(systems: Mapping[str, Any], comparisons: list[dict[str, Any]]) -> list[dict[str, Any]]:
    rows = {(row["b"], row["metric"]): row for row in comparisons}
    goals = []
    for name, least, metrics in GOALS:
        if (name, metrics[0]) not in rows:
            continue
        saturated = metrics == PUBLISHED and systems[name]["figures"]["nli_accuracy"]["mean"] * (1 + least) > 1
        for metric in metrics[saturated:]:
            row = rows[name, metric]
            reached = row["relative"] is not None and row["relative"] >= least and row["low"] > 0
            goals.append({"system": name, "metric": metric, "least": least, "saturated": saturated, "reached": reached})
    return goals


def _mean(column: list[float | None]) -> float | None:
    known = [v for v in column if v is not None]
    return sum(known) / len(known) if known else None


def markdown(report: Report) -> str:
    """All tables, for a terminal."""
    return "\n\n".join(["\n".join(part) for part in (table(report), goals(report), table(report, "ablation"))])


def short_table(report: Report) -> list[str]:
    """The systems of the headline side by side, for the README."""
    metrics = ("coverage", "precision", "f1", "set_f1")
    lines = [f"| | {' | '.join(NAMES[m] for m in metrics)} | tokens of all calls |", "|---" * 6 + "|"]
    for system in report["systems"].values():
        if system["part"] == "main":
            figures = system["figures"]
            cells = [f"{figures[metric]['mean']:.3f}" for metric in metrics] + [f"{figures['written']['mean']:.0f}"]
            lines.append(f"| {system['title']} | {' | '.join(cells)} |")
    return lines


def table(report: Report, part: str = "main") -> list[str]:
    """Systems and their figures; the start and OP-GRPO stand above the ablations too.

    Args:
        report: the results file.
        part: ``main`` or ``ablation``.
    """
    metrics = ("coverage", "precision", "f1", "set_f1", "uniqueness", "nli_mean", "nli_accuracy")
    head = ["system", "seeds", "parameters", *(NAMES[m] for m in metrics)]
    head += ["lines / true", "tokens", "tokens of all calls", "s an answer", "training CPU s"]
    paired = {row["b"]: row for row in report["comparisons"] if row["metric"] == "f1"} if part == "ablation" else {}
    head += ["F1 less OP-GRPO's, same situations"] if paired else []
    lines = [f"| {' | '.join(head)} |", "|---" * len(head) + "|"]
    for name, system in report["systems"].items():
        if system["part"] != part and not (part == "ablation" and name in ("sft", OURS)):
            continue
        figures = system["figures"]
        cells = [system["title"], ", ".join(map(str, system["seeds"])), f"{system['parameters'] / 1e6:.2f} M"]
        for metric in metrics:
            own = figures[metric]
            cell = f"{own['mean']:.3f}"
            if metric in ("coverage", "f1", "set_f1"):
                cell += f" ({own['low']:.3f} to {own['high']:.3f})"
            cells.append(cell)
        cells.append(f"{figures['perspective_ratio']['mean']:.2f}")
        cells += [f"{figures[m]['mean']:.0f}" for m in ("tokens", "written")]
        cells += [f"{figures['seconds']['mean']:.2f}", f"{system['training_cpu_seconds']:.0f}"]
        if paired:
            row = paired.get(name)
            cells.append(f"{-row['difference']:+.3f} ({-row['high']:+.3f} to {-row['low']:+.3f})" if row else "")
        lines.append(f"| {' | '.join(cells)} |")
    return lines


def goals(report: Report) -> list[str]:
    """What was to be reached, and what was."""
    rows = {(row["b"], row["metric"]): row for row in report["comparisons"]}
    lines = ["| OP-GRPO against | in | wanted | found | difference | p (Holm) | |", "|---|---|---|---|---|---|---|"]
    for goal in report["goals"]:
        row = rows[goal["system"], goal["metric"]]
        title, verdict = report["systems"][goal["system"]]["title"], "reached" if goal["reached"] else "**missed**"
        wanted = f"{goal['least']:+.1%}" if goal["least"] else "above"
        bounds = f"{row['difference']:+.3f} ({row['low']:+.3f} to {row['high']:+.3f})"
        lines.append(
            f"| {title} | {NAMES[goal['metric']]} | {wanted} | {gain(row['relative'])} | {bounds} | "
            f"{_p(row['p_holm'])} | {verdict} |"
        )
    saturated = sorted({report["systems"][g["system"]]["title"] for g in report["goals"] if g["saturated"]})
    if saturated:
        lines += ["", f"Accuracy@0.33 leaves no room for that gain over: {'; '.join(saturated)}."]
    return lines


def gain(value: float | None) -> str:
    """A relative gain in percent."""
    return "" if value is None else f"{value:+.1%}"


def _p(value: float | None) -> str:
    return "" if value is None else "< .001" if value < 0.001 else f"{value:.3f}"


def figure(report: Report, theme: Theme) -> str:
    """True coverage and precision of every system of the headline, with F1 in the names."""
    rows = [s for s in report["systems"].values() if s["part"] == "main"]
    rows.sort(key=lambda s: s["figures"]["f1"]["mean"])
    said = "; ".join(
        f"{s['title']}: "
        + ", ".join(f"{NAMES[m]} {s['figures'][m]['mean']:.2f}" for m in ("f1", "coverage", "precision"))
        for s in reversed(rows)
    )

    def paint(axes: Any) -> None:
        for offset, (metric, colour) in zip(
            (0.24, 0.0, -0.24), (("f1", "c1"), ("coverage", "c0"), ("precision", "c5")), strict=True
        ):
            own = [s["figures"][metric] for s in rows]
            means = [f["mean"] for f in own]
            axes.errorbar(
                means,
                [y + offset for y in range(len(rows))],
                xerr=[
                    [m - f["low"] for m, f in zip(means, own, strict=True)],
                    [f["high"] - m for m, f in zip(means, own, strict=True)],
                ],
                fmt="o",
                markersize=4,
                linewidth=1.4,
                color=COLOURS[colour],
                label=NAMES[metric],
            )
        axes.set_yticks(range(len(rows)), [f"{s['title']} ({s['parameters'] / 1e6:.2f} M)" for s in rows])
        axes.set_xlabel("held-out situations, 95% intervals")
        axes.legend(loc="lower left", fontsize=8)

    return draw("headline", (520.0, 60.0 + 24.0 * len(rows)), said, paint, theme)


def write_page(report: Report, root: Path) -> None:
    """Fill docs/results.md and README.md, and draw docs/figures/headline-{light,dark}.svg."""
    results, readme = root / "docs" / "results.md", root / "README.md"
    blocks = {
        "main": table(report),
        "goals": goals(report),
        "ablations": table(report, "ablation"),
        "origin": _origin(report),
        "figure": PICTURE,
    }
    for name, lines in blocks.items():
        fill(results, name, lines)
    fill(readme, "headline", short_table(report))
    for theme in ("light", "dark"):
        write_text(root / "docs" / "figures" / f"headline-{theme}.svg", figure(report, theme))


def _origin(report: Report) -> list[str]:
    """Which seeds and systems there are, and where it comes from."""
    seeds: dict[str, list[str]] = {}
    for system in report["systems"].values():
        seeds.setdefault(", ".join(map(str, system["seeds"])), []).append(system["title"])
    lines = [f"- Seed {which}: {'; '.join(titles)}." for which, titles in seeds.items()]
    lines.append(f"- Made by `{report['command']}` on {report['date']}.")
    for name, what in (("main", "The systems above"), ("all", "With the ablations")):
        took = report.get("took", {}).get(name)
        if not took or took["minutes"] is None:  # of a file from before it was told
            continue
        kinds = ", ".join(f"{kind} {seconds:,.0f}" for kind, seconds in took["cpu_seconds"].items())
        total = sum(took["cpu_seconds"].values())
        lines.append(
            f"- {what}: {took['minutes']:.0f} minutes from the first start to the last end, pauses included; CPU "
            f"seconds: {kinds}; together {total:,.0f}."
        )
    return lines
