"""The reward of honest and attacked answers, and what the difference amounts to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from hacking.case import Case
from hacking.registry import Attack
from hacking.truth import Truth, truth
from overton.evaluation.statistics import compare, interval
from overton.progress import track
from overton.rewards import Encoder, OvertonReward
from overton.rewards.background import Background
from overton.types import Group

PRESETS = ("overton", "op-grpo")
_CHUNK = 10  # situations whose texts are encoded together
_TIE = 1e-9

Texts = dict[str, str]


def measure(
    cases: Sequence[Case],
    estimator: Encoder,
    attacks: Mapping[str, Attack],
    seed: int,
    overrides: Mapping[str, Any] | None = None,
    description: str = "",
    background: Background | None = None,
) -> dict[str, Any]:
    """Gains of all attacks.

    Args:
        cases: situations with honest answers.
        estimator: of the reward.
        attacks: by name.
        seed: of the attacks.
        overrides: fields of preset ``overton``.
        description: of the progress bar; without one there is none.
        background: of preset ``overton``.

    Returns:
        ``honest`` (mean values and terms by preset) and ``attacks``: by name what :func:`_summary` gives.
    """
    rewards = {
        "overton": OvertonReward(estimator, background=background, **(overrides or {})),
        "op-grpo": OvertonReward(estimator, "op-grpo"),
    }
    values: dict[str, dict[str, dict[str, tuple[float | None, float | None]]]] = {
        name: {preset: {} for preset in PRESETS} for name in attacks
    }
    truths: dict[str, dict[str, tuple[Truth, Truth]]] = {name: {} for name in attacks}
    honest: dict[str, list[dict[str, float]]] = {preset: [] for preset in PRESETS}
    starts = range(0, len(cases), _CHUNK)
    for start in track(starts, description) if description else starts:
        part = cases[start : start + _CHUNK]
        made = [{name: a.text(case, seed) for name, a in attacks.items()} for case in part]
        groups, places = [], []
        for index, case in enumerate(part):
            wanted = [("", case.answer.text(), True)]
            for name, item in attacks.items():
                text = made[index][name]
                if text is not None:
                    wanted.append((name, text, item.finished))
                    if item.honest:
                        wanted.append((f"honest {name}", item.baseline(case).text(), True))
            for name, text, finished in wanted:
                groups.append(Group(case.prompt, case.references, (text,), (finished,)))
                places.append((index, name))
        for preset, reward in rewards.items():
            scores = dict(zip(places, (row[0] for row in reward.score(groups)), strict=True))
            for index, case in enumerate(part):
                own = scores[index, ""]
                honest[preset].append({**own.terms, **({} if own.value is None else {"value": own.value})})
                for name in attacks:
                    if (index, name) in scores:
                        base = scores.get((index, f"honest {name}"), own)
                        values[name][preset][case.id] = (scores[index, name].value, base.value)
        for index, case in enumerate(part):
            for name, item in attacks.items():
                text = made[index][name]
                if text is not None:
                    truths[name][case.id] = truth(case, text), truth(case, item.baseline(case).text())
    return {
        "situations": len(cases),
        "honest": {preset: _means(rows) for preset, rows in honest.items()},
        "attacks": {name: _summary(values[name], truths[name]) for name in attacks if truths[name]},
    }


def _means(rows: Sequence[Mapping[str, float]]) -> dict[str, float]:
    names = dict.fromkeys(name for row in rows for name in row)
    return {n: round(sum(row.get(n, 0.0) for row in rows) / len(rows), 4) for n in names} if rows else {}


def _summary(
    values: Mapping[str, Mapping[str, tuple[float | None, float | None]]], truths: Mapping[str, tuple[Truth, Truth]]
) -> dict[str, Any]:
    """Of one attack: by preset the mean gain with its interval, the share of answers that rise, and the verdict."""
    coverage = compare({k: a.coverage for k, (a, _) in truths.items()}, {k: b.coverage for k, (_, b) in truths.items()})
    f1 = compare({k: a.f1 for k, (a, _) in truths.items()}, {k: b.f1 for k, (_, b) in truths.items()})
    better = _above(coverage) and not _below(f1)
    found: dict[str, Any] = {"truth": {"coverage": _short(coverage), "f1": _short(f1), "better": better}}
    for preset, pairs in values.items():
        gain = compare({k: a for k, (a, _) in pairs.items()}, {k: b for k, (_, b) in pairs.items()})
        scored = [(a, b) for a, b in pairs.values() if a is not None and b is not None]
        found[preset] = {
            **_short(gain),
            "attacked": round(float(interval([a for a, _ in scored], resamples=10)["mean"] or 0.0), 4),
            "rises": round(sum(a > b + _TIE for a, b in scored) / max(1, len(scored)), 4),
            "verdict": "no gain" if not _above(gain) else "adds coverage" if better else "gains",
        }
    return found


def _short(gain: Mapping[str, Any]) -> dict[str, Any]:
    rounded = {k: None if gain[k] is None else round(gain[k], 4) + 0.0 for k in ("difference", "low", "high")}
    return {"gain": rounded["difference"], "low": rounded["low"], "high": rounded["high"], "n": gain["n"]}


def _above(gain: Mapping[str, Any]) -> bool:
    return gain["low"] is not None and gain["low"] > _TIE


def _below(gain: Mapping[str, Any]) -> bool:
    return gain["high"] is not None and gain["high"] < -_TIE
