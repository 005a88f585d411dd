"""The metrics of ``overton compare``: names, units, definitions, in the order of its tables."""

from __future__ import annotations

from dataclasses import replace

from overton.report.metrics import FORM, METRICS, TRUTH, Metric

SIMILARITY = "Similarity to the references"
ENTAILMENT = "Entailment"
DIVERSITY = "Diversity"
GROUPS = (TRUTH, SIMILARITY, ENTAILMENT, DIVERSITY, FORM)

_SIMILARITY = (
    Metric(
        "coverage", "Coverage", "share", "up", SIMILARITY,
        "References matched one-to-one by a perspective of the answer, at a cosine of at least the threshold, divided "
        "by the references.",
    ),
    Metric(
        "precision", "Precision", "share", "up", SIMILARITY,
        "Perspectives of the answer that match any reference, divided by its perspectives.",
    ),
    Metric("f1", "F1", "share", "up", SIMILARITY, "Harmonic mean of coverage and precision."),
    Metric(
        "coverage_at_references", "Coverage at R", "share", "up", SIMILARITY,
        "Coverage counted over the first R perspectives of the answer only, R = number of references: saying more than "
        "there is to say brings nothing.",
    ),
    Metric("absolute_coverage", "Fully covered", "share", "up", SIMILARITY, "Questions all of whose references match."),
)  # fmt: skip
_DIVERSITY = (
    Metric(
        "vendi", "Vendi score", "count", "", DIVERSITY,
        "Effective number of perspectives: the exponential of the entropy of their cosines' eigenvalues. Equal "
        "perspectives count as one.", 2,
    ),
    Metric(
        "uniqueness", "Uniqueness", "share", "up", DIVERSITY,
        "Groups of perspectives that match each other, divided by perspectives. Two that do not match are one group if "
        "others between them do, so long answers come out lower: compare those of like length, or the Vendi score.",
    ),
    *(replace(METRICS[name], group=DIVERSITY) for name in ("distinct_1", "distinct_2", "self_bleu")),
)  # fmt: skip
_ENTAILMENT = tuple(
    replace(METRICS[name], name=f"nli_{name.removeprefix('nli_')}", group=ENTAILMENT)
    for name in (
        *("coverage", "precision", "f1", "coverage_at_references", "absolute_coverage", "uniqueness"),
        *("nli_mean", "nli_accuracy", "nli_reverse_mean", "nli_reverse_accuracy"),
    )
)
_PUBLISHED = tuple(replace(METRICS[name], group=ENTAILMENT) for name in ("published_nli", "published_accuracy"))
_FORM = (
    METRICS["perspectives"],
    Metric(
        "units", "Texts compared per answer", "count", "", FORM,
        "What precision is counted over: the answer's perspectives as the segmentation finds them, or the file's "
        "sentences.", 2,
    ),
    *(METRICS[name] for name in ("words", "tokens", "seconds", "calls", "cost", "valid_tags")),
)  # fmt: skip

COMPARED: dict[str, Metric] = {
    m.name: m
    for m in (
        *(m for m in METRICS.values() if m.group == TRUTH),
        *_SIMILARITY,
        *_ENTAILMENT,
        *_PUBLISHED,
        *_DIVERSITY,
        *_FORM,
    )
}
# Metrics that the page compares pair by pair; all others are in comparisons.csv.
MAIN = (
    "oracle_coverage", "oracle_precision", "oracle_f1", "oracle_set_f1",
    "coverage", "precision", "f1", "coverage_at_references",
    "nli_coverage", "nli_precision", "nli_f1", "nli_mean",
)  # fmt: skip
