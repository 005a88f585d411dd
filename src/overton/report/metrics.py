"""The metrics of ``evaluation/summary.json``: names, units, definitions; how numbers are written."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Unit = Literal["share", "count", "ratio"]


@dataclass(frozen=True, slots=True)
class Metric:
    """One metric.

    Attributes:
        name: key in the summary.
        label: what a reader sees.
        unit: ``share`` (0 to 1, written in per cent), ``count`` or ``ratio``.
        better: ``"up"`` when more is better, ``""`` when neither direction is good as such.
        group: heading it stands under.
        definition: one or two plain sentences.
        digits: decimals it is written with (of the percentage, when it is a share).
    """

    name: str
    label: str
    unit: Unit
    better: Literal["up", ""]
    group: str
    definition: str
    digits: int = 1


TRUTH = "Against the known truth"
INDEPENDENT = "Independent evaluator"
NLI = "Natural language inference"
FORM = "Form"
JUDGE = "Language model as judge"
OTHER = "Other"

_ALL = (
    Metric(
        "oracle_coverage", "Coverage", "share", "up", TRUTH,
        "Share of the truly relevant perspectives that the answer states. The bundled world knows them; "
        "one counts only when the label and the explanation both say it.",
    ),
    Metric(
        "oracle_precision", "Precision", "share", "up", TRUTH,
        "Share of the answer's segments that state a truly relevant perspective.",
    ),
    Metric(
        "oracle_uniqueness", "Uniqueness", "share", "up", TRUTH,
        "Distinct perspectives divided by segments: 100% when the answer never says the same thing twice.",
    ),
    Metric(
        "oracle_f1", "F1", "share", "up", TRUTH,
        "Harmonic mean of coverage and precision. A perspective that is repeated counts as precise each time.",
    ),
    Metric(
        "oracle_set_f1", "F1 of sets", "share", "up", TRUTH,
        "As F1, with each perspective counted once and its repetitions as misses: one number for saying all that "
        "matters and nothing else.",
    ),
    Metric(
        "oracle_absolute_coverage", "Fully covered", "share", "up", TRUTH,
        "Share of situations of which every truly relevant perspective is stated.",
    ),
    Metric(
        "oracle_coverage_at_references", "Coverage at the number of references", "share", "up", TRUTH,
        "Coverage counted over the first R segments only, where R is the number of truly relevant perspectives: "
        "saying more than there is to say brings nothing.",
    ),
    Metric(
        "coverage", "Coverage", "share", "up", INDEPENDENT,
        "Share of the references that entail some sentence of the answer, by a natural language inference "
        "model that shares no code and no weights with the reward.",
    ),
    Metric(
        "precision", "Precision", "share", "up", INDEPENDENT,
        "Share of the answer's sentences that some reference entails, by the same model.",
    ),
    Metric("f1", "F1", "share", "up", INDEPENDENT, "Harmonic mean of that coverage and precision."),
    Metric(
        "uniqueness", "Uniqueness", "share", "up", INDEPENDENT,
        "Groups of sentences that entail each other, divided by the answer's sentences.",
    ),
    Metric(
        "absolute_coverage", "Fully covered", "share", "up", INDEPENDENT,
        "Share of situations whose references are all covered so.",
    ),
    Metric(
        "coverage_at_references", "Coverage at the number of references", "share", "up", INDEPENDENT,
        "Coverage counted over the first R sentences only, where R is the number of references.",
    ),
    Metric(
        "nli_mean", "Mean entailment", "share", "up", NLI,
        "For each reference, the highest probability that it entails a sentence of the answer (premise = "
        "reference, hypothesis = sentence), averaged over the references.",
    ),
    Metric(
        "nli_accuracy", "Accuracy", "share", "up", NLI,
        "Share of situations whose mean entailment is above the threshold (Accuracy@threshold).",
    ),
    Metric(
        "nli_reverse_mean", "Mean entailment, reversed", "share", "up", NLI,
        "The same with the roles swapped (premise = sentence, hypothesis = reference): high when a sentence says all "
        "that the reference says.",
    ),
    Metric(
        "nli_reverse_accuracy", "Accuracy, reversed", "share", "up", NLI,
        "Share of situations whose reversed mean entailment is above the threshold.",
    ),
    Metric(
        "published_nli", "Mean entailment, as published", "share", "up", NLI,
        "Mean entailment by the arithmetic of the published evaluation code: sentences of the whole text, tags, labels "
        "and summary included.",
    ),
    Metric(
        "published_accuracy", "Accuracy, as published", "share", "up", NLI,
        "Share of situations whose mean entailment as published is above the threshold.",
    ),
    Metric(
        "perspectives", "Perspectives per answer", "count", "", FORM,
        "How many perspectives the answer gives, repeated and irrelevant ones counted, without its summary.",
        2,
    ),
    Metric(
        "true_perspectives", "True perspectives per situation", "count", "", FORM,
        "How many perspectives are relevant to the situation; a property of the data, not of a system.", 2,
    ),
    Metric(
        "perspective_ratio", "Perspectives per true perspective", "ratio", "", FORM,
        "Perspectives in the answer divided by the true number. Above 1, it says more than there is to say.",
        2,
    ),
    Metric("words", "Words per answer", "count", "", FORM, "Words in the whole answer.", 0),
    Metric("tokens", "Tokens per answer", "count", "", FORM, "Tokens that the model generated for it.", 0),
    Metric("seconds", "Seconds per answer", "count", "", FORM, "Time of generation, of all calls together.", 3),
    Metric("calls", "Calls per answer", "count", "", FORM, "Calls of all models for one answer, retries included.", 2),
    Metric("cost", "Cost per answer", "count", "", FORM, "Of all calls, in the currency of the prices given.", 5),
    Metric(
        "distinct_1", "Distinct-1", "share", "", FORM,
        "Different words of the answer's sentences divided by its words; longer answers score lower by nature.",
    ),
    Metric("distinct_2", "Distinct-2", "share", "", FORM, "The same for pairs of neighbouring words."),
    Metric(
        "self_bleu", "Self-BLEU", "share", "", FORM,
        "Mean BLEU-4 of each sentence of the answer against its others: how much the wording repeats itself. "
        "Lower means more varied. Sentences of fewer than four words score below 100% even where they are alike.",
    ),
    Metric(
        "ngram_vendi", "Vendi score of words", "count", "", FORM,
        "Effective number of different sentences, by the words and pairs of words that they share: all alike count as "
        "one.",
    ),
    Metric(
        "valid_tags", "Valid tags", "share", "up", FORM,
        "Share of answers whose four tags each occur once, in order, with nothing outside the two blocks.",
    ),
    Metric(
        "helpfulness", "Helpfulness", "count", "up", JUDGE,
        "Does the answer do what the person who asked needs? A language model's grade, 1 to 5.", 2,
    ),
    Metric("clarity", "Clarity", "count", "up", JUDGE, "Is it ordered and easy to follow? Graded 1 to 5.", 2),
    Metric(
        "factuality", "Factuality", "count", "up", JUDGE,
        "Is it true, and are facts kept apart from opinions? Graded 1 to 5.", 2,
    ),
    Metric("depth", "Depth", "count", "up", JUDGE, "Does it go into reasons and consequences? Graded 1 to 5.", 2),
    Metric(
        "engagement", "Engagement", "count", "up", JUDGE,
        "Does it read as if a thoughtful person were speaking? Graded 1 to 5.", 2,
    ),
    Metric("judge_mean", "Mean grade", "count", "up", JUDGE, "Mean of these five grades.", 2),
)  # fmt: skip

METRICS: dict[str, Metric] = {m.name: m for m in _ALL}
GROUPS = (TRUTH, INDEPENDENT, NLI, FORM, JUDGE, OTHER)
TERMS = (
    ("Perspective", "One reasonable view of a situation: a value, right or duty, and what it says here."),
    ("Reference", "A perspective that people, or the bundled world, hold to be relevant."),
    (
        "SFT",
        "Supervised fine-tuning: the model after it has only imitated example answers. The starting point.",
    ),
    (
        "GRPO",
        "Group relative policy optimization: the same model after reinforcement learning on the reward.",
    ),
    (
        "Sampled, greedy",
        "Answers are drawn at the recipe's temperature; SYSTEM-greedy takes the likeliest token.",
    ),
    (
        "95% interval",
        "Bootstrap over situations: the middle 95% of the means of redrawn test sets. Of shares of answers, such as "
        "valid tags, fully covered or accuracy, Wilson's interval.",
    ),
    (
        "p",
        "How probable differences as one-sided as these would be if the systems were alike: Wilcoxon's signed-rank "
        "test, of their ranks and not of the mean, corrected by Holm's method for all comparisons of the run together.",
    ),
)


def metric(name: str) -> Metric:
    """The metric of this name; an unknown one is taken as a plain number without a direction."""
    return METRICS.get(name) or Metric(name, name, "ratio", "", OTHER, "", 3)


def label_inside(metric: Metric) -> str:
    """Its label within a sentence."""
    name = metric.label  # F1 and F1 of sets, Self-BLEU, Distinct-1, Vendi score: names stay as they are
    return name if name.startswith(("F1", "Self-", "Distinct-", "Vendi")) else name.lower()


def value_text(metric: Metric, value: float) -> str:
    """A mean: ``74.2%``, ``5.84``, ``112``."""
    return f"{_scaled(metric, value):.{metric.digits}f}" + ("%" if metric.unit == "share" else "")


def interval_text(metric: Metric, low: float, high: float) -> str:
    """An interval without unit: ``71.5–76.9``."""
    return f"{_scaled(metric, low):.{metric.digits}f}–{_scaled(metric, high):.{metric.digits}f}"


def difference_text(metric: Metric, value: float) -> str:
    """A signed difference, shares in percentage points: ``+22.0``. The minus sign is a real one."""
    text = f"{_scaled(metric, value):+.{metric.digits}f}"
    return "0" if not float(text) else text.replace("-", "−")


def _scaled(metric: Metric, value: float) -> float:
    return 100 * value if metric.unit == "share" else value


def percent_change(value: float) -> str:
    """A signed relative change: ``+42%``."""
    text = f"{100 * value:+.0f}%"
    return "0%" if text in ("+0%", "-0%") else text.replace("-", "−")


def p_text(value: float) -> str:
    """A p-value, never rounded to zero."""
    return "< 0.001" if value < 0.001 else f"{value:.3f}"


def duration(seconds: float) -> str:
    """``48 s``, ``3 min 12 s``, ``2 h 05 min``."""
    whole = round(seconds)
    if whole < 60:
        return f"{seconds:.1f} s" if seconds < 10 else f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"
