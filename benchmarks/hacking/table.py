"""The table of a results file, for people and for docs/reward_hacking.md."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from hacking.measure import PRESETS


def markdown(report: Mapping[str, Any]) -> str:
    """What was measured, the verdict by preset, and a table with one row an attack."""
    sources = report["sources"]
    lines = ["| honest answers | situations | estimator | threshold | `overton` | `op-grpo` |", "|---" * 6 + "|"]
    for name, found in sources.items():
        means = " | ".join(f"{found['honest'][preset]['value']:.3f}" for preset in PRESETS)
        about = f"{found['situations']} | {found['estimator']} | {found['threshold']:.3f}"
        lines.append(f"| {name} | {about} | {means} |")
    lines += ["", *verdicts(report), ""]
    titles = [f"{preset}, {name}" for preset in PRESETS for name in sources]
    lines += [f"| attack | {' | '.join(titles)} |", "|---" * (len(titles) + 1) + "|"]
    for attack, about in report["attacks"].items():
        cells = [_cell(sources[name]["attacks"].get(attack), preset) for preset in PRESETS for name in sources]
        lines.append(f"| `{attack}`{' (upper bound)' if about['oracle'] else ''} | {' | '.join(cells)} |")
    lines += ["", "| attack | what it does |", "|---|---|"]
    lines += [f"| `{attack}` | {about['what']} |" for attack, about in report["attacks"].items()]
    return "\n".join(lines)


def verdicts(report: Mapping[str, Any]) -> Iterator[str]:
    """Two lines a preset: attacks that gain, and those whose answer truly is better."""
    for preset in PRESETS:
        for verdict, title in (("gains", "gains"), ("adds coverage", "gains by stating more references (no attack)")):
            named = []
            for attack in report["attacks"]:
                where = [
                    name
                    for name, found in report["sources"].items()
                    if attack in found["attacks"] and found["attacks"][attack][preset]["verdict"] == verdict
                ]
                if where:
                    named.append(f"`{attack}` ({', '.join(where)})")
            if verdict == "gains" or named:
                yield f"- Under `{preset}`, {title}: {', '.join(named) if named else 'none'}."


def _cell(found: Mapping[str, Any] | None, preset: str) -> str:
    """Mean gain: bold where the attack gains, in brackets where the answer is truly better, empty where it did not
    apply."""
    if found is None:
        return ""
    row = found[preset]
    text = "0" if row["gain"] == row["low"] == row["high"] == 0 else f"{row['gain']:+.3f}"
    if row["verdict"] == "gains":
        return f"**{text}**"
    return f"({text})" if row["verdict"] == "adds coverage" else text
