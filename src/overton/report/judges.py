"""What language models as judges said beside their grades: who won, and how far they agree."""

from __future__ import annotations

from overton.report.files import RunFiles, mapping, number
from overton.report.metrics import JUDGE, METRICS, Metric
from overton.report.tables import Cell, cell

PAIR_HEAD = ("Pair", "Win rate", "Won", "Ties", "Lost", "Changed with the order", "For the first", "Questions")
_RATE = Metric("win_rate", "Win rate", "share", "up", JUDGE, "")
_SHARES = ("wins", "ties", "losses", "flips", "first")


def pair_rows(files: RunFiles) -> list[tuple[str, tuple[Cell, ...]]]:
    """One row a pair of systems, as ``PAIR_HEAD`` names the columns."""
    found = mapping(files.summary.get("judge")).get("pairwise")
    rows = []
    for pair in found if isinstance(found, list) else []:
        row, rate = mapping(pair), mapping(mapping(pair).get("win_rate"))
        counts = [number(rate.get(name)) for name in ("n", "unscored")]
        scored = (
            f"{counts[0]:.0f} of {counts[0] + counts[1]:.0f}" if counts[0] is not None and counts[1] is not None else ""
        )
        shares = (Cell(_percent(row.get(name))) for name in _SHARES)
        rows.append((f"{row.get('a')} against {row.get('b')}", (cell(_RATE, rate), *shares, Cell(scored))))
    return rows


def agreement_rows(files: RunFiles) -> list[tuple[str, str, str]]:
    """What was judged, Krippendorff's alpha, and over how many answers or questions; nothing with one judge."""
    found = mapping(mapping(files.summary.get("judge")).get("agreement"))
    rows = []
    for name, value in found.items():
        alpha, units = (number(mapping(value).get(key)) for key in ("alpha", "units"))
        label = METRICS[name].label if name in METRICS else name.capitalize()
        rows.append((label, "" if alpha is None else f"{alpha:.3f}", "" if units is None else f"{units:.0f}"))
    return rows


def _percent(value: object) -> str:
    share = number(value)
    return "" if share is None else f"{100 * share:.1f}%"
