"""A run directory as the other stages would leave it: made up, seeded, and consistent with itself."""

from __future__ import annotations

import math
import random
import statistics
from pathlib import Path
from typing import Any

from overton.jsonio import write_json, write_jsonl
from overton.recipe import Recipe, parse_recipe
from overton.rundir import RunDir

LABELS = """
Autonomy; Self-expression; Right to choose; Right to free speech; Right to privacy; Duty of
confidentiality; Discretion; Honesty; Transparency; Right to know; Duty to tell the truth;
Compassion; Generosity; Duty of care; Gratitude; Safety; Right to safety; Duty to do no harm;
Prudence; Health; Right to life; Right to health care; Well-being; Fairness; Justice; Equality;
Right to equal treatment; Respect for the law; Right to a fair hearing; Duty to report wrongdoing;
Accountability; Loyalty; Trust; Duty to keep promises; Friendship; Family unity; Duty to protect
children; Right of a child to be heard; Respect for elders; Hard work; Duty to an employer;
Professionalism; Right to fair pay; Right to property; Stewardship; Thrift; Financial security;
Solidarity; Civic duty; Tradition; Belonging; Dignity; Respect for others; Tolerance; Forgiveness;
Care for nature; Animal welfare; Duty to future generations; Love of learning; Right to education;
Personal growth; Courage; Joy; Creativity; Right to rest; Personal responsibility; Self-reliance;
Duty to oneself
"""
VALUES = [v.strip() for v in LABELS.replace("\n", " ").split(";")]
KINDS = (
    "a mother reads the diary of a daughter in secret",
    "a nurse gives the last dose of the vaccine to a neighbour",
    "a farmer fells the old oak that a village has used as a meeting place",
    "an apprentice tells a customer that the used car was in an accident",
    "a teacher shares the essay of a pupil with the whole class",
)
WHEN = (
    "while an emergency is going on",
    "although the law forbids it",
    "for money",
    "after a long day of work",
)
FOR = (
    "{v} asks for this, since the person concerned is better off when it is done",
    "by doing it, the one who acts lives up to what {v} means",
)
AGAINST = (
    "the person concerned would lose something that {v} is meant to protect",
    "nobody who takes {v} seriously could do this without asking first",
)
# Chance of stating a reference, expected repetitions and irrelevant lines an answer, share of valid tags.
SKILL = {
    "sft": (0.50, 1.3, 0.45, 0.985),
    "grpo": (0.76, 0.35, 0.30, 0.995),
    "sft-greedy": (0.47, 2.1, 0.15, 0.99),
    "grpo-greedy": (0.77, 0.55, 0.20, 1.0),
}


def recipe(**sections: Any) -> Recipe:
    """A recipe for the fake run."""
    return parse_recipe({"name": "quickstart", "seed": 7, **sections})


def build_run(path: Path, situations: int = 120, seed: int = 0) -> RunDir:
    """Write a whole run.

    Args:
        path: folder to make.
        situations: size of the test split.
        seed: of everything.
    """
    rng = random.Random(seed)
    run = RunDir(path)
    tests = [_situation(rng, i) for i in range(situations)]
    write_jsonl(path / "data/test.jsonl", tests)
    rows = {name: [_answer(rng, s, name) for s in tests] for name in SKILL}
    for name, pairs in rows.items():
        write_jsonl(path / f"generation/{name}.jsonl", [a for a, _, _ in pairs])
        write_jsonl(path / f"evaluation/{name}.oracle.jsonl", [o for _, o, _ in pairs])
        write_jsonl(path / f"evaluation/{name}.form.jsonl", [f for _, _, f in pairs])
    write_json(path / "evaluation/summary.json", _summary(tests, rows))
    _estimator(rng, path / "estimator")
    _training(rng, path / "training")
    _manifests(path)
    return run


def _situation(rng: random.Random, index: int) -> dict[str, Any]:
    kind, when = rng.choice(KINDS), rng.choice(WHEN)
    perspectives = []
    for label in rng.sample(VALUES, rng.randint(5, 9)):
        stance = rng.choice("+-")
        text = rng.choice(FOR if stance == "+" else AGAINST).format(v=label.lower())
        cluster = f"{label.lower().replace(' ', '_')}:{stance}"
        perspectives.append(
            {"label": label, "explanation": text, "stance": stance, "cluster": cluster, "provenance": "world"}
        )
    text = f"{kind[0].upper()}{kind[1:]}, {when}. What do you think of it?"
    return {
        "id": f"test-{index:04d}",
        "text": text,
        "perspectives": perspectives,
        "metadata": {"kind": kind, "front": False},
    }


def _answer(rng: random.Random, situation: dict[str, Any], system: str) -> tuple[dict[str, Any], ...]:
    skill, repeats, strays, valid_share = SKILL[system]
    truth = situation["perspectives"]
    hardness = 1 - 0.03 * (len(truth) - 5)
    stated = [p for p in truth if rng.random() < skill * hardness * (0.75 + 0.5 * (VALUES.index(p["label"]) % 7) / 7)]
    lines = [(p["label"], p["explanation"], "matched", p["cluster"]) for p in stated]
    lines += [(*rng.choice(lines[:3])[:2], "repeated", None) for _ in range(_poisson(rng, repeats)) if lines]
    others = [v for v in VALUES if v not in {p["label"] for p in truth}]
    lines += [
        (v, f"a passer-by may feel that {v.lower()} is at stake", "irrelevant", None)
        for v in rng.sample(others, _poisson(rng, strays))
    ]
    if lines and rng.random() < 0.06:
        lines.append((rng.choice(truth)["label"], "the the person of of the", "unclear", None))
    rng.shuffle(lines)
    # A repetition comes after what it repeats.
    lines.sort(key=lambda line: line[2] == "repeated")
    text, segments = "<core perspectives>\n", []
    for label, explanation, verdict, cluster in lines:
        line = f"In the perspective of {label}, {explanation}."
        segments.append(
            {
                "label": label,
                "explanation": explanation,
                "start": len(text),
                "end": len(text) + len(line),
                "verdict": verdict,
                "cluster": cluster,
            }
        )
        text += line + "\n"
    valid = rng.random() < valid_share and bool(lines)
    names = ", ".join(dict.fromkeys(s["label"].lower() for s in segments))
    text += (
        "</core perspectives>\n\n<summary>\nWhat counts here: "
        + (names or "nothing")
        + "."
        + ("\n</summary>" if valid else "")
    )
    n = len(segments)
    covered = {s["cluster"] for s in segments if s["verdict"] == "matched"}
    distinct = n - sum(s["verdict"] == "repeated" for s in segments)
    coverage = len(covered) / len(truth)
    precision = sum(s["verdict"] in ("matched", "repeated") for s in segments) / n if n else None
    key = situation["id"]
    oracle = {
        "id": key, "coverage": coverage, "precision": precision, "uniqueness": distinct / n if n else None,
        "f1": 2 * coverage * precision / (coverage + precision) if precision and coverage else 0.0,
        "perspectives": n, "segments": segments,
        "missed": [p["cluster"] for p in truth if p["cluster"] not in covered],
    }  # fmt: skip
    form = {
        "id": key,
        "perspectives": n,
        "words": len(text.split()),
        "valid_tags": valid,
        "tokens": int(1.4 * len(text.split())),
    }
    answer = {
        "id": key, "prompt": situation["text"], "answer": text, "system": system, "tokens": form["tokens"],
        "seconds": 0.05, "finished": valid,
    }  # fmt: skip
    return answer, oracle, form


def _summary(tests: list[dict[str, Any]], rows: dict[str, Any]) -> dict[str, Any]:
    truth = {s["id"]: len(s["perspectives"]) for s in tests}
    systems: dict[str, dict[str, list[float]]] = {}
    per_value: dict[str, dict[str, dict[str, int]]] = {}
    by_count: dict[str, dict[str, Any]] = {}
    for name, answers in rows.items():
        scores: dict[str, list[float]] = {}
        counts: dict[int, list[float]] = {}
        for _, oracle, form in answers:
            n = truth[oracle["id"]]
            values = {f"oracle_{k}": oracle[k] for k in ("coverage", "precision", "uniqueness", "f1")}
            values |= {k: oracle[k] and 0.94 * oracle[k] for k in ("coverage", "precision", "f1")}
            values |= {
                "uniqueness": oracle["uniqueness"],
                "perspectives": form["perspectives"],
                "true_perspectives": n,
            }
            values |= {
                "perspective_ratio": form["perspectives"] / n,
                "words": form["words"],
                "tokens": form["tokens"],
            }
            values |= {
                "nli_mean": 0.1 + 0.7 * oracle["coverage"],
                "nli_accuracy": float(oracle["coverage"] > 0.4),
            }
            values |= {"valid_tags": float(form["valid_tags"])}
            for key, value in values.items():
                scores.setdefault(key, []).append(math.nan if value is None else float(value))
            counts.setdefault(n, []).append(oracle["coverage"])
        systems[name] = scores
        by_count[name] = {str(n): _interval(v) for n, v in sorted(counts.items())}
        per_value[name] = {}
        for situation, (_, oracle, _) in zip(tests, answers, strict=True):
            for p in situation["perspectives"]:
                cell = per_value[name].setdefault(p["label"], {"covered": 0, "total": 0})
                cell["total"] += 1
                cell["covered"] += p["cluster"] not in oracle["missed"]
    return {
        "systems": {s: {m: _interval(v) for m, v in scores.items()} for s, scores in systems.items()},
        "comparisons": [
            _compare(systems, a, b, m)
            for a, b in (("grpo", "sft"), ("grpo-greedy", "sft-greedy"))
            for m in systems["sft"]
        ],
        "nli_threshold": 0.33,
        "settings": {"bootstrap": 2000},
        "unscored": {},
        "per_value": per_value,
        "by_count": by_count,
    }


def _interval(values: list[float]) -> dict[str, Any]:
    kept = [v for v in values if not math.isnan(v)]
    mean = statistics.fmean(kept)
    half = 1.96 * (statistics.stdev(kept) if len(kept) > 1 else 0.0) / math.sqrt(len(kept))
    low, high = mean - half, mean + half
    if min(kept) >= 0 and max(kept) <= 1:
        low, high = max(0.0, low), min(1.0, high)
    return {"mean": mean, "low": low, "high": high, "n": len(kept), "unscored": len(values) - len(kept)}


def _compare(systems: dict[str, dict[str, list[float]]], a: str, b: str, metric: str) -> dict[str, Any]:
    pairs = zip(systems[a][metric], systems[b][metric], strict=True)
    found = _interval([x - y for x, y in pairs])
    base = _interval(systems[b][metric])["mean"]
    error = (found["high"] - found["low"]) / 2 / 1.96
    p = math.erfc(abs(found["mean"]) / error / math.sqrt(2)) if error else 1.0
    return {
        "a": a, "b": b, "metric": metric, "difference": found["mean"],
        "low": found["low"], "high": found["high"],
        "p_value": p, "relative": found["mean"] / base if base else None,
    }  # fmt: skip


def _estimator(rng: random.Random, folder: Path) -> None:
    systems = {
        "tuned": _model(rng, (0.78, 0.12), (0.31, 0.16), 0.552, 0.938),
        "base": _model(rng, (0.62, 0.16), (0.45, 0.17), 0.61, 0.781),
    }
    bins = []
    for i in range(10):
        predicted = (i + 0.5) / 10
        observed = min(1.0, max(0.0, predicted + rng.gauss(0, 0.04)))
        bins.append(
            {
                "low": i / 10,
                "high": (i + 1) / 10,
                "count": rng.randint(30, 400),
                "probability": predicted,
                "positive": observed,
            }
        )
    write_json(
        folder / "calibration.json",
        {
            "threshold": 0.552, "low": 0.531, "high": 0.574, "slope": 18.2, "intercept": -10.1, "f1": 0.941,
            "precision": 0.948, "recall": 0.935, "pairs": 2000, "model_hash": "ab" * 32,
            "data_hash": "cd" * 32,
            "calibration_error": 0.02, "brier": 0.05, "random_cosine": 0.21, "auc": 0.98,
        },
    )  # fmt: skip
    gap = {
        m: systems["tuned"][m]["mean"] - systems["base"][m]["mean"]
        for m in ("average_precision", "roc_auc", "f1", "accuracy")
    }
    write_json(
        folder / "benchmark.json",
        {
            "pairs": 2000, "positives": 1000, "situations": 310, "systems": systems, "reliability": bins,
            "differences": {m: {"mean": d, "low": d - 0.02, "high": d + 0.02} for m, d in gap.items()},
            "training": {"triplets": 6000, "steps": 94, "loss": 0.61},
        },
    )  # fmt: skip


def _model(
    rng: random.Random,
    same: tuple[float, float],
    different: tuple[float, float],
    threshold: float,
    quality: float,
) -> dict[str, Any]:
    counts = {"positive": [0] * 40, "negative": [0] * 40}
    for kind, (mean, spread) in (("positive", same), ("negative", different)):
        for _ in range(1000):
            counts[kind][min(39, max(0, int((min(1.0, rng.gauss(mean, spread)) + 1) / 0.05)))] += 1
    rated = {
        "average_precision": quality + 0.04,
        "roc_auc": quality + 0.045,
        "f1": quality,
        "accuracy": quality,
    }
    return {
        **{m: {"mean": v, "low": v - 0.012, "high": v + 0.012} for m, v in rated.items()},
        "threshold": threshold, "sentences_per_second": 280.4, "calibration_error": 0.021, "brier": 0.05,
        "false_positive_rate": {
            relation: {"mean": (1 - quality) * factor, "pairs": 300}
            for relation, factor in (("near", 2), ("opposite", 1.4), ("other", 0.2))
        },
        "histogram": {"edges": [round(-1 + 0.05 * i, 4) for i in range(41)], **counts},
    }  # fmt: skip


def _training(rng: random.Random, folder: Path) -> None:
    sft = [
        {"step": s, "loss": 0.9 + 5 * math.exp(-s / 150) + rng.gauss(0, 0.05), "learning_rate": 3e-3}
        for s in range(10, 2001, 10)
    ]
    write_jsonl(folder / "sft/metrics.jsonl", sft)
    rows = []
    for step in range(1, 101):
        done = 1 - math.exp(-step / 35)
        noise = rng.gauss(0, 0.015)
        rows.append(
            {
                "step": step, "loss": rng.gauss(0, 0.01), "reward": 0.30 + 0.38 * done + noise,
                "reward_std": 0.15,
                "terms/coverage": 0.50 + 0.26 * done + noise,
                "terms/precision": 0.88 + 0.07 * done + noise / 2,
                "terms/uniqueness": 0.74 + 0.2 * done + noise, "terms/form": -0.05 * (1 - done),
                "perspectives": 4.9 + 1.2 * done + 6 * noise,
                "valid_tags": min(1.0, 0.97 + 0.03 * done + noise / 4),
                "completion_length": 118 + 22 * done + 200 * noise,
                "entropy": 0.9 - 0.5 * done + noise, "kl": 0.0,
                "frac_reward_zero_std": 0.0, "seconds/generation": 2.1,
                "seconds/reward": 0.2, "seconds/update": 1.4,
                "learning_rate": 5e-4,
            }
        )  # fmt: skip
    write_jsonl(folder / "grpo/metrics.jsonl", rows)


def _manifests(path: Path) -> None:
    seconds = {"data": 6.2, "estimator": 71.4, "training": 548.0, "generation": 41.3, "evaluation": 88.9}
    for stage, wall in seconds.items():
        write_json(
            path / stage / "manifest.json",
            {
                "stage": stage, "status": "complete", "seconds": wall, "cpu_seconds": round(1.8 * wall, 1),
                "versions": {"overton": "0.1.0", "torch": "2.13.0", "numpy": "2.4.0"},
                "started": "2026-11-20T10:00:00Z", "made_from": {"seed": 7}, "outputs": {},
            },
        )  # fmt: skip


def _poisson(rng: random.Random, mean: float) -> int:
    limit, product, count = math.exp(-mean), rng.random(), 0
    while product > limit:
        product *= rng.random()
        count += 1
    return count
