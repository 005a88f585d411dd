"""The model card of a trained estimator, with its figures once they are measured."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from overton.folders import shown_model
from overton.notes import threshold_interval

if TYPE_CHECKING:
    from overton.estimator.calibration import Calibration
    from overton.sections import DataPart, DataSection, EstimatorSection

_SITUATION = {"mask": "the situation's words masked", "prepend": "the situation in front", "ignore": "nothing masked"}
_METRICS = {"average_precision": "average precision", "roc_auc": "ROC AUC", "f1": "F1", "accuracy": "accuracy"}
_DATA = {
    "world": "the bundled world of Overton",
    "perspectrum": "PERSPECTRUM",
    "argkp": "Key Point Analysis 2021",
    "valueprism": "ValuePrism",
    "table": "a table of the author's own",
}


def write_card(
    folder: Path,
    section: EstimatorSection,
    calibration: Calibration | None = None,
    benchmark: Mapping[str, Any] | None = None,
    sets: Mapping[str, Mapping[str, Any]] | None = None,
    source: DataSection | None = None,
) -> None:
    """Write ``README.md`` as the hub reads it. It holds no times, so equal runs write equal cards.

    Args:
        folder: of the model.
        section: what it was trained with.
        calibration: its threshold, when measured.
        benchmark: what :func:`overton.estimator.benchmark.benchmark` gives, when measured.
        sets: calibrations of single data sets, as :func:`overton.estimator.calibrate.calibrate` gives them.
        source: what the pairs come from; without it, the card has figures for readers but none for the hub.
    """
    from huggingface_hub import EvalResult, ModelCardData

    systems: Mapping[str, Any] = (benchmark or {}).get("systems", {})
    tuned = systems.get("tuned", {})
    kind, named = _data_set(source) if source else ("", "")
    data = ModelCardData(
        library_name="sentence-transformers",
        pipeline_tag="sentence-similarity",
        base_model=None if Path(section.base).exists() else section.base,
        tags=["sentence-transformers", "sentence-similarity", "overton"],
        model_name="Similarity estimator",
        eval_results=[
            EvalResult(
                task_type="sentence-similarity",
                dataset_type=kind,
                dataset_name=f"labelled pairs of {named}",
                dataset_split="test",
                dataset_args={"different_per_same": benchmark["different_per_same"]} if benchmark else None,
                metric_type=name,
                metric_name=shown,
                metric_value=round(float(tuned[name]["mean"]), 4),
            )
            for name, shown in _METRICS.items()
            if source and tuned.get(name)
        ]
        or None,
    )
    soup = f", weights averaged over {section.soup} trainings" if section.soup > 1 else ""
    share = section.subtract_situation
    less = f", {share:g} of the situation's own vector subtracted" if share else ""
    text = f"""---
{data.to_yaml()}
---
# A similarity estimator for perspectives

Cosine of two sentences = how much they state the same perspective on a situation. Fine-tuned with Overton:
loss {section.loss} (scale {section.scale:g}), learning rate {section.learning_rate:g},
{section.epochs:g} epochs, batch {section.batch_size}{soup};
texts {"without" if section.strip_label else "with their"} label prefix, {_SITUATION[section.situation]}{less}.

Overton prepares texts so (`overton.json` holds the settings), and all figures below are of texts prepared so.
`SentenceTransformer("FOLDER")` loads the bare model, which does not: its cosines are others, and the threshold and the
probabilities do not hold for them.

{_snippet(calibration is not None)}"""
    if calibration is not None:
        text += _calibrated(calibration, sets or {})
    if tuned:
        text += "\n" + _table(systems)
        text += f"\nF1 is at a threshold of each model's own, chosen on dev pairs by one rule: {_rule(section)}.\n"
    (folder / "README.md").write_text(text, encoding="utf-8")


def _data_set(source: DataSection) -> tuple[str, str]:
    """A name for programs and one for readers; a folder's path is nobody else's."""
    parts: list[DataPart | DataSection] = [*source.parts.values()] or [source]
    kinds, names = dict[str, None](), dict[str, None]()
    for part in parts:
        kind, name = str(part.source), _DATA.get(part.source, "")
        if part.source == "hub" or (part.source == "valueprism" and part.dataset):
            kind = name = shown_model(part.dataset)
        kinds[kind], names[name] = None, None
    return "+".join(kinds), " and ".join(names)


def _snippet(calibrated: bool) -> str:
    """How the model is used with its preprocessing."""
    last = "print(cosines >= estimator.threshold, estimator.probability(cosines))" if calibrated else "print(cosines)"
    return f"""```python
from overton.estimator import SimilarityEstimator  # pip install overton

estimator = SimilarityEstimator.load("FOLDER")  # of a hub name: open_estimator("OWNER/NAME")[0]
cosines = estimator.cosines(
    ["The letter is nobody else's business."],
    ["What the worker writes is private."],
    contexts=["A boss reads the letter of a worker."],
)
{last}
```
"""


def _calibrated(calibration: Calibration, sets: Mapping[str, Mapping[str, Any]]) -> str:
    """Threshold and probability, of all pairs and of each data set."""
    bounds = threshold_interval(calibration.low, calibration.high)
    text = f"""
Two texts count as the same perspective from a cosine of {calibration.threshold:.3f}
({bounds}; on {calibration.pairs} dev pairs). The probability that they are is
`sigmoid({calibration.slope:.3f} * cosine {calibration.intercept:+.3f})`.
"""
    if not sets:
        return text
    name = next(iter(sets))
    rows = [
        f"| {name} | {own['threshold']:.3f} | {own['slope']:.3f} | {own['intercept']:.3f} | {own['pairs']} |"
        for name, own in sets.items()
    ]
    head = ["| data set | threshold | slope | intercept | dev pairs |", "|---|---|---|---|---|"]
    return (
        f"""{text}
Each data set has its own, which `load("FOLDER", data_set="{name}")` takes:

"""
        + "\n".join([*head, *rows])
        + "\n"
    )


def _rule(section: EstimatorSection) -> str:
    """How thresholds are chosen."""
    if section.target_precision:
        return f"the lowest with a precision of at least {section.target_precision:g}"
    return "the one with the best F1"


def _table(systems: Mapping[str, Any]) -> str:
    """Figures on test pairs beside those of the untuned base."""
    lines = ["| test pairs | untuned base | this model |", "|---|---|---|"]
    for name, shown in _METRICS.items():
        cells = [(systems.get(system) or {}).get(name) for system in ("base", "tuned")]
        lines.append(f"| {shown} | " + " | ".join(f"{c['mean']:.3f}" if c else "" for c in cells) + " |")
    return "\n".join(lines) + "\n"
