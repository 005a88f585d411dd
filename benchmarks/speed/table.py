"""The tables of a results file, for docs/speed.md."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from statistics import median
from typing import Any


def markdown(report: Mapping[str, Any]) -> str:
    """Everything that was measured, precision by precision."""
    parts: list[list[str]] = []
    for precision in ("bfloat16", "float32"):
        measured = report.get(precision, {}).get("measured", {})
        runs = [found for name, found in measured.items() if not name.startswith("growth")]
        if runs:
            parts += [[f"In {precision}:"], _speed(runs, precision), _shares(runs)]
        parts.append(list(_growth(measured.get("growth,1", []))))
    return "\n\n".join("\n".join(part) for part in (*parts, _step(report)) if part)


def _speed(runs: Sequence[Mapping[str, Any]], precision: str) -> list[str]:
    bf16 = precision == "bfloat16"
    titles = "preset, threads | rollouts | unique of texts | naive, CPU s (wall) | ours, CPU s (wall) | "
    titles += f"times as fast, CPU | wall | GFLOP/s{', bf16 (float32)' if bf16 else ''} | of the limit | same scores"
    lines = [f"| {titles} |", "|---" * (titles.count("|") + 1) + "|"]
    for run in runs:
        parts = run["parts"]
        cells = [
            f"`{run['preset']}`, {run['threads']}",
            f"{_sum(parts, 'rollouts'):,.0f}",
            f"{_sum(parts, 'unique_texts'):,.0f} of {_sum(parts, 'texts'):,.0f}",
            *(f"{_seconds(parts, way, 'cpu'):.1f} ({_seconds(parts, way, 'wall'):.1f})" for way in ("naive", "ours")),
            *(_spread([p["naive"][kind] / p["ours"][kind] for p in parts]) for kind in ("cpu", "wall")),
            f"{median(p['gflops_cpu'] for p in parts):,.0f}"
            + (f" ({median(p['gflops_float32_cpu'] for p in parts):,.0f})" if bf16 else ""),
            _spread([100 * p["limit_cpu"] / p["ours"]["cpu"] for p in parts], "%", 0),
            _scores(run["scores"]),
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return lines


def _scores(found: Mapping[str, Any]) -> str:
    share = f"{found['same']} of {found['rollouts']} ({100 * found['same'] / found['rollouts']:.2f}%)"
    if found["same"] == found["rollouts"]:
        return share
    if "ladder_steps" in found:
        return f"{share}, others {found['ladder_steps']} step apart at most"
    return f"{share}, others {found['largest_difference']:.3f} apart at most"


def _shares(runs: Sequence[Mapping[str, Any]]) -> list[str]:
    names = list(runs[0]["shares"])
    lines = [f"| share of CPU seconds | {' | '.join(names)} |", "|---" * (len(names) + 1) + "|"]
    for run in runs:
        cells = " | ".join(f"{100 * run['shares'][name]:.1f}%" for name in names)
        lines.append(f"| `{run['preset']}`, {run['threads']} | {cells} |")
    return lines


def _growth(rows: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    if rows:
        yield "| rollouts | unique texts | CPU s | wall s | CPU ms a rollout |"
        yield "|---|---|---|---|---|"
    for row in rows:
        each = 1000 * row["cpu"] / row["rollouts"]
        yield f"| {row['rollouts']:,} | {row['unique_texts']:,} | {row['cpu']:.2f} | {row['wall']:.2f} | {each:.2f} |"


def _step(report: Mapping[str, Any]) -> list[str]:
    found = report.get("quickstart")
    if not found:
        return []
    quarters = ", ".join(f"{100 * share:.1f}%" for share in found["quarters"])
    return [
        f"In a quickstart in {found['precision']} the reward took {100 * found['share']:.1f}% of a GRPO step, over "
        f"{found['steps']} steps ({quarters} by quarters)."
    ]


def _sum(parts: Sequence[Mapping[str, Any]], name: str) -> float:
    return float(sum(part[name] for part in parts))


def _seconds(parts: Sequence[Mapping[str, Any]], way: str, kind: str) -> float:
    return float(sum(part[way][kind] for part in parts))


def _spread(values: Sequence[float], unit: str = "", digits: int = 1) -> str:
    low, middle, high = (f"{v:.{digits}f}{unit}" for v in (min(values), median(values), max(values)))
    return middle if len(values) == 1 else f"{middle} ({low} to {high})"
