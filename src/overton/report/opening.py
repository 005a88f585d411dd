"""The opening paragraph of the report: what the figures say, in words, written from the numbers alone."""

from __future__ import annotations

from overton.report.files import Row, RunFiles, mapping, number
from overton.report.metrics import METRICS, metric, value_text
from overton.report.tables import Change, Headline, change, mean

_MAIN = ("oracle_coverage", "coverage", "nli_mean")


def opening(files: RunFiles, table: Headline) -> str:
    """One paragraph in plain language.

    Args:
        files: the run.
        table: its headline table.

    Returns:
        Text without markup; says what is missing when there is nothing to tell.
    """
    summary = files.summary
    name = next((n for n in _MAIN if mean(summary, table.baseline, n) is not None), "")
    if not name and table.groups:
        return (
            f"No coverage of {table.baseline} was measured: in the world the oracle does that, else an NLI model. Name "
            "a CrossEncoder in evaluation.nli_model and run `overton evaluate` and `overton report` again."
        )
    if not name:
        return "No evaluation has been read, so there is no result to report yet."
    scores = mapping(summary.get("systems"))
    before, after = mean(summary, table.baseline, name), mean(summary, table.treated, name)
    subject = {
        "oracle_coverage": "of the perspectives that are truly relevant",
        "coverage": "of the reference perspectives, as an independent evaluator finds them",
        "nli_mean": "mean entailment of the reference perspectives",
    }[name]
    result = change(summary, metric(name), table.baseline, table.treated)
    n = [number(mapping(mapping(scores.get(s)).get(name)).get("n")) for s in (table.treated, table.baseline)]
    # Means over different situations: each says over how many, and so does the difference.
    uneven = all(n) and (n[0] != n[1] or bool(result.count))
    here, there = (f" (n = {count:.0f})" if uneven else "" for count in n)
    where = f"On {n[1]:.0f} held-out situations" if n[1] and not uneven else "On held-out situations"
    m = metric(name)
    verb = "reaches" if name == "nli_mean" else "states"
    if before is None or after is None:
        only = before if before is not None else 0.0
        alone = f"{where}, {table.baseline} {verb} {value_text(m, only)} {subject}."
        return f"{alone} No second system was evaluated."
    parts = [
        f"{where}, {table.treated} {verb} {value_text(m, after)} {subject}{here}; "
        f"{table.baseline} {verb} {value_text(m, before)}{there}.",
        _difference(result),
        result.opposed,
        _side_effects(summary, table, name.startswith("oracle_")),
    ]
    return " ".join(p for p in parts if p)


def _difference(result: Change) -> str:
    if result.raw is None:
        return "The two were not compared by a paired test."
    known = [f"95% interval {result.interval}"] if result.interval else []
    if result.p:
        # No-break spaces keep the p-value on one line.
        known.append(f"p\u00a0{result.p if result.p.startswith('<') else '= ' + result.p}".replace(" ", "\u00a0"))
    interval = f" ({', '.join(known)})" if known else ""
    both = f"On the situations that both have a value for ({result.count}), " if result.count else ""
    if not result.verdict:
        return f"{both}{'the' if both else 'The'} difference of {result.difference} points{interval} may be chance."
    relative = f", {result.relative} relative to the start" if result.relative else ""
    word = "gain" if result.raw > 0 else "loss"
    that = "that" if both else "That"
    return f"{both}{that} is a {word} of {result.difference.lstrip('+−')} points{interval}{relative}."


def _side_effects(summary: Row, table: Headline, oracle: bool) -> str:
    """What the gain cost or brought beside: precision, uniqueness, length."""
    prefix = "oracle_" if oracle else ""
    now, before = [], []
    for name, words in (
        (f"{prefix}precision", "is relevant"),
        (f"{prefix}uniqueness", "is not a repetition"),
    ):
        pair = mean(summary, table.baseline, name), mean(summary, table.treated, name)
        if pair[0] is not None and pair[1] is not None:
            now.append(f"{value_text(METRICS[name], pair[1])} {words}")
            before.append(value_text(METRICS[name], pair[0]))
    text = f"Of what {table.treated} says, {' and '.join(now)} (before: {' and '.join(before)})." if now else ""
    length, truth = (
        mean(summary, table.treated, "perspectives"),
        mean(summary, table.treated, "true_perspectives"),
    )
    if length is not None:
        text += f" An answer holds {length:.1f} perspectives on average"
        text += f", where {truth:.1f} are relevant." if truth is not None else "."
    return text.strip()
