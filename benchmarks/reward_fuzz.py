"""Does any text crash the reward, hang it, or get a score that is no number?

    python benchmarks/reward_fuzz.py

Every string goes through `OvertonReward.score` with both presets, in groups of eight, with a tiny random encoder of the
same kind (`overton.testing.tiny_encoder`), since what may break lies before and after the encoder. The last of them go
through `overton serve reward` at a free loopback port as well (--served), and the first ones through the untuned MiniLM
(--real). Kinds of strings: benchmarks/fuzzing.

    crashes    strings with which `score` raises an error
    no number  scores with a value, term, credit or cosine that is not finite, or without a value and without a reason
    spans      segments that lie outside their answer
    slow       strings that take more than --slow CPU seconds by themselves (a hang is stopped from outside)
    served     replies other than 200, rows missing, and values other than those of direct scoring
"""

from __future__ import annotations

import argparse
import json
import math
import os
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2

from fuzzing.strings import KINDS, draw
from origin import made_by
from overton.data.world.generate import make_world
from overton.estimator import SimilarityEstimator, open_estimator
from overton.jsonio import write_json
from overton.rewards import OvertonReward
from overton.testing import tiny_encoder
from overton.types import Group, Score
from serving.process import ServerProcess

PRESETS = ("overton", "op-grpo")
THRESHOLD = 0.7
ANSWERS = 8  # of a group
GROUPS = 16  # of a call


def main() -> None:
    """Measure, print the table, write the file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--strings", type=int, default=100_000)
    parser.add_argument("--served", type=int, default=100_000)
    parser.add_argument("--real", type=int, default=20_000)
    parser.add_argument("--slow", type=float, default=10.0, help="CPU seconds of one string")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results/reward_fuzz.json"))
    options = parser.parse_args()
    figures: dict[str, Any] = {"strings": options.strings}
    problems: list[str] = []
    report = {
        **made_by(),
        "seed": options.seed,
        "cores": len(os.sched_getaffinity(0)),
        "kinds": dict(Counter(KINDS[number % len(KINDS)] for number in range(options.strings))),
        "figures": figures,
        "problems": problems,
    }
    with tempfile.TemporaryDirectory() as folder:
        source = tiny_encoder(Path(folder) / "model")
        tiny = SimilarityEstimator.load(source)
        values = run(tiny, "overton", "overton", options, options.strings, figures, problems)
        figures |= served(source, options, values, problems)
        write_json(options.out, report)
        run(tiny, "op-grpo", "op-grpo", options, options.strings, figures, problems)
        write_json(options.out, report)
    figures["strings, MiniLM"] = options.real
    for preset in PRESETS:
        run(open_estimator()[0], preset, f"{preset}, MiniLM", options, options.real, figures, problems)
        write_json(options.out, report)
    for name, value in figures.items():
        print(f"| {name:24} | {value!s:>40} |")
    bad = ("crashes", "no number", "spans", "slow", "differences", "other replies")
    sys.exit(any(value for name, value in figures.items() if name.endswith(bad)))


def run(
    estimator: SimilarityEstimator,
    preset: str,
    name: str,
    options: argparse.Namespace,
    count: int,
    figures: dict[str, Any],
    problems: list[str],
) -> list[float | None]:
    """Score the first strings with a preset and enter what was found; their values."""
    reward = OvertonReward(estimator, preset, threshold=THRESHOLD)
    found: Counter[str] = Counter({"crashes": 0, "no number": 0, "spans": 0, "slow": 0, "unscored": 0})
    values: list[float | None] = []
    started, slowest = time.process_time(), (0.0, "none")
    for numbers, kinds, groups in batches(options.seed, count):
        before = time.process_time()
        scores, culprits = attempt(reward, groups)
        taken = time.process_time() - before
        found["crashes"] += len(culprits)
        problems += [f"{name}: string {numbers[index]} ({kinds[index]}): {how}" for index, how in culprits]
        for answer, score in zip(texts(groups), scores, strict=True):
            check(score, answer, found)
            values.append(score.value)
        if taken > options.slow:
            seconds, index = slowest_of(reward, groups)
            found["slow"] += seconds > options.slow
            slowest = max(slowest, (seconds, f"string {numbers[index]} ({kinds[index]})"))
        estimator.clear_cache()  # nothing comes twice, and long texts are large keys
    figures |= {f"{name}: {what}": number for what, number in found.items()}
    figures[f"{name}: CPU seconds"] = round(time.process_time() - started)
    figures[f"{name}: slowest"] = f"{slowest[0]:.1f} s, {slowest[1]}"
    print(name, dict(found), file=sys.stderr, flush=True)
    return values


def batches(seed: int, count: int, first: int = 0) -> Iterator[tuple[list[int], list[str], list[Group]]]:
    """Numbers, kinds and groups, one call at a time."""
    situations = make_world(50, 1, 1, seed).train
    for start in range(first, count, ANSWERS * GROUPS):
        numbers = list(range(start, min(count, start + ANSWERS * GROUPS)))
        names: list[str] = []
        groups = []
        for place in range(0, len(numbers), ANSWERS):
            situation = situations[(start + place) % len(situations)]
            drawn = [draw(number, seed, situation) for number in numbers[place : place + ANSWERS]]
            names += [kind for kind, _ in drawn]
            # Every other situation is itself an odd text.
            prompt = situation.text if place % (2 * ANSWERS) else drawn[0][1]
            groups.append(Group(prompt, situation.perspectives, tuple(text for _, text in drawn)))
        yield numbers, names, groups


def attempt(reward: OvertonReward, groups: list[Group]) -> tuple[list[Score], list[tuple[int, str]]]:
    """Scores of all answers; when that fails, of each alone, and which of them are to blame."""
    try:
        return [score for scores in reward.score(groups) for score in scores], []
    except Exception as error:
        culprits: list[tuple[int, str]] = []
        scores: list[Score] = []
        for index, (prompt, references, answer) in enumerate(alone(groups)):
            try:
                scores += reward.score([Group(prompt, references, (answer,))])[0]
            except Exception as own:
                culprits.append((index, type(own).__name__))
                scores.append(Score(None, "crashed"))
        return scores, culprits or [(0, f"{type(error).__name__}, only together")]


def slowest_of(reward: OvertonReward, groups: list[Group]) -> tuple[float, int]:
    """Seconds of the slowest answer when each is scored alone, and which one it is."""
    seconds = []
    for prompt, references, answer in alone(groups):
        reward.estimator.clear_cache()  # type: ignore[attr-defined]
        started = time.process_time()
        reward.score([Group(prompt, references, (answer,))])
        seconds.append(time.process_time() - started)
    return max((taken, index) for index, taken in enumerate(seconds))


def alone(groups: list[Group]) -> Iterator[tuple[str, Any, str]]:
    """Each answer with its situation."""
    return ((group.prompt, group.references, answer) for group in groups for answer in group.answers)


def texts(groups: list[Group]) -> Iterator[str]:
    """All answers in order."""
    return (answer for group in groups for answer in group.answers)


def check(score: Score, answer: str, found: Counter[str]) -> None:
    """Count what is wrong with a score."""
    if score.value is None:
        found["unscored"] += 1
        found["no number"] += not score.reason
        return
    numbers = [score.value, *score.terms.values(), *score.credits, *(match.cosine for match in score.matches)]
    found["no number"] += not all(math.isfinite(number) for number in numbers)
    found["spans"] += not all(0 <= start <= end <= len(answer) for start, end, _ in score.spans)


def served(
    source: Path, options: argparse.Namespace, values: list[float | None], problems: list[str]
) -> dict[str, Any]:
    """Send the last strings through a server and compare with direct scoring."""
    found: Counter[str] = Counter({"rows": 0, "other replies": 0, "differences": 0})
    first = max(0, options.strings - options.served) // (ANSWERS * GROUPS) * (ANSWERS * GROUPS)
    with tempfile.TemporaryDirectory() as folder:
        server = ServerProcess(Path(folder) / "log", str(source), "--set", f"threshold={THRESHOLD}", "--threads", "1")
        try:
            server.start()
            with httpx2.Client(base_url=server.url, timeout=300) as http:
                for numbers, _, groups in batches(options.seed, options.strings, first):
                    body = {"groups": [as_json(group) for group in groups]}
                    content = json.dumps(body)  # half characters as \uD800, as JSON can name them
                    reply = http.post("/score", content=content, headers={"Content-Type": "application/json"})
                    if reply.status_code != 200:
                        found["other replies"] += 1
                        problems.append(f"served: {reply.status_code} {reply.text[:200]}")
                        continue
                    rows = [row for group in reply.json()["groups"] for row in group]
                    found["rows"] += len(rows)
                    for number, row in zip(numbers, rows, strict=True):
                        wanted = values[number]
                        same = (
                            row["value"] is None if wanted is None else math.isclose(row["value"], wanted, abs_tol=1e-6)
                        )
                        found["differences"] += not same
            server.process.send_signal(signal.SIGTERM)
            found["exit code"] = server.process.wait(60)
        finally:
            server.end()
    if found["differences"] or found["exit code"]:
        problems.append(f"served: {found['differences']} differences, exit code {found['exit code']}")
    return {f"served: {name}": count for name, count in found.items()}


def as_json(group: Group) -> dict[str, Any]:
    """A group as the server takes it."""
    references = [{"label": p.label, "explanation": p.explanation} for p in group.references]
    return {"prompt": group.prompt, "references": references, "answers": list(group.answers)}


if __name__ == "__main__":
    main()
