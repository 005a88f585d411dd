"""The page: sections from the run's files, put into one template with everything escaped."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from overton.errors import MissingDependencyError
from overton.folders import shown_model
from overton.recipe import Recipe, dump_recipe
from overton.report import figures
from overton.report.axes import colour_of
from overton.report.compare_figures import curve_figure
from overton.report.entailment import entailment_part
from overton.report.estimator import estimator_part
from overton.report.examples import choose
from overton.report.files import Guard, Row, RunFiles, mapping, number
from overton.report.heat import blocks, heat_rows, heat_systems
from overton.report.judges import PAIR_HEAD, agreement_rows, pair_rows
from overton.report.metrics import FORM, METRICS, TERMS, duration
from overton.report.opening import opening
from overton.report.story import alarms, count_notes, points_note, series, warnings
from overton.report.svg import css_variables
from overton.report.tables import (
    Headline,
    count_table,
    headline,
    mean,
    other_comparisons,
    other_count_tables,
    time_table,
)


@dataclass(frozen=True, slots=True)
class Panel:
    """A learning curve: title in the page, keys in ``metrics.jsonl`` (the first found), how to draw it."""

    title: str
    keys: tuple[str, ...]
    share: bool = False
    target: str = ""


PANELS = (
    Panel("Reward", ("reward",)),
    Panel("Coverage", ("coverage", "terms/coverage"), share=True),
    Panel("Precision", ("precision", "terms/precision"), share=True),
    Panel("Uniqueness", ("uniqueness", "terms/uniqueness"), share=True),
    Panel("Perspectives per answer", ("perspectives", "terms/perspectives"), target="true_perspectives"),
    Panel("Valid tags", ("valid_tags", "terms/valid_tags"), share=True),
    Panel("Length in tokens", ("completion_length", "completions/mean_length")),
    Panel("Entropy", ("entropy",)),
    Panel("KL divergence from the start", ("kl",)),
)


def build_page(recipe: Recipe, files: RunFiles) -> str:
    """The whole page.

    Args:
        recipe: the resolved recipe.
        files: what the run directory holds.

    Returns:
        HTML without scripts and without references to anything outside itself. A part whose files are missing
        or unreadable is replaced by a line that says so.

    Raises:
        MissingDependencyError: jinja2 or matplotlib is not installed.
    """
    safe = Guard(files.notes)
    table = safe("results", lambda: headline(files.summary)) or Headline((), "", "", ())
    pair = [s for s in (table.baseline, table.treated) if s] or list(files.answers)[:2]
    if files.answers:
        for s in (name for name in pair if name not in files.answers):
            safe.note("examples", f"generation/{s}.jsonl: no such file")
    examples = safe("examples", lambda: choose(files, pair, recipe.report.examples, recipe.seed)) or []
    context = {
        "recipe": recipe,
        "palette": {"light": css_variables("light"), "dark": css_variables("dark")},
        "table": table,
        "colours": {s: colour_of(s, table.systems) for s in table.systems},
        "opening": safe("results", lambda: opening(files, table)) or "",
        "alarms": safe("results", lambda: alarms(files)),
        "warnings": safe("results", lambda: warnings(files, table)),
        "points_note": points_note(table.baseline, table.treated),
        "comparisons": safe("results", lambda: other_comparisons(files.summary, table)),
        "hero": safe("results", lambda: figures.headline_figure(files.summary)),
        "curves": safe("training", lambda: _curves(files, table)),
        "by_count": safe("results", lambda: _by_count(files.summary, table)),
        "other_counts": safe("results", lambda: other_count_tables(files.summary, table)),
        "at_k": safe("results", lambda: curve_figure(mapping(files.summary.get("coverage_at_k")), table.systems)),
        "entailment": safe("results", lambda: entailment_part(files.summary, table.systems)),
        "heat": safe("results", lambda: _heat(files.summary, table)),
        "estimator": safe("estimator", lambda: estimator_part(files)),
        "examples": examples,
        "judged": any(a.note for e in examples for a in e.answers),
        "times": safe("stages", lambda: _times(files)),
        "details": safe("stages", lambda: _details(recipe, files)) or [],
        "recipe_text": dump_recipe(recipe),
        "judges": {
            "head": PAIR_HEAD,
            "pairs": safe("results", lambda: pair_rows(files)) or [],
            "agreement": safe("results", lambda: agreement_rows(files)) or [],
        },
        "glossary": _glossary(table, files.summary),
        "notes": safe.notes,
    }
    return environment().get_template("index.html.j2").render(context)


def environment() -> Any:
    """Jinja with everything escaped but our own drawings (``| drawing``)."""
    try:
        from jinja2 import Environment, FileSystemLoader, StrictUndefined
    except ImportError as error:
        raise MissingDependencyError("the report needs jinja2: pip install 'overton[train]'") from error
    from markupsafe import Markup

    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    # For our own drawings only: figures.py escapes the names that go into them.
    environment.filters["drawing"] = Markup
    return environment


def _curves(files: RunFiles, table: Headline) -> list[str]:
    drawn = []
    rows = files.curves.get("grpo", [])
    for index, panel in enumerate(PANELS):
        points = series(rows, panel.keys)
        if not points or (panel.title.startswith("KL") and not any(y for _, y in points)):
            continue
        target = mean(files.summary, table.treated, panel.target) if panel.target else None
        drawn.append(figures.curve(f"grpo-{index}", panel.title, points, panel.share, target))
    loss = series(files.curves.get("sft", []), ("loss",))
    if loss:
        drawn.append(figures.curve("sft-loss", "Loss of the fine-tuning before (SFT)", loss))
    return drawn


def _by_count(summary: Row, table: Headline) -> Row | None:
    systems, rows = count_table(summary, table)
    svg = figures.coverage_by_count(mapping(summary.get("by_count")), systems)
    return {"svg": svg, "systems": systems, "rows": rows, "few": count_notes(summary, systems)} if svg else None


def _heat(summary: Row, table: Headline) -> Row | None:
    per_value = mapping(summary.get("per_value"))
    systems = heat_systems(per_value, table.systems)
    rows = heat_rows(per_value, systems, table.baseline, table.treated)
    if not rows:
        return None
    gained = sum((r.raw or 0) > 0 for r in rows)
    lost = sum((r.raw or 0) < 0 for r in rows)
    return {
        "systems": systems,
        "blocks": blocks(rows, len(systems)),
        "judge": mapping(summary.get("settings")).get("coverage_by"),
        "count": len(rows),
        "gained": gained,
        "lost": lost,
    }


def _times(files: RunFiles) -> list[Row]:
    rows = time_table(files)
    longest = max((s for _, s, _, _ in rows if s), default=1.0) or 1.0
    return [
        {
            "stage": stage,
            "wall": "" if wall is None else duration(wall),
            "cpu": "" if cpu is None else duration(cpu),
            "status": status,
            "width": 0 if wall is None else round(100 * wall / longest, 1),
        }
        for stage, wall, cpu, status in rows
    ] + (
        [
            {
                "stage": "together",
                "wall": duration(sum(s for _, s, _, _ in rows if s)),
                "cpu": duration(sum(c for _, _, c, _ in rows if c)),
                "status": "",
                "width": 0,
            }
        ]
        if len(rows) > 1
        else []
    )


def _details(recipe: Recipe, files: RunFiles) -> list[tuple[str, str]]:
    found: dict[str, list[str]] = {}
    for manifest in files.manifests.values():
        for package, version in mapping(manifest.get("versions")).items():
            if str(version) not in found.setdefault(str(package), []):
                found[str(package)].append(str(version))
    rows = [
        ("policy", shown_model(recipe.policy.model)),
        ("data", recipe.data.path.name if recipe.data.path else recipe.data.dataset or recipe.data.source),
        ("reward", recipe.reward.preset),
    ]
    rows += [("seed", str(recipe.seed)), ("threads", str(recipe.threads or "chosen by torch"))]
    started = [str(m["started"]) for m in files.manifests.values() if m.get("started")]
    if started:
        rows.append(("started", min(started)))
    rows += [(package, ", ".join(versions)) for package, versions in found.items()]
    for key in ("model_hash", "data_hash"):
        if files.calibration.get(key):
            rows.append((f"estimator {key.replace('_', ' ')}", str(files.calibration[key])[:16]))
    settings = mapping(files.summary.get("settings"))
    if settings.get("nli_model"):
        rows.append(("entailment by", str(settings["nli_model"])))
    accuracy = number(mapping(settings.get("nli_held_out")).get("accuracy"))
    if accuracy is not None:
        rows.append(("its accuracy on held-out pairs", f"{100 * accuracy:.1f}%"))
    return rows


def _glossary(table: Headline, summary: Row) -> list[tuple[str, str]]:
    shown = [line.metric for _, lines in table.groups for line in lines] or list(METRICS.values())
    rows = [
        (m.label if m.group == FORM else f"{m.label} · {m.group.lower()}", m.definition) for m in shown if m.definition
    ]
    threshold = number(summary.get("nli_threshold"))
    if threshold is not None:
        rows = [
            (a, b.replace("the threshold (Accuracy@threshold)", f"{threshold:g} (Accuracy@{threshold:g})"))
            for a, b in rows
        ]
    return [*TERMS, *rows]
