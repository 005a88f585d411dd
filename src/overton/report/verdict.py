"""When a difference is told as one: the rule that the report and ``overton compare`` share."""

from __future__ import annotations

from overton.report.metrics import Metric

ALPHA = 0.05


def verdict(m: Metric, interval: tuple[float, float] | None, p: float | None) -> str:
    """What a difference is called.

    Args:
        m: the metric.
        interval: of the mean difference.
        p: corrected for all comparisons; ``None`` = not known, as in summaries of early versions.

    Returns:
        ``better`` or ``worse`` where the interval leaves out 0 and p is below 0.05, ``changed`` where the metric has no
        direction; ``""`` where the difference may be chance.
    """
    if interval is None or interval[0] <= 0 <= interval[1]:
        return ""
    # On few situations the interval is too narrow to decide alone.
    if p is not None and p >= ALPHA:
        return ""
    if m.better != "up":
        return "changed"
    return "better" if interval[0] > 0 else "worse"


def against_ranks(difference: float | None, delta: float | None) -> str:
    """A sentence where the mean goes one way and most situations the other, else ``""``.

    Args:
        difference: mean difference.
        delta: Cliff's delta, the share of situations won less the share lost.
    """
    if not difference or not delta or (difference > 0) == (delta > 0):
        return ""
    text = f"{delta:+.2f}".replace("-", "−")
    return f"The mean goes the other way than most single differences (Cliff's delta {text}), and p is of their ranks."
